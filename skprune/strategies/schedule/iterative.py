"""The same fraction of what is left at every step."""

from numbers import Integral, Real
from typing import ClassVar

from skprune._sklearn import Interval
from skprune.strategies.schedule.base import Schedule, Step, spread_epochs

__all__ = ["Iterative"]


class Iterative(Schedule):
    """Steps that each remove the same fraction of what the one before left.

    Parameters
    ----------
    n_steps : int, default=5
        Number of steps.
    end : float, default=0.8
        Fraction of the epochs by which the target is reached; the rest trains at the target.

    References
    ----------
    Han, S., Pool, J., Tran, J., & Dally, W. (2015). Learning both weights and connections for
    efficient neural networks. Advances in Neural Information Processing Systems 28.

    Examples
    --------
    >>> from skprune.strategies import Iterative
    >>> [round(step.sparsity, 3) for step in Iterative(n_steps=3).steps(0.875, epochs=3)]
    [0.5, 0.75, 0.875]
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "end": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(self, n_steps: int = 5, end: float = 0.8) -> None:
        self.n_steps = n_steps
        self.end = end

    def steps(self, sparsity: float, epochs: int) -> list[Step]:
        """Lay out the steps; see :class:`Schedule`."""
        n = self.n_steps
        sparsities = [1 - (1 - sparsity) ** (i / n) for i in range(1, n)] + [sparsity]
        return [
            Step(*step) for step in zip(sparsities, spread_epochs(epochs, n, self.end), strict=True)
        ]
