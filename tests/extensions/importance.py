"""An importance of a user's own: magnitudes in units of what is usual in the layer."""

from torch import Tensor

from skprune.strategies import Importance
from skprune.strategies.importance import ScoringContext


class RelativeMagnitude(Importance):
    """The square of a weight over the mean square of its layer's, so that layers compare."""

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        squares = {name: weight.double().square() for name, weight in context.weights.items()}
        totals = context.elements.sum_by_element(squares)
        return {layer: total / total.mean() for layer, total in totals.items()}
