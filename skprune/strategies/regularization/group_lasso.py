"""Sparse optimisation by the sum of the norms of what is removed together."""

from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.regularization.base import Projection, Regularizer
from skprune.strategies.regularization.pace import Pace
from skprune.strategies.regularization.target import least_kept
from skprune.structures import Elements

__all__ = ["GroupLasso"]


class GroupLasso(Regularizer):
    """Soft thresholding of norms after each step of any optimizer: groups come to exactly zero.

    The groups are the elements of the structure. A step takes
    ``strength * mean * sqrt(size) * lr / (lr_0 * n_steps)`` from the Euclidean norm of each group,
    or all there is of it, where `size` is its number of weights, `mean` the present mean of
    ``norm / sqrt(size)`` over the layer, `lr` the learning rate, `lr_0` the highest so far, and
    `n_steps` the number of steps of the training. What `strength` does is thus the same for any
    learning rate and length. It stops in a layer where no more groups are left than the
    target sparsity leaves there, or one without a target.

    A weight that goes with two units is shrunk by both. For single weights this is :class:`L1`.
    Frozen weights are left alone.

    Parameters
    ----------
    strength : float, default=None
        How much is taken from each group, in norms of an ordinary group of its layer and size.
        With ``sparsity=None`` it decides how much is removed, which may be nothing. None stands
        for 1 where there is a target sparsity, and for 5 where there is none.
    lead_fraction : float, default=0.3
        Fraction of the epochs of fine-tuning that go to this training; in (0, 1). One at least is
        left for after it: a single one goes there, unless ``sparsity=None``.

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
        "strength": [Interval(Real, 0, None, closed="left"), None],
        "lead_fraction": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(self, strength: float | None = None, lead_fraction: float = 0.3) -> None:
        self.strength = strength
        self.lead_fraction = lead_fraction

    def hook(self, elements: Elements, project: Projection | None) -> TrainingHook:
        """Make what takes part in the training; see :class:`Regularizer`."""
        strength = self.strength
        if strength is None:
            strength = 5.0 if project is None else 1.0
        return _GroupSoftThreshold(elements, project, strength)


class _GroupSoftThreshold(TrainingHook):
    def __init__(self, elements: Elements, project: Projection | None, strength: float) -> None:
        self._elements = elements
        self._project = project
        self._strength = strength

    def begin(self, run: TrainingRun) -> None:
        weights = self._weights = self._elements.network.weights
        ones = {name: torch.ones_like(weight.detach()) for name, weight in weights.items()}
        self._roots = {layer: n.sqrt() for layer, n in self._elements.sum_by_element(ones).items()}
        # What went at an earlier step has no size, and is no part of its layer any more.
        self._alive = {
            layer: self._elements.kept[layer].to(root.device) for layer, root in self._roots.items()
        }
        self._least = least_kept(self._elements, self._project)
        self._run, self._pace = run, Pace(run, weights)

    def after_step(self) -> None:
        squares = {name: weight.detach().square() for name, weight in self._weights.items()}
        totals = self._elements.sum_by_element(squares)
        sizes = {
            layer: (total.sqrt() / self._roots[layer])[self._alive[layer]]
            for layer, total in totals.items()
        }
        pace = self._pace()
        for part in set(pace.values()):
            factors = {layer: torch.ones_like(total) for layer, total in totals.items()}
            for layer, size in sizes.items():
                shrunk = _shrink(size, self._strength * part, self._least[layer])
                factors[layer][self._alive[layer]] = shrunk
            for name, factor in self._elements.expand_to_weights(factors).items():
                if pace.get(name) == part:
                    weight = self._weights[name].data
                    weight.mul_(factor.to(weight))
        self._run.start_afresh()


def _shrink(sizes: Tensor, strength: float, n_kept: int) -> Tensor:
    """Give the factors that take so many mean sizes from each, or all there is of it."""
    if n_kept >= len(sizes):
        return torch.ones_like(sizes)
    # At the last that is not kept, all that are not are zero.
    last = sizes.kthvalue(len(sizes) - n_kept).values
    threshold = last.minimum(strength * sizes.mean())
    return (1 - threshold / sizes.clamp(min=torch.finfo(sizes.dtype).tiny)).clamp(min=0)
