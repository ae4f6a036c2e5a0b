"""Fast at first, slow towards the end."""

from numbers import Integral, Real
from typing import ClassVar

from skprune._sklearn import Interval
from skprune.strategies.schedule.base import Schedule, Step, spread_epochs

__all__ = ["Cubic"]


class Cubic(Schedule):
    """Sparsity ``s * (1 - (1 - t) ** 3)`` at the fraction `t` of the steps.

    Most is removed in the first steps, while many weights are redundant, and little at the end.

    Parameters
    ----------
    n_steps : int, default=10
        Number of steps.
    end : float, default=0.6
        Fraction of the epochs by which the target is reached; the rest trains at the target.

    Notes
    -----
    Steps come between epochs. Where there are fewer epochs than steps up to `end`, several come at
    once, with no training in between: of ten steps over four epochs, the first five, then four, and
    the last by itself.

    References
    ----------
    Zhu, M., & Gupta, S. (2018). To prune, or not to prune: exploring the efficacy of pruning for
    model compression. International Conference on Learning Representations, workshop track.

    Examples
    --------
    >>> from skprune.strategies import Cubic
    >>> [round(step.sparsity, 3) for step in Cubic(n_steps=2).steps(0.8, epochs=4)]
    [0.7, 0.8]
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "end": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(self, n_steps: int = 10, end: float = 0.6) -> None:
        self.n_steps = n_steps
        self.end = end

    def steps(self, sparsity: float, epochs: int) -> list[Step]:
        """Lay out the steps; see :class:`Schedule`."""
        n = self.n_steps
        sparsities = [sparsity * (1 - (1 - i / n) ** 3) for i in range(1, n)] + [sparsity]
        return [
            Step(*step) for step in zip(sparsities, spread_epochs(epochs, n, self.end), strict=True)
        ]
