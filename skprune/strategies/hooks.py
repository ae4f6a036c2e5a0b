"""What takes part in training steps: regularizers, regrowth, importances that watch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

__all__ = ["TrainingHook", "TrainingRun", "taking_part"]


class TrainingHook:
    """Takes part in each training step of a stage; does nothing where it is not overridden.

    The masks are applied after each step of an optimizer, and again after :meth:`after_step`.

    Attributes
    ----------
    uncovers : bool
        Whether it lets the optimizer move masked weights, and looks at them in
        :meth:`after_step`: the masks are then applied after that alone.
    """

    uncovers: ClassVar[bool] = False

    def begin(self, run: "TrainingRun") -> None:
        """Get ready for a stage, whose progress `run` will show."""

    def before_forward(self) -> None:
        """Act before the network computes its outputs."""

    def after_backward(self) -> None:
        """Act when the gradients are there, and the optimizer has not taken its step."""

    def after_step(self) -> None:
        """Act after the optimizer has taken its step."""

    def end(self) -> None:
        """Act at the end of the stage, also if it was interrupted."""


@dataclass
class TrainingRun(TrainingHook):
    """How far one stage of training has come; it counts the steps by taking part in them.

    Attributes
    ----------
    n_steps : int
        Number of training steps of the stage, if no callback stops it earlier.
    optimizer : Optimizer or None
        What takes the steps; None before the first where it is not known in advance.
    step : int
        Number of steps taken.
    """

    n_steps: int
    optimizer: torch.optim.Optimizer | None
    step: int = 0

    @property
    def param_groups(self) -> list[dict]:
        """The optimizer's groups of parameters; none before it is known."""
        return [] if self.optimizer is None else self.optimizer.param_groups

    def lr(self, parameter: Tensor) -> float:
        """Learning rate of a parameter as it is now; zero if the optimizer does not have it."""
        for group in self.param_groups:
            if any(parameter is other for other in group["params"]):
                return float(group["lr"])
        return 0.0

    def start_afresh(self) -> None:
        """Have LBFGS forget its steps: they tell it nothing once weights or losses are others."""
        if isinstance(self.optimizer, torch.optim.LBFGS):
            self.optimizer.state.clear()

    def after_step(self) -> None:
        """Count the step."""
        self.step += 1


@contextmanager
def taking_part(run: TrainingRun, hooks: Sequence[TrainingHook]) -> Iterator[list[TrainingHook]]:
    """Have hooks take part in a stage: they begin with it, and end with it in any case.

    Parameters
    ----------
    run : TrainingRun
        The stage.
    hooks : sequence of TrainingHook
        What takes part.

    Yields
    ------
    hooks : list of TrainingHook
        What is to be called in each step: the run, which counts them, and then the others.
    """
    everything = [run, *hooks]
    for hook in everything:
        hook.begin(run)
    try:
        yield everything
    finally:
        for hook in everything:
            hook.end()
