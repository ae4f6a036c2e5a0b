"""What regrowths have in common: at intervals, some elements go and as many come back."""

from abc import abstractmethod
from math import cos, pi

import torch
from torch import Tensor

from skprune.strategies.regrowth.base import Span
from skprune.strategies.selection import keep_best
from skprune.structures import Elements
from skprune.training.hooks import TrainingHook, TrainingRun

__all__ = ["Exchange", "Updates"]


class Updates:
    """When, in all the training under masks, the masks change.

    Parameters
    ----------
    run : TrainingRun
        One stage, at its beginning.
    span : Span
        Where the stage lies in the training.
    interval : int or None
        Number of training steps between updates; a fiftieth of all the steps if None.
    stop : float
        Fraction of the training after which the masks stay.
    """

    def __init__(self, run: TrainingRun, span: Span, interval: int | None, stop: float) -> None:
        total = run.n_steps / (span.end - span.begin)
        self._run = run
        self._before = round(span.begin * total)
        self._end = stop * total
        self._interval = interval or max(round(total / 50), 1)

    @property
    def progress(self) -> float:
        """How far it is to the last update, as a fraction."""
        return (self._before + self._run.step) / self._end

    @property
    def is_due(self) -> bool:
        """Whether the step that has been taken is followed by an update."""
        step = self._before + self._run.step
        return step % self._interval == 0 and 0 < step < self._end
