"""Optimal brain damage: the diagonal of the Hessian."""

from collections.abc import Iterator
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval, StrOptions
from skprune.strategies.importance.base import Importance, Scoring
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

__all__ = ["OBD"]


class OBD(Importance):
    """Scores by how much the loss would rise without a weight, if no other mattered to it.

    That is half the squared weight times its second derivative. Units and other groups of weights
    score the sum.

    Parameters
    ----------
    curvature : {"gauss_newton", "hutchinson"}, default="gauss_newton"
        How the second derivatives are found. ``"gauss_newton"`` computes the diagonal of the
        Gauss-Newton matrix exactly, which no weight has below zero; it costs as many backward
        passes as the network has outputs, and the loss has to be one per row. ``"hutchinson"``
        estimates the diagonal of the Hessian itself, whatever the loss, by products with random
        signs; it costs `n_probes` double backward passes, and can be below zero.
    n_samples : int, default=1000
        Number of rows, drawn at random, at the most.
    n_probes : int, default=10
        Number of vectors of random signs for each batch of ``"hutchinson"``.
    chunk_size : int, default=32
        How many rows' gradients, each as large as the network, ``"gauss_newton"`` holds at a time.
        It does not change the scores. Ordinary linear layers take no such memory.

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
        n_probes: int = 10,
        chunk_size: int = 32,
    ) -> None:
        self.curvature = curvature
        self.n_samples = n_samples
        self.n_probes = n_probes
        self.chunk_size = chunk_size

    def scores(self, scoring: Scoring) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        if self.curvature == "hutchinson":
            diagonal = weighted_mean(self._estimates(scoring))
        else:
            diagonal = mean_power(gauss_newton(scoring), 2, self.n_samples, self.chunk_size)
        scores = scoring.elements.total(
            {
                name: second.double() * scoring.weights[name].double().square() / 2
                for name, second in diagonal.items()
            }
        )
        require_gradients(scores, scoring.elements)
        return scores

    def _estimates(self, scoring: Scoring) -> Iterator[tuple[float, dict[str, Tensor]]]:
        network, samples, generator = scoring.elements.network, scoring.samples, scoring.generator
        weights = network.weights
        with twice_differentiable(network.module, weights):
            for batch in samples.batches(self.n_samples, generator):
                loss = samples.loss(network.module, batch)
                first = gradient(loss, weights, create_graph=True)
                for left in reversed(range(self.n_probes)):
                    signs = {name: _signs(part, generator) for name, part in first.items()}
                    product = hessian_product(
                        first,
                        signs,
                        network,
                        again=left > 0,
                        needed_by="OBD(curvature='hutchinson')",
                        instead="curvature='gauss_newton'",
                    )
                    yield (
                        weight_of(batch),
                        {name: part * signs[name] for name, part in product.items()},
                    )


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return (2 * torch.randint(2, like.shape, generator=generator) - 1).to(like)
