"""Sparse optimisation by alternating directions: train towards what pruning would leave."""

from numbers import Integral, Real
from typing import ClassVar, NoReturn

from torch import Tensor

from skprune._sklearn import Interval, InvalidParameterError
from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.regularization.base import Projection, Regularizer
from skprune.strategies.regularization.pace import Pace
from skprune.structures import Elements

__all__ = ["ADMM"]


class ADMM(Regularizer):
    """Pulls the weights to the nearest ones that have the target sparsity.

    The weights `W` are trained under the penalty ``rho / 2 * ||W - Z + U||^2``. At intervals,
    `Z` becomes the projection of ``W + U`` onto what has the target sparsity, layer by layer as
    the allocation says, and `U` grows by the gap ``W - Z``, so that weights that are to go are
    pulled harder the longer they resist.

    The penalty is applied as a proximal step after each step of the optimizer, so that it means
    the same for any. `rho` is ``strength / (lr_0 * n_steps)``, with `lr_0` the highest learning
    rate so far and `n_steps` the number of steps: a gap that the loss does not hold open is
    closed to about ``exp(-strength)`` of it in the stage, by the pull of `Z` alone.

    Parameters
    ----------
    strength : float, default=10.0
        How strongly the weights are pulled.
    interval : int, default=None
        Number of training steps between projections; a tenth of the stage's if None.
    lead_fraction : float, default=0.3
        Fraction of the epochs of fine-tuning that go to this training; in (0, 1). One at least is
        left for after it.

    References
    ----------
    Zhang, T., Ye, S., Zhang, K., Tang, J., Wen, W., Fardad, M., & Wang, Y. (2018). A systematic
    DNN weight pruning framework using alternating direction method of multipliers. European
    Conference on Computer Vision.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy(regularizer="admm"), sparsity=0.9)
    PrunedClassifier(sparsity=0.9, strategy=Strategy(regularizer='admm'))
    """

    _parameter_constraints: ClassVar[dict] = {
        "strength": [Interval(Real, 0, None, closed="left")],
        "interval": [Interval(Integral, 1, None, closed="left"), None],
        "lead_fraction": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self, strength: float = 10.0, interval: int | None = None, lead_fraction: float = 0.3
    ) -> None:
        self.strength = strength
        self.interval = interval
        self.lead_fraction = lead_fraction

    def check_decides(self) -> NoReturn:
        """Raise an error; see :class:`Regularizer`."""
        raise InvalidParameterError(
            "regularizer='admm' trains towards a target sparsity, and there is none. Set sparsity "
            "to a number, or use a regularizer that decides by itself: 'l1', 'group_lasso', 'l0'."
        )

    def hook(self, elements: Elements, project: Projection | None) -> TrainingHook:
        """Make what takes part in the training; see :class:`Regularizer`."""
        if project is None:
            self.check_decides()
        return _Pull(elements, project, self.strength, self.interval)


class _Pull(TrainingHook):
    def __init__(
        self, elements: Elements, project: Projection, strength: float, interval: int | None
    ) -> None:
        self._elements = elements
        self._project = project
        self._strength = strength
        self._interval = interval

    def begin(self, run: TrainingRun) -> None:
        self._run = run
        self._weights = self._elements.network.weights
        self._pace = Pace(run, self._weights)
        self._every = self._interval or max(run.n_steps // 10, 1)
        self._dual = {
            name: weight.detach().clone().zero_() for name, weight in self._weights.items()
        }
        self._nearest = self._projected()

    def after_step(self) -> None:
        for name, part in self._pace().items():
            pull = self._strength * part
            goal = self._nearest[name] - self._dual[name]
            self._weights[name].data.lerp_(goal, pull / (1 + pull))
        self._run.start_afresh()
        if self._run.step % self._every == 0:
            self._nearest = self._projected()
            for name, weight in self._weights.items():
                self._dual[name] += weight.detach() - self._nearest[name]

    def _projected(self) -> dict[str, Tensor]:
        """Find what is nearest to the weights and the dual together."""
        sums = {name: w.detach() + self._dual[name] for name, w in self._weights.items()}
        kept = self._project(sums)
        return {name: s * kept[name].to(s) if name in kept else s for name, s in sums.items()}
