"""Sparse optimisation by the sum of the norms of what is removed together."""

from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.regularization.base import Projection, Regularizer
from skprune.strategies.regularization.pace import Pace
from skprune.structures import Elements
from skprune.training.hooks import TrainingHook, TrainingRun

__all__ = ["GroupLasso"]

# A step takes no more than this many ordinary norms, so that no layer comes to zero.
_MOST = 0.5


class GroupLasso(Regularizer):
    """Soft thresholding of norms after each step of any optimizer: groups come to exactly zero.

    The groups are the elements of the structure. Each step takes
    ``strength * mean * sqrt(size) * lr / (lr_0 * n_steps)`` from the Euclidean norm of a group of
    `size` weights, or all there is of it, where `mean` is the layer's mean of ``norm / sqrt(size)``
    as the training begins, `lr` the learning rate, `lr_0` that at the beginning, and `n_steps`
    the number of steps. At a constant learning rate, a group that the loss does not hold up thus
    loses `strength` times an ordinary norm. A weight that goes with two units is shrunk by both.
    For single weights this is :class:`L1`.

    Parameters
    ----------
    strength : float, default=1.0
        How much a group loses, in norms of an ordinary group of its layer and size. With
        ``sparsity=None`` it decides how much is removed. One element of each layer stays even if
        all come to zero.
    share : float, default=0.5
        Fraction of the epochs of fine-tuning that go to this training; in (0, 1).

    References
    ----------
    Yuan, M., & Lin, Y. (2006). Model selection and estimation in regression with grouped
    variables. Journal of the Royal Statistical Society B, 68(1), 49-67.

    Wen, W., Wu, C., Wang, Y., Chen, Y., & Li, H. (2016). Learning structured sparsity in deep
    neural networks. Advances in Neural Information Processing Systems 29.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(
    ...     strategy=Strategy(regularizer="group_lasso"), structure="unit", sparsity=None
    ... )
    PrunedClassifier(sparsity=None, strategy=Strategy(regularizer='group_lasso'),
                     structure='unit')
    """

    _parameter_constraints: ClassVar[dict] = {
        "strength": [Interval(Real, 0, None, closed="left")],
        "share": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(self, strength: float = 1.0, share: float = 0.5) -> None:
        self.strength = strength
        self.share = share

    def hook(self, elements: Elements, project: Projection | None) -> TrainingHook:
        """Make what takes part in the training; see :class:`Regularizer`."""
        return _GroupSoftThreshold(elements, self.strength)


class _GroupSoftThreshold(TrainingHook):
    def __init__(self, elements: Elements, strength: float) -> None:
        self._elements = elements
        self._strength = strength

    def begin(self, run: TrainingRun) -> None:
        weights = self._weights = self._elements.network.weights
        ones = {name: torch.ones_like(weight.detach()) for name, weight in weights.items()}
        self._roots = {layer: n.sqrt() for layer, n in self._elements.total(ones).items()}
        self._pace = Pace(run, weights)

    def after_step(self) -> None:
        squares = {name: weight.detach().square() for name, weight in self._weights.items()}
        norms = {layer: total.sqrt() for layer, total in self._elements.total(squares).items()}
        pace = self._pace()
        for part in set(pace.values()):
            most = min(self._strength * part, _MOST)
            factors = {}
            for layer, norm in norms.items():
                root = self._roots[layer]
                threshold = most * (norm / root).mean() * root
                factors[layer] = _shrink(norm, threshold)
            for name, factor in self._elements.spread(factors).items():
                if pace.get(name) == part:
                    weight = self._weights[name].data
                    weight.mul_(factor.to(weight))


def _shrink(norm: Tensor, threshold: Tensor) -> Tensor:
    """Give the factor that takes a threshold from a norm, or all there is of it."""
    tiny = torch.finfo(norm.dtype).tiny
    return (1 - threshold / norm.clamp(min=tiny)).clamp(min=0)
