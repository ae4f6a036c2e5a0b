"""Movement: weights that training moves towards zero go first."""

from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.importance.base import Importance, ScoringContext
from skprune.strategies.importance.gradients import mean_gradient, require_gradients

__all__ = ["Movement"]


class Movement(Importance):
    """Minus the product of weight and gradient, summed over the steps of training.

    It is positive where training moves a weight away from zero, which is then kept, however small
    the weight still is. It is summed from one pruning step to the next, and before the first step
    over `lead_fraction` of the epochs of fine-tuning. Where no epoch lies between two steps, or
    there is none at all, it is the movement that one more step over `n_samples` rows would make. A
    unit sums the scores of all the weights that go with it.

    Parameters
    ----------
    lead_fraction : float, default=0.3
        Fraction of the epochs of fine-tuning, in (0, 1], that go before the first step. Below 1,
        at least one epoch is left for after it.
    n_samples : int or None, default=1000
        How many rows, drawn at random, are looked at where there was no training; all if None.

    Notes
    -----
    The paper goes on summing over the whole training, for removed weights too, whose gradients are
    passed straight through the mask, so that they may come back. Here the sums begin anew after
    each step, and what is removed stays removed.

    References
    ----------
    Sanh, V., Wolf, T., & Rush, A. M. (2020). Movement pruning: adaptive sparsity by fine-tuning.
    Advances in Neural Information Processing Systems 33.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import Movement
    >>> PrunedClassifier(strategy=Strategy(Movement(lead_fraction=0.5), schedule="cubic"))
    PrunedClassifier(strategy=Strategy(importance=Movement(lead_fraction=0.5),
                                       schedule='cubic'))
    """

    _parameter_constraints: ClassVar[dict] = {
        "lead_fraction": [Interval(Real, 0, 1, closed="right")],
        "n_samples": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(self, lead_fraction: float = 0.3, n_samples: int | None = 1000) -> None:
        self.lead_fraction = lead_fraction
        self.n_samples = n_samples

    def observer(self) -> TrainingHook:
        """Make what sums the movement; see :class:`Importance`."""
        return _Accumulated()

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        weights = context.elements.network.weights
        observed = context.observed
        if isinstance(observed, _Accumulated) and observed.movement:
            movement = {
                name: observed.movement.get(weight, torch.zeros_like(weight)).detach()
                for name, weight in weights.items()
            }
        else:
            movement = {
                name: -g * context.weights[name]
                for name, g in mean_gradient(context, self.n_samples).items()
            }
        scores = context.elements.sum_by_element(movement)
        require_gradients(scores, context.elements)
        return scores


class _Accumulated(TrainingHook):
    """Sums minus the product of each weight and its gradient over the steps."""

    def __init__(self) -> None:
        self.movement: dict[Tensor, Tensor] = {}

    def begin(self, run: TrainingRun) -> None:
        self._run = run

    def after_backward(self) -> None:
        for weight in (weight for group in self._run.param_groups for weight in group["params"]):
            if weight.grad is not None:
                if weight not in self.movement:
                    dtype = torch.promote_types(weight.dtype, torch.float32)
                    self.movement[weight] = torch.zeros_like(weight, dtype=dtype)
                self.movement[weight].addcmul_(weight.detach(), weight.grad.to_dense(), value=-1)
