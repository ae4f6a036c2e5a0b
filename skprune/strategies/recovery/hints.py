"""Hidden activations of a teacher that a network is to come near to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match
from skprune.network.forward import first_output
from skprune.strategies.hooks import TrainingHook

__all__ = ["Hints", "check_hints"]


def check_hints(names: Sequence[str], module: nn.Module) -> None:
    """Raise an error if a network has no layer of a name.

    Parameters
    ----------
    names : sequence of str
        Names of layers.
    module : nn.Module
        The network.

    Raises
    ------
    InvalidParameterError
        The message has the nearest known name.
    """
    known = [name for name, _ in module.named_modules() if name]
    for name in names:
        if name not in known:
            raise InvalidParameterError(
                f"hints of Distill names an unknown layer {name!r}.{near_match(name, known)} "
                f"Layers: {', '.join(map(repr, known))}."
            )


class Hints(TrainingHook):
    """Compares what layers of two networks put out, in each step of a stage.

    Where units of a layer are gone, a linear map from the outputs of those that are left to all
    of the teacher's is learned along with the network.

    Parameters
    ----------
    names : sequence of str
        Names of the layers.
    student, teacher : nn.Module
        The networks.
    """

    def __init__(self, names: Sequence[str], student: nn.Module, teacher: nn.Module) -> None:
        self.names = names
        self.student = student
        self.teacher = teacher
        self._maps: dict[str, nn.Parameter] = {}
        self._optimizers: list[torch.optim.Optimizer] = []
        self._seen: dict[str, Tensor] = {}
        self._wanted: dict[str, Tensor] = {}
        self._handles: list[Any] = []

    def begin(self, run: Any) -> None:
        """Forget the maps of an earlier stage, when there were other units."""
        self._maps, self._optimizers = {}, []

    def before_forward(self) -> None:
        """Listen to the network, for this step alone: nobody else is to see that."""
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        self._handles = _listen(self.student, self.names, self._seen)

    def after_backward(self) -> None:
        """Stop listening."""
        self._stop()

    def after_step(self) -> None:
        """Improve the maps."""
        for optimizer in self._optimizers:
            optimizer.step()

    def end(self) -> None:
        """Stop listening where an error came between."""
        self._stop()

    def _stop(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._seen.clear()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the teacher."""
        handles = _listen(self.teacher, self.names, self._wanted)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def losses(self, n_rows: int) -> Tensor:
        """Say how far the network's activations are from the teacher's.

        Parameters
        ----------
        n_rows : int
            Number of rows of the batch.

        Returns
        -------
        losses : Tensor of shape (n_rows,)
            Mean squared differences, relative to the teacher's mean square; summed over layers.
        """
        return torch.stack([self._loss(name, n_rows) for name in self.names]).sum(0)

    def _loss(self, name: str, n_rows: int) -> Tensor:
        if name not in self._seen or name not in self._wanted:
            raise InvalidParameterError(
                f"hints of Distill names layer {name!r}, which the network does not run."
            )
        seen, wanted = self._seen[name], self._wanted[name].detach()
        differ = [dim for dim in range(wanted.dim()) if seen.shape[dim] != wanted.shape[dim]]
        if len(wanted) != n_rows or len(seen) != n_rows or len(differ) > 1:
            raise InvalidParameterError(
                f"hints of Distill names layer {name!r}, whose outputs of shape "
                f"{tuple(seen.shape)} cannot be compared with the teacher's, of shape "
                f"{tuple(wanted.shape)}, row by row."
            )
        if differ:
            seen, wanted = seen.movedim(differ[0], -1), wanted.movedim(differ[0], -1)
            seen = seen @ self._map(name, seen.detach(), wanted)
        scale = wanted.square().mean().clamp(min=torch.finfo(wanted.dtype).tiny)
        return (seen - wanted).square().flatten(1).mean(1) / scale

    def _map(self, name: str, seen: Tensor, wanted: Tensor) -> nn.Parameter:
        """Look up a layer's map, which begins as the best one for the first batch."""
        if name not in self._maps:
            seen, wanted = seen.flatten(0, -2).double(), wanted.flatten(0, -2).double()
            gram = seen.T @ seen
            ridge = 1e-3 * gram.diagonal().mean() + torch.finfo(torch.float32).tiny
            gram.diagonal().add_(ridge)
            best = torch.linalg.solve(gram, seen.T @ wanted)
            self._maps[name] = nn.Parameter(best.to(self._seen[name].dtype))
            self._optimizers.append(torch.optim.Adam([self._maps[name]], lr=1e-3))
        return self._maps[name]


def _listen(module: nn.Module, names: Sequence[str], heard: dict[str, Tensor]) -> list[Any]:
    def hear(name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        heard[name] = first_output(output)

    return [module.get_submodule(name).register_forward_hook(partial(hear, name)) for name in names]
