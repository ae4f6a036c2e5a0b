"""When the masks change."""

from skprune.strategies.hooks import TrainingRun
from skprune.strategies.regrowth.base import StageSpan

__all__ = ["Updates"]


class Updates:
    """When, in all the training under masks, the masks change.

    Parameters
    ----------
    run : TrainingRun
        One stage, at its beginning.
    span : StageSpan
        Where the stage lies in the training.
    interval : int or None
        Number of training steps between updates; a fortieth of all the steps if None.
    stop : float
        Fraction of the training after which the masks stay.
    """

    def __init__(
        self, run: TrainingRun, span: StageSpan, interval: int | None, stop: float
    ) -> None:
        total = run.n_steps / (span.end - span.begin)
        self._before = round(span.begin * total)
        self._end = stop * total
        self._interval = interval or max(round(total / 40), 1)

    def is_due(self, step: int) -> bool:
        """Say whether a step of the stage, counted from one, is followed by an update."""
        step += self._before
        return step % self._interval == 0 and step < self._end

    def progress(self, step: int) -> float:
        """Say how far it is to the end of the updates, as a fraction."""
        return (self._before + step) / self._end
