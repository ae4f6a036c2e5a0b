"""The same sparsity in every layer."""

import numpy as np

from skprune.strategies.allocation.apportion import apportion
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
    names = list(demand.sizes)
    alive = np.array([demand.alive[name] for name in names])
    shares = apportion(
        demand.n_keep, np.array([weights[name] for name in names]), np.minimum(1, alive), alive
    )
    return dict(zip(names, shares.tolist(), strict=True))
