"""Optimal brain damage: the diagonal of the Hessian."""

from collections.abc import Iterator
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval, StrOptions
from skprune.network.network import Network
from skprune.strategies.importance.base import Importance, ScoringContext
from skprune.strategies.importance.gradients import (
    gradient,
    hessian_product,
    require_gradients,
    twice_differentiable,
    weight_of,
    weighted_mean,
)
from skprune.strategies.importance.row_gradients import mean_power
from skprune.strategies.importance.second_order import gauss_newton
from skprune.strategies.samples import LooksAt

__all__ = ["OBD"]

# A product for each weight leaves no error: it may cost as many times more than probes.
_PRODUCTS_FOR_EXACT = 10


class OBD(Importance):
    """Scores by how much the loss would rise without a weight, if weights did not interact.

    That is half the squared weight times its second derivative. Units and other groups of weights
    score the sum.

    Parameters
    ----------
    curvature : {"gauss_newton", "hutchinson"}, default="gauss_newton"
        How the second derivatives are found. ``"gauss_newton"`` computes the diagonal of the
        Gauss-Newton matrix exactly, which is never negative; it costs as many backward passes as
        the network has outputs, and the criterion has to give a loss for each row. ``"hutchinson"``
        finds the diagonal of the Hessian itself, for any loss, which can be negative: it estimates
        it from products with vectors of random signs, `n_probes` double backward passes for each
        batch, or computes it exactly where the network is small; see the Notes.
    n_samples : int, default=1000
        Number of rows, drawn at random, at the most.
    n_probes : int, default=100
        Number of vectors of random signs for each batch of ``"hutchinson"``. Where at most ten
        times as many weights are left, the diagonal is computed exactly, by a product per weight.
    chunk_size : int, default=32
        How many rows' gradients, each as large as the network, ``"gauss_newton"`` holds at a time.
        It does not change the scores. Ordinary linear layers take no such memory.

    Notes
    -----
    In the mean over `m` vectors of random signs (`n_probes` times the number of batches) the
    standard error of the entry ``H[i, i]`` is the root of ``sum(H[i, j] ** 2 for j != i) / m``. To
    halve it takes four times as many. Entries off the diagonal can be far larger than those on it,
    and then the ranking is mostly noise. Compare the scores of two seeds, and prefer
    ``"gauss_newton"``, which has no such error, wherever the criterion gives a loss per row.

    References
    ----------
    LeCun, Y., Denker, J., & Solla, S. (1990). Optimal brain damage. Advances in Neural Information
    Processing Systems 2.

    Bekas, C., Kokiopoulou, E., & Saad, Y. (2007). An estimator for the diagonal of a matrix.
    Applied Numerical Mathematics, 57(11-12), 1214-1229.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import OBD
    >>> PrunedClassifier(strategy=Strategy(OBD(n_samples=200), "global"))
    PrunedClassifier(strategy=Strategy(allocation='global',
                                       importance=OBD(n_samples=200)))
    """

    looks_at: ClassVar[LooksAt] = "loss"
    _parameter_constraints: ClassVar[dict] = {
        "curvature": [StrOptions({"gauss_newton", "hutchinson"})],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_probes": [Interval(Integral, 1, None, closed="left")],
        "chunk_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        curvature: str = "gauss_newton",
        n_samples: int = 1000,
        n_probes: int = 100,
        chunk_size: int = 32,
    ) -> None:
        self.curvature = curvature
        self.n_samples = n_samples
        self.n_probes = n_probes
        self.chunk_size = chunk_size

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        if self.curvature == "hutchinson":
            diagonal = weighted_mean(self._diagonals(context))
        else:
            diagonal = mean_power(gauss_newton(context), 2, self.n_samples, self.chunk_size)
        scores = context.elements.sum_by_element(
            {
                name: second.double() * context.weights[name].double().square() / 2
                for name, second in diagonal.items()
            }
        )
        require_gradients(scores, context.elements)
        return scores

    def _diagonals(self, context: ScoringContext) -> Iterator[tuple[float, dict[str, Tensor]]]:
        network, samples = context.elements.network, context.samples
        weights = network.weights
        n_weights = sum(int(weight.count_nonzero()) for weight in context.weights.values())
        exact = n_weights <= _PRODUCTS_FOR_EXACT * self.n_probes
        with twice_differentiable(network.module, weights):
            for batch in samples.batches(self.n_samples, context.generator):
                loss = samples.loss(network.module, batch)
                first = gradient(loss, weights, create_graph=True)
                if exact:
                    yield weight_of(batch), _exact(first, context, n_weights)
                    continue
                for left in reversed(range(self.n_probes)):
                    signs = {n: _signs(part, context.generator) for n, part in first.items()}
                    product = _product(first, signs, network, again=left > 0)
                    estimate = {name: part * signs[name] for name, part in product.items()}
                    yield weight_of(batch), estimate


def _exact(first: dict[str, Tensor], context: ScoringContext, n_weights: int) -> dict[str, Tensor]:
    """Compute the diagonal for the weights that are not zero, by a product for each."""
    diagonal = {name: torch.zeros_like(part) for name, part in first.items()}
    left = n_weights
    for name, weight in context.weights.items():
        for place in weight.nonzero().tolist():
            left -= 1
            one = torch.zeros_like(weight)
            one[tuple(place)] = 1.0
            product = _product(
                {name: first[name]}, {name: one}, context.elements.network, again=left > 0
            )
            diagonal[name][tuple(place)] = product[name][tuple(place)]
    return diagonal


def _product(
    first: dict[str, Tensor], vector: dict[str, Tensor], network: Network, *, again: bool
) -> dict[str, Tensor]:
    return hessian_product(
        first,
        vector,
        network,
        again=again,
        needed_by="OBD(curvature='hutchinson')",
        instead="curvature='gauss_newton'",
    )


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return (2 * torch.randint(2, like.shape, generator=generator) - 1).to(like)
