"""Erdős-Rényi-Kernel: denser where a layer is small."""

from math import prod

from skprune.strategies.allocation.base import Allocation, KeepBudget, divide

__all__ = ["ERK"]


class ERK(Allocation):
    """Each layer's density is proportional to the sum over the product of its weight's sizes.

    A layer whose density would exceed one stays dense, and the rest is divided among the others.

    References
    ----------
    Evci, U., Gale, T., Menick, J., Castro, P. S., & Elsen, E. (2020). Rigging the lottery: making
    all tickets winners. International Conference on Machine Learning.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy(allocation="erk"))
    PrunedClassifier(strategy=Strategy())
    """

    def counts(self, budget: KeepBudget) -> dict[str, int]:
        """Say how many elements each layer keeps; see :class:`Allocation`."""
        weights = {
            name: size * sum(budget.shapes[name]) / prod(budget.shapes[name])
            for name, size in budget.sizes.items()
        }
        return divide(budget, weights)
