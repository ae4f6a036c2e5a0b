"""What a layer inside a network puts out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match
from skprune.network.forward import run_module
from skprune.network.layers import layer_for

__all__ = ["POOLS", "HiddenLayer"]

# How the positions of an image, or the steps of a series, become one row.
POOLS = ("mean", "max", "flatten")


class HiddenLayer:
    """A place in a network whose activations can be read.

    Parameters
    ----------
    module : Module
        The network, in evaluation mode.
    inputs : Tensor or dict of str to Tensor
        A few rows of input.
    name : str or None
        Name of the module whose output is read. None is the penultimate layer: what the last layer
        with weights is given.
    pool : {"mean", "max", "flatten"}
        What becomes of activations at several positions.

    Attributes
    ----------
    name : str
        Name of the module.
    width : int
        Number of columns that are read.

    Raises
    ------
    InvalidParameterError
        If there is no module of that name, it is not run, or it does not put out a row of numbers
        for each row of input.
    """

    def __init__(self, module: nn.Module, inputs: Any, name: str | None, pool: str) -> None:
        modules = dict(module.named_modules())
        if name is not None and (name not in modules or not name):
            known = [each for each in modules if each]
            raise InvalidParameterError(
                f"layer={name!r} is no layer of the network.{near_match(name, known)} Its layers: "
                f"{', '.join(map(repr, known))}."
            )
        self._pool = pool
        order = _weights_in_order(module, inputs, name)
        self._reads_input = name is None
        if name is None:
            if not order:
                raise InvalidParameterError(
                    f"{type(module).__name__} runs no layer that skprune knows to have weights, so "
                    "that there is no penultimate one. Name a layer."
                )
            self.name = order.pop()
        else:
            self.name = name
        # Activations behind a convolution have their channels in front of the positions.
        last = layer_for(modules[order[-1]]) if order else None
        self._channels = 1 if last is not None and last.channels_last is False else -1
        self._n_rows = _n_rows(inputs)
        with self.read(module) as activations, torch.no_grad():
            run_module(module, inputs)
            self.width = activations(self._n_rows).shape[1]

    @contextmanager
    def read(self, module: nn.Module) -> Iterator[Callable[[int], Tensor]]:
        """Note what the layer puts out while the network runs in this thread.

        Parameters
        ----------
        module : Module
            The network, or an equal one.

        Yields
        ------
        activations : callable
            Takes the number of rows that the network was last given, and gives their activations,
            a tensor of shape (n_rows, width).
        """
        found: list[Any] = []
        thread = get_ident()

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if get_ident() == thread:
                found[:] = [args[0] if args else next(iter(kwargs.values()))]

        def after(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if get_ident() == thread:
                found[:] = [output]

        def activations(n_rows: int) -> Tensor:
            if not found:
                raise InvalidParameterError(f"layer={self.name!r} is not run by the network.")
            return self._as_rows(found[0], n_rows)

        part = module.get_submodule(self.name)
        handle = (
            part.register_forward_pre_hook(before, with_kwargs=True)
            if self._reads_input
            else part.register_forward_hook(after)
        )
        try:
            yield activations
        finally:
            handle.remove()

    @contextmanager
    def replaced(self, module: nn.Module, codes: Tensor) -> Iterator[None]:
        """Let the layer put out something else while the network runs in this thread.

        Parameters
        ----------
        module : Module
            The network, or an equal one.
        codes : Tensor of shape (n_rows, width)
            What the layer puts out.
        """
        thread = get_ident()

        def hook(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            return codes.to(output.dtype) if get_ident() == thread else output

        handle = module.get_submodule(self.name).register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    def _as_rows(self, output: Any, n_rows: int) -> Tensor:
        """Make one row of numbers of what the layer puts out for a row of input."""
        output = output[0] if isinstance(output, tuple) and output else output  # states follow
        if not isinstance(output, Tensor) or output.dim() < 2 or len(output) != n_rows:
            what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise InvalidParameterError(
                f"Layer {self.name!r} gives {what} for {n_rows} rows, and not numbers for each of "
                "them. Name another layer."
            )
        output = output.detach()
        if output.dim() == 2 or self._pool == "flatten":
            return output.flatten(1)
        positions = output.movedim(self._channels, -1).flatten(1, -2)
        return positions.mean(1) if self._pool == "mean" else positions.amax(1)


def _n_rows(inputs: Any) -> int:
    return len(inputs if isinstance(inputs, Tensor) else next(iter(inputs.values())))


def _weights_in_order(module: nn.Module, inputs: Any, until: str | None) -> list[str]:
    """Name the layers with weights in the order in which they are run, up to the end of one."""
    order: list[str] = []
    ended = False

    def hook(name: str) -> Callable[..., None]:
        def note(part: nn.Module, args: Any, output: Any) -> None:
            nonlocal ended
            layer = layer_for(part)
            if not ended and (layer.has_weights or layer.is_recurrent or layer.is_one_part):
                order.append(name)
            ended = ended or name == until

        return note

    handles = [part.register_forward_hook(hook(name)) for name, part in module.named_modules()]
    try:
        with torch.no_grad():
            run_module(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return order
