"""Masks hold, and hooks take part, in steps that somebody else's training loop takes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from skprune._sklearn import InvalidParameterError
from skprune.network.layers import weight_parameters
from skprune.network.masking import Masked, Masking
from skprune.network.network import Network
from skprune.network.wrapping import inside
from skprune.pruning.checks import check_steps
from skprune.strategies.hooks import TrainingHook, TrainingRun, taking_part

__all__ = ["StepWatch"]


class StepWatch:
    """Looks on at each step that an optimizer takes with a network's parameters.

    After the step masked weights are set to zero. Hooks act at the first forward pass in training
    mode after a step, just before the next step (when the gradients are complete, however many
    backward passes they come from), and after it.

    Parameters
    ----------
    network : Network or Masked
        What has the module, its weights and their masks.
    """

    def __init__(self, network: Network | Masked) -> None:
        self._network = network
        self._copies: list[Masking] = []
        self._depth = 0
        self._run: TrainingRun | None = None
        self._hooks: Sequence[TrainingHook] = ()
        self._ran_forward = False

    @contextmanager
    def watching(
        self, hooks: Sequence[TrainingHook] = (), n_steps: int | None = None
    ) -> Iterator[None]:
        """Watch for the length of a stage.

        Parameters
        ----------
        hooks : sequence of TrainingHook, default=()
            What takes part in the steps.
        n_steps : int, default=None
            How many there will be; has to be known to hooks.
        """
        if not hooks:
            with self._registered():
                yield
                self._mask()
            return
        check_steps(n_steps)
        run = TrainingRun(n_steps or 0, None)
        try:
            with taking_part(run, hooks) as everything:
                self._run, self._hooks, self._ran_forward = run, everything, False
                handle = self._network.module.register_forward_pre_hook(self._before_forward)
                try:
                    with self._registered():
                        yield
                finally:
                    handle.remove()
        finally:
            self._run, self._hooks = None, ()
        self._mask()

    @contextmanager
    def masking(self, copies: Sequence[nn.Module] = ()) -> Iterator[None]:
        """Mask after each step, and copies of the module as well.

        Parameters
        ----------
        copies : sequence of nn.Module, default=()
            Modules that follow the network's weights, such as averages of them.
        """
        before = self._copies
        self._copies = [*before, *(Masking(_Copy(inside(c), self._network)) for c in copies)]
        try:
            with self._registered():
                self._mask()
                yield
                self._mask()
        finally:
            self._copies = before

    @contextmanager
    def _registered(self) -> Iterator[None]:
        """Listen to optimizers; once only, however often it is asked for."""
        self._depth += 1
        if self._depth > 1:
            try:
                yield
            finally:
                self._depth -= 1
            return
        self._ours = {id(parameter) for parameter in self._network.module.parameters()}
        self._masking = Masking(self._network)
        handles = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        try:
            yield
        finally:
            self._depth -= 1
            for handle in handles:
                handle.remove()

    def _before_forward(self, module: nn.Module, arguments: Any) -> None:
        if not module.training or not torch.is_grad_enabled() or self._ran_forward:
            return
        self._ran_forward = True
        for hook in self._hooks:
            hook.before_forward()

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if self._run is None or not self._trains_ours(optimizer):
            return
        if self._run.optimizer is None:
            self._run.optimizer = optimizer
        self._check_step(optimizer)
        for hook in self._hooks:
            hook.after_backward()

    def _check_step(self, optimizer: torch.optim.Optimizer) -> None:
        why = None
        if optimizer is not self._run.optimizer:  # type: ignore[union-attr]
            why = "two optimizers train the network; let one of them do so"
        elif not self._ran_forward:
            why = (
                "an optimizer took a step before the module was called in training mode, as LBFGS "
                "does; call the module that the Pruner gives (not its parts), after module.train() "
                "if it has been evaluated, and use another optimizer"
            )
        elif getattr(optimizer, "grad_scale", None) is not None:
            why = (
                "a fused optimizer leaves it to its step to unscale the gradients; call "
                "scaler.unscale_(optimizer) before scaler.step(optimizer)"
            )
        if why is not None:
            raise InvalidParameterError(
                f"The strategy takes part in the steps of the training, and {why}."
            )

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if not self._trains_ours(optimizer):
            return
        if not any(hook.uncovers for hook in self._hooks):
            self._masking.mask()
        if self._run is not None:
            self._ran_forward = False
            for hook in self._hooks:
                hook.after_step()
            self._masking.mask()
        self._mask_copies()

    def _trains_ours(self, optimizer: torch.optim.Optimizer) -> bool:
        return any(
            id(parameter) in self._ours
            for group in optimizer.param_groups
            for parameter in group["params"]
        )

    def _mask(self) -> None:
        self._masking.mask()
        self._mask_copies()

    def _mask_copies(self) -> None:
        for copy in self._copies:
            copy.mask()


@dataclass(frozen=True)
class _Copy:
    """A module that follows a network's weights, and has the network's masks."""

    module: nn.Module
    network: Network | Masked

    @property
    def masks(self) -> Mapping[str, Tensor]:
        return self.network.masks

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        return weight_parameters(self.module)
