"""Sparse optimisation by the sum of magnitudes."""

from numbers import Real
from typing import ClassVar

from skprune._sklearn import Interval
from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.regularization.base import Projection, Regularizer
from skprune.strategies.regularization.pace import Pace
from skprune.strategies.regularization.target import least_kept_weights
from skprune.structures import Elements

__all__ = ["L1"]


class L1(Regularizer):
    """Soft thresholding after each step of any optimizer: weights come to exactly zero.

    A step takes ``strength * mean * lr / (lr_0 * n_steps)`` from the magnitude of each weight, or
    all there is of it, where `mean` is the present mean magnitude of the layer's weights, `lr` the
    learning rate, `lr_0` the highest so far, and `n_steps` the number of steps of the training.
    What `strength` does is thus the same for any learning rate and length. For plain gradient
    descent it is the proximal gradient method, with a penalty that grows with the square of the
    layer's sum of magnitudes. It stops in a layer where no more weights are left than the target
    sparsity leaves there, or one without a target.

    Weights are pushed one by one, whatever the structure; :class:`GroupLasso` pushes together
    what is removed together. Frozen weights are left alone.

    Parameters
    ----------
    strength : float, default=None
        How much is taken from each weight, in mean magnitudes of its layer. With
        ``sparsity=None`` it decides how much is removed, which may be nothing. None stands for 2
        where there is a target sparsity, and for 10 where there is none.
    lead_fraction : float, default=0.3
        Fraction of the epochs of fine-tuning that go to this training; in (0, 1). One at least is
        left for after it: a single one goes there, unless ``sparsity=None``.

    References
    ----------
    Tibshirani, R. (1996). Regression shrinkage and selection via the lasso. Journal of the Royal
    Statistical Society B, 58(1), 267-288.

    Parikh, N., & Boyd, S. (2014). Proximal algorithms. Foundations and Trends in Optimization,
    1(3), 127-239.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import L1
    >>> PrunedClassifier(strategy=Strategy(regularizer=L1(strength=2.0)), sparsity=None)
    PrunedClassifier(sparsity=None, strategy=Strategy(regularizer=L1(strength=2.0)))
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
            strength = 10.0 if project is None else 2.0
        return _SoftThreshold(elements, project, strength)


class _SoftThreshold(TrainingHook):
    def __init__(self, elements: Elements, project: Projection | None, strength: float) -> None:
        self._elements = elements
        self._project = project
        self._strength = strength

    def begin(self, run: TrainingRun) -> None:
        weights = self._elements.network.weights
        gone = {layer: (~kept).float() for layer, kept in self._elements.kept.items()}
        spread = self._elements.expand_to_weights(gone)
        self._removable = {name: value == 0 for name, value in spread.items()}
        self._weights = {name: weights[name] for name in spread}
        self._least = least_kept_weights(self._elements, self._project)
        self._run, self._pace = run, Pace(run, self._weights)

    def after_step(self) -> None:
        for name, part in self._pace().items():
            weight, removable = self._weights[name].data, self._removable[name]
            n_kept, magnitudes = self._least[name], weight[removable].abs()
            if n_kept < len(magnitudes):
                # At the last that is not kept, all that are not are zero.
                last = magnitudes.kthvalue(len(magnitudes) - n_kept).values
                threshold = last.minimum(self._strength * part * magnitudes.mean())
                weight.sub_(weight.clamp(-threshold, threshold) * removable)
        self._run.start_afresh()
