"""The same sparsity in every layer."""

from skprune.strategies.allocation.apportion import apportion_layers
from skprune.strategies.allocation.base import Allocation, Demand

__all__ = ["Uniform"]


class Uniform(Allocation):
    """Every layer keeps the same fraction of its elements, and at least one.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy(allocation="uniform"))
    PrunedClassifier(strategy=Strategy(allocation='uniform'))
    """

    def counts(self, demand: Demand) -> dict[str, int]:
        """Say how many elements each layer keeps; see :class:`Allocation`."""
        return divide(demand, {name: float(size) for name, size in demand.sizes.items()})


def divide(demand: Demand, weights: dict[str, float]) -> dict[str, int]:
    """Divide what is to be kept in proportion to weights; a layer keeps at least one element."""
    return apportion_layers(demand.n_keep, weights, dict.fromkeys(weights, 1), demand.alive)
