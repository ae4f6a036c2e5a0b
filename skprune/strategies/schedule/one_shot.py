"""All at once."""

from skprune.strategies.schedule.base import Schedule, Step

__all__ = ["OneShot"]


class OneShot(Schedule):
    """One step to the target, then all the training.

    Examples
    --------
    >>> from skprune.strategies import OneShot
    >>> OneShot().steps(0.9, epochs=10)
    [Step(sparsity=0.9, epochs=10)]
    """

    def steps(self, sparsity: float, epochs: int) -> list[Step]:
        """Lay out the steps; see :class:`Schedule`."""
        return [Step(sparsity, epochs)]
