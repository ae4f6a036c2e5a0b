"""The best elements of the whole network, wherever they are."""

import torch

from skprune.strategies.allocation.base import Allocation, KeepBudget
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

    @property
    def compares_layers(self) -> bool:
        """Whether it compares the scores of elements of different layers: it does."""
        return True

    def counts(self, budget: KeepBudget) -> dict[str, int]:
        """Say how many elements each layer keeps; see :class:`Allocation`."""
        names = list(budget.sizes)
        scores = [
            score.masked_fill(keep_best(score, budget.min_kept[name]), torch.inf)
            for name, score in ((name, budget.scores[name]) for name in names)
        ]
        kept = keep_best(torch.cat(scores), budget.n_keep)
        parts = kept.split([len(score) for score in scores])
        return {name: int(part.sum()) for name, part in zip(names, parts, strict=True)}
