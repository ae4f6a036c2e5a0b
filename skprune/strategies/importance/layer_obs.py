"""Layer by layer: keep what each layer puts out, one weight at a time."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skprune._sklearn import Interval
from skprune.network.layers import layer_of
from skprune.strategies.importance.base import Importance, Judgement, Scoring
from skprune.strategies.importance.gradients import differentiable, weight_of
from skprune.strategies.importance.layer_inputs import (
    InputRows,
    elements_of_columns,
    total_of_readers,
)

__all__ = ["LayerOBS"]

# Steps after which the inverses are brought up to date, by one product of matrices.
_PANEL = 32


class LayerOBS(Importance):
    """Scores by how much the outputs of a layer change once its other weights have made up for it.

    For each output of a linear layer or a convolution, the squared error of what it puts out on
    some rows is a quadratic form of its weights, with the Hessian ``H = 2 * X.T @ X / n`` of what
    the layer is given. Single weights are taken out one at a time, the cheapest first, the others
    making up each time, as if all were to go; each scores what its going adds to the error, or what
    one before it did if that is more. To keep the best is then to choose greedily among all outputs
    of the layer. What goes as a whole (units, features, blocks) scores the error of its going
    alone. A unit is worth what it is to the layers that read it.

    Before the chosen weights go, those that stay, and the bias, are set to the exact solution of
    least squares, layer by layer: given what the layers before it now give it, each is to put out
    what it did. Frozen parameters are scored and removed like others, and do not move.

    Errors of different layers cannot be compared: of the allocations, ``"global"`` is not for this
    importance. A weight that is to go and is not one of a linear layer or a convolution is an
    error that names its layer.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows, drawn at random, at the most.
    damping : float, default=0.01
        What is added to the diagonal of `H`, as a fraction of its mean.
    chunk_size : int, default=16
        Number of outputs that are worked on at once, each with a matrix as large as `H`.

    References
    ----------
    Dong, X., Chen, S., & Pan, S. (2017). Learning to prune deep neural networks via layer-wise
    optimal brain surgeon. Advances in Neural Information Processing Systems 30.

    Frantar, E., & Alistarh, D. (2022). Optimal brain compression: a framework for accurate
    post-training quantization and pruning. Advances in Neural Information Processing Systems 35.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import LayerOBS
    >>> PrunedClassifier(strategy=Strategy(LayerOBS(damping=0.1)))
    PrunedClassifier(strategy=Strategy(importance=LayerOBS(damping=0.1)))
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "damping": [Interval(Real, 0, None, closed="left")],
        "chunk_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self, n_samples: int = 1000, damping: float = 0.01, chunk_size: int = 16
    ) -> None:
        self.n_samples = n_samples
        self.damping = damping
        self.chunk_size = chunk_size

    def scores(self, scoring: Scoring) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        return self.judge(scoring).scores

    def judge(self, scoring: Scoring) -> Judgement:
        """Score the elements, and say how the others make up; see :class:`Importance`."""
        elements, module = scoring.elements, scoring.elements.network.module
        columns = elements_of_columns(elements)
        left = {name: value > 0 for name, value in elements.spread(elements.kept).items()}
        layers = _Layers(module, list(columns))
        batches = list(scoring.samples.batches(self.n_samples, scoring.generator))
        run = scoring.samples.outputs
        with differentiable(module, {}):
            hessians = layers.moments(run, batches)
        losses = {}
        for name, numbers in columns.items():
            rows = layers.matrix(name)
            damped = _damped(hessians[name], self.damping)[0]
            losses[name] = self._losses(name, damped, rows, left[name], numbers)

        def compensate(kept: Mapping[str, Tensor]) -> None:
            stays = {name: value > 0 for name, value in elements.spread(kept).items()}
            with differentiable(module, {}):
                self._compensate(module, list(columns), left, stays, run, batches)

        return Judgement(total_of_readers(elements, losses), compensate)
