"""Layer-adaptive magnitude: a magnitude that can be compared across layers."""

from typing import ClassVar

import torch
from torch import Tensor

from skprune.strategies.importance.base import Importance, ScoringContext, require_some_weight
from skprune.strategies.importance.norm_scales import norm_scales

__all__ = ["LAMP"]


class LAMP(Importance):
    """Squared magnitude, over the sum of the squared magnitudes in the layer that are no smaller.

    The largest element of each layer scores one, so that a global allocation empties no layer.
    Units score by the squared norm of all the weights that go with them.

    Parameters
    ----------
    norms : bool, default=False
        Whether the scale that a norm multiplies a unit with counts as one more of its weights, as
        it does in the package Torch-Pruning, where it may rank units the other way round; see
        :class:`Magnitude`. It makes no difference where units are not what is removed.

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

    _parameter_constraints: ClassVar[dict] = {"norms": ["boolean"]}

    def __init__(self, *, norms: bool = False) -> None:
        self.norms = norms

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        scales = norm_scales(context.elements.network.module) if self.norms else {}
        squares = context.elements.sum_by_element(
            {
                name: weight.double().square()
                for name, weight in {**context.weights, **scales}.items()
            }
        )
        require_some_weight(squares)
        return {name: _over_larger(square) for name, square in squares.items()}


def _over_larger(squares: Tensor) -> Tensor:
    order = squares.argsort(descending=True, stable=True)
    ordered = squares[order]
    # What is gone is zero and sorts last; where nothing is left to divide by, it scores nothing.
    ratios = ordered / ordered.cumsum(0).clamp(min=torch.finfo(squares.dtype).tiny)
    return torch.empty_like(squares).scatter_(0, order, ratios)
