"""Optimal brain damage: the diagonal of the Hessian."""

from collections.abc import Sequence
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor
from torch.func import functional_call

from skprune._sklearn import Interval, StrOptions
from skprune.strategies.importance.base import Importance, Scoring
from skprune.strategies.importance.second_order import Calls, curvature_vectors, evaluating

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
    }

    def __init__(
        self, curvature: str = "gauss_newton", n_samples: int = 1000, n_probes: int = 10
    ) -> None:
        self.curvature = curvature
        self.n_samples = n_samples
        self.n_probes = n_probes

    def scores(self, scoring: Scoring) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        names = list(scoring.elements.spread(scoring.elements.kept))
        if self.curvature == "gauss_newton":
            diagonal = self._gauss_newton(scoring, names)
        else:
            diagonal = self._hutchinson(scoring, names)
        weights = [scoring.weights[name] for name in names]
        parts = diagonal.split([weight.numel() for weight in weights])
        return scoring.elements.total(
            {
                name: part.view(weight.shape) * weight.double().square() / 2
                for name, weight, part in zip(names, weights, parts, strict=True)
            }
        )

    def _gauss_newton(self, scoring: Scoring, names: Sequence[str]) -> Tensor:
        diagonal, total = torch.zeros((), dtype=torch.float64), 0.0
        module = scoring.elements.network.module
        for vectors, weight in curvature_vectors(
            module, names, scoring.samples, self.n_samples, scoring.generator, "gauss_newton"
        ):
            diagonal = diagonal.to(vectors.device) + vectors.square().sum(0, dtype=torch.float64)
            total += weight
        return diagonal / total

    def _hutchinson(self, scoring: Scoring, names: Sequence[str]) -> Tensor:
        network, samples = scoring.elements.network, scoring.samples
        loss = Calls(network.module, samples.loss)
        parameters = [
            network.module.get_parameter(name).detach().requires_grad_() for name in names
        ]
        stand_ins = dict(zip([f"module.{name}" for name in names], parameters, strict=True))
        diagonal, total = torch.zeros((), dtype=torch.float64), 0.0
        for batch in samples.batches(self.n_samples, scoring.generator):
            weight = len(batch.targets) if batch.weights is None else float(batch.weights.sum())
            with torch.enable_grad(), evaluating(network.module):
                value = functional_call(loss, stand_ins, (batch,))
                gradients = torch.autograd.grad(
                    value, parameters, create_graph=True, materialize_grads=True
                )
                gradient = torch.cat([part.flatten() for part in gradients])
            estimate = torch.zeros_like(gradient, dtype=torch.float64)
            for _ in range(self.n_probes):
                draw = torch.randint(2, gradient.shape, generator=scoring.generator)
                signs = (2 * draw - 1).to(gradient)
                products = torch.autograd.grad(
                    gradient, parameters, signs, retain_graph=True, materialize_grads=True
                )
                product = torch.cat([part.flatten() for part in products])
                estimate += (signs * product).double()
            diagonal = diagonal.to(estimate.device) + weight * estimate / self.n_probes
            total += weight
        return diagonal / total
