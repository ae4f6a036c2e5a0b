"""Connection sensitivity: how strongly the loss reacts to a gate in front of a weight."""

from numbers import Integral
from typing import ClassVar

from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.importance.base import Importance, ScoringContext
from skprune.strategies.importance.gradients import mean_gradient, require_gradients
from skprune.strategies.samples import LooksAt

__all__ = ["SNIP"]


class SNIP(Importance):
    """Absolute product of a weight and the gradient of the mean loss over the rows.

    It is the derivative with respect to a gate in front of the weight. That of a unit, whose gate
    is in front of all the weights that go with it, sums the products before the absolute value is
    taken. It is made to prune a network before it is trained (``start="init"``). The paper divides
    by the sum over the network, which does not change the order.

    Parameters
    ----------
    n_samples : int or None, default=1000
        How many rows are looked at, drawn at random; all if None.

    References
    ----------
    Lee, N., Ajanthan, T., & Torr, P. (2019). SNIP: single-shot network pruning based on connection
    sensitivity. International Conference on Learning Representations.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy("snip", "global", start="init"))
    PrunedClassifier(strategy=Strategy(allocation='global', importance='snip',
                                       start='init'))
    """

    looks_at: ClassVar[LooksAt] = "loss"
    _parameter_constraints: ClassVar[dict] = {
        "n_samples": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(self, n_samples: int | None = 1000) -> None:
        self.n_samples = n_samples

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        gradients = mean_gradient(context, self.n_samples)
        totals = context.elements.sum_by_element(
            {name: g * context.weights[name] for name, g in gradients.items()}
        )
        scores = {name: total.abs() for name, total in totals.items()}
        require_gradients(scores, context.elements)
        return scores
