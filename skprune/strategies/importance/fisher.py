"""Diagonal of the empirical Fisher information: a cheap stand-in for that of the Hessian."""

from numbers import Integral
from typing import ClassVar

from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.importance.base import Importance, ScoringContext
from skprune.strategies.importance.gradients import require_gradients
from skprune.strategies.importance.row_gradients import mean_power
from skprune.strategies.samples import LooksAt

__all__ = ["Fisher"]


class Fisher(Importance):
    """Half the squared weight times the mean squared gradient of the rows' losses.

    This is the loss that removing a weight costs to the second order, in a trained network whose
    loss is a negative log-likelihood, and if the weights do not interact. A unit sums it over all
    the weights that go with it. The gradients are those of single rows, with the true targets, so
    that the criterion has to give a loss for each row.

    Parameters
    ----------
    n_samples : int or None, default=1000
        How many rows are looked at, drawn at random; all if None.
    chunk_size : int, default=32
        How many rows' gradients, each as large as the network, are held at a time. It does not
        change the scores. Ordinary linear layers take no such memory.

    References
    ----------
    Theis, L., Korshunova, I., Tejani, A., & Huszár, F. (2018). Faster gaze prediction with dense
    networks and Fisher pruning. arXiv:1801.05787.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import Fisher
    >>> PrunedClassifier(strategy=Strategy(Fisher(n_samples=None), allocation="global"))
    PrunedClassifier(strategy=Strategy(allocation='global',
                                       importance=Fisher(n_samples=None)))
    """

    looks_at: ClassVar[LooksAt] = "loss"
    _parameter_constraints: ClassVar[dict] = {
        "n_samples": [Interval(Integral, 1, None, closed="left"), None],
        "chunk_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, n_samples: int | None = 1000, chunk_size: int = 32) -> None:
        self.n_samples = n_samples
        self.chunk_size = chunk_size

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        diagonal = mean_power(context, 2, self.n_samples, self.chunk_size)
        scores = context.elements.sum_by_element(
            {name: fisher * context.weights[name].square() / 2 for name, fisher in diagonal.items()}
        )
        require_gradients(scores, context.elements)
        return scores
