"""Gradient signal preservation: keep the weights without which gradients would be smaller."""

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import ClassVar

from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.importance.base import Importance, ScoringContext
from skprune.strategies.importance.gradients import (
    gradient,
    hessian_product,
    require_gradients,
    twice_differentiable,
    weight_of,
    weighted_mean,
)
from skprune.strategies.samples import Batch, LooksAt

__all__ = ["GraSP"]


class GraSP(Importance):
    """Product of a weight and the Hessian-gradient product of the mean loss over the rows.

    Twice the score is what the squared norm of the gradient loses with the weight, to the first
    order. A positive score is that of a weight whose removal makes the gradient smaller: it is
    kept, and a weight whose removal makes the gradient larger goes first. The paper's score has
    the opposite sign and removes the highest. A unit sums the scores of all the weights that go
    with it. It is made to prune a network before it is trained (``start="init"``).

    Parameters
    ----------
    n_samples : int or None, default=1000
        How many rows are looked at, drawn at random; all if None. They are held in memory.

    Notes
    -----
    The authors' code divides the logits by a temperature of 200 and draws as many rows of each
    class. Here the loss is the net's own, on rows that are drawn from all classes together, so that
    other weights are kept than with that temperature.

    References
    ----------
    Wang, C., Zhang, G., & Grosse, R. (2020). Picking winning tickets before training by preserving
    gradient flow. International Conference on Learning Representations.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy("grasp", "global", start="init"))
    PrunedClassifier(strategy=Strategy(allocation='global', importance='grasp',
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
        batches = list(context.samples.batches(self.n_samples, context.generator))
        product = weighted_mean(_hessian_products(context, batches))
        scores = context.elements.sum_by_element(
            {name: value * context.weights[name] for name, value in product.items()}
        )
        require_gradients(scores, context.elements)
        return scores


def _hessian_products(
    context: ScoringContext, batches: Sequence[Batch]
) -> Iterator[tuple[float, dict[str, Tensor]]]:
    """Go through batches for the products of their Hessians with the gradient over all of them."""
    network, samples = context.elements.network, context.samples
    weights = network.weights
    with twice_differentiable(network.module, weights):
        mean = weighted_mean(
            (weight_of(batch), gradient(samples.loss(network.module, batch), weights))
            for batch in batches
        )
        # A masked weight is not trained, and has no part in the flow.
        for name, mask in network.masks.items():
            mean[name] *= mask.to(mean[name].device)
        for batch in batches:
            loss = samples.loss(network.module, batch)
            first = gradient(loss, weights, create_graph=True)
            yield (
                weight_of(batch),
                hessian_product(
                    first,
                    mean,
                    network,
                    again=False,
                    needed_by="importance='grasp'",
                    instead="importance='snip' or 'synflow'",
                ),
            )
