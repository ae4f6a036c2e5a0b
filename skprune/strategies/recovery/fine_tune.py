"""Go on training."""

from dataclasses import replace
from numbers import Real
from typing import ClassVar

from skprune._sklearn import Interval
from skprune.strategies.learning import Learning
from skprune.strategies.recovery.base import FillIn, Recovery

__all__ = ["FineTune"]


class FineTune(Recovery):
    """Training as before, with what is left.

    Parameters
    ----------
    lr : float, default=None
        Learning rate of the fine-tuning; the net's own if None.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import FineTune
    >>> PrunedClassifier(strategy=Strategy(recovery=FineTune(lr=1e-3)))
    PrunedClassifier(strategy=Strategy(recovery=FineTune(lr=0.001)))
    """

    _parameter_constraints: ClassVar[dict] = {
        "lr": [None, Interval(Real, 0, None, closed="neither")]
    }

    def __init__(self, lr: float | None = None) -> None:
        self.lr = lr

    def begin(self, learning: Learning) -> FillIn:
        """Get ready; see :class:`Recovery`."""
        return lambda stage: replace(stage, lr=self.lr)
