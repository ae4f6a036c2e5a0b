"""The same sparsity in every layer."""

from skprune.strategies.allocation.base import Allocation, KeepBudget, divide

__all__ = ["Uniform"]


class Uniform(Allocation):
    """Every layer keeps the same fraction of its elements, and at least one.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy(allocation="uniform"))
    PrunedClassifier(strategy=Strategy(allocation='uniform'))
    """

    def counts(self, budget: KeepBudget) -> dict[str, int]:
        """Say how many elements each layer keeps; see :class:`Allocation`."""
        return divide(budget, {name: float(size) for name, size in budget.sizes.items()})
