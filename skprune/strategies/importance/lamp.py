"""Layer-adaptive magnitude: a magnitude that can be compared across layers."""

import torch
from torch import Tensor

from skprune.strategies.importance.base import Importance, Scoring, require_some_weight

__all__ = ["LAMP"]


class LAMP(Importance):
    """Squared magnitude, over the sum of the squared magnitudes in the layer that are no smaller.

    The largest element of each layer scores one, so that a global allocation empties no layer.
    Units score by the squared norm of all the weights that go with them.

    References
    ----------
    Lee, J., Park, S., Mo, S., Ahn, S., & Shin, J. (2021). Layer-adaptive sparsity for the
    magnitude-based pruning. International Conference on Learning Representations.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy(importance="lamp", allocation="global"))
    PrunedClassifier(strategy=Strategy(allocation='global', importance='lamp'))
    """

    def scores(self, scoring: Scoring) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        squares = scoring.elements.total(
            {name: weight.double().square() for name, weight in scoring.weights.items()}
        )
        require_some_weight(squares)
        return {name: _over_larger(square) for name, square in squares.items()}


def _over_larger(squares: Tensor) -> Tensor:
    order = squares.argsort(descending=True, stable=True)
    ordered = squares[order]
    # What is gone is zero and sorts last; where nothing is left to divide by, it scores nothing.
    ratios = ordered / ordered.cumsum(0).clamp(min=torch.finfo(squares.dtype).tiny)
    return torch.empty_like(squares).scatter_(0, order, ratios)
