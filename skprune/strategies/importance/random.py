"""Random scores: the baseline that every other importance has to beat."""

from typing import ClassVar

import torch
from torch import Tensor

from skprune.strategies.importance.base import Importance, ScoringContext

__all__ = ["RandomImportance"]


class RandomImportance(Importance):
    """Scores drawn uniformly, for each weight or unit alike.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import RandomImportance
    >>> PrunedClassifier(strategy=Strategy(importance=RandomImportance()))
    PrunedClassifier(strategy=Strategy(importance=RandomImportance()))
    """

    takes_complex: ClassVar[bool] = True

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        return {
            name: torch.rand(size, generator=context.generator, dtype=torch.float64)
            for name, size in context.elements.sizes.items()
        }
