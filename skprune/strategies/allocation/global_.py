"""The best elements of the whole network, wherever they are."""

import torch

from skprune.strategies.allocation.base import Allocation, Demand
from skprune.strategies.selection import keep_best

__all__ = ["Global"]


class Global(Allocation):
    """All elements compete; every layer keeps at least its best one.

    The scores have to be comparable across layers.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy(allocation="global", importance="lamp"))
    PrunedClassifier(strategy=Strategy(allocation='global', importance='lamp'))
    """

    def counts(self, demand: Demand) -> dict[str, int]:
        """Say how many elements each layer keeps; see :class:`Allocation`."""
        names = list(demand.sizes)
        scores = [
            score.masked_fill(keep_best(score, demand.least[name]), torch.inf)
            for name, score in ((name, demand.scores[name]) for name in names)
        ]
        kept = keep_best(torch.cat(scores), demand.n_keep)
        parts = kept.split([len(score) for score in scores])
        return {name: int(part.sum()) for name, part in zip(names, parts, strict=True)}
