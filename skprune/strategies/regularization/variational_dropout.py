"""Sparse optimisation by noise on single weights, which learns how much each can bear."""

from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.regularization.base import Projection, Regularizer
from skprune.strategies.regularization.target import least_kept_weights
from skprune.strategies.selection import keep_best
from skprune.structures import Elements

__all__ = ["VariationalDropout"]

# The constants of equation 14 of the paper.
_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695

# A weight is noise where log alpha is larger.
_NOISE = 3.0

# Where log alpha of a weight of mean magnitude begins, and how far Adam takes the logarithm of a
# variance that is always pushed the same way: far beyond `_NOISE`, but only so far in one step.
_START, _TRAVEL, _STRIDE = -8.0, 18.0, 0.5


class VariationalDropout(Regularizer):
    """Gaussian noise on each weight, whose variance is learned (sparse variational dropout).

    Each training step draws the weights from normal distributions: their means are the weights
    themselves, which the net's optimizer trains, and their variances are trained by an Adam of its
    own. With ``alpha = variance / mean ** 2``, the penalty is the paper's approximation of the
    Kullback-Leibler divergence from a log-uniform prior, up to a constant:
    ``0.63576 * sigmoid(-1.8732 - 1.48695 * log(alpha)) + 0.5 * log(1 + 1 / alpha)``. It falls with
    alpha, so a weight whose noise does not disturb the loss becomes noise alone.

    What the penalty does to the means is a proximal step after each step of the optimizer, for the
    parabola around zero that has its slope there, so that no mean passes zero at any learning rate.

    When it ends, the noise is gone, and weights with ``log(alpha) > 3`` are exactly zero. The
    penalty of a layer's weights is off while no more of them have less noise than that than the
    target sparsity leaves, or one without a target; where fewer have at the end, those of the
    smallest alpha are kept.

    The variance begins at ``exp(-8)`` of the squared mean magnitude of the layer's weights. The
    rate of its logarithm, 18 over the number of steps, lets one that is always pushed the same
    way cross the threshold in the second third of the training; it is 0.5 at most.

    Weights are drawn one by one, whatever the structure; :class:`InformationBottleneck` draws
    together what is removed together. All rows of a batch see the same weights, which gives the
    same gradients on average as the paper's noise for each row, and noisier ones.
    Validation in the course of this training sees the network without noise. Frozen weights are
    left alone.

    Parameters
    ----------
    strength : float, default=20.0
        Weight of the penalty, in units of the mean magnitude, over the weights and over the steps
        taken, of the gradient of the loss with respect to the logarithm of the variance. It thus
        means the same for any loss. With ``sparsity=None`` it decides how much is removed.
    lead_fraction : float, default=0.3
        Fraction of the epochs of fine-tuning that go to this training; in (0, 1). One at least is
        left for after it: a single one goes there, unless ``sparsity=None``.

    References
    ----------
    Molchanov, D., Ashukha, A., & Vetrov, D. (2017). Variational dropout sparsifies deep neural
    networks. International Conference on Machine Learning.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy(regularizer="variational_dropout"), sparsity=None)
    PrunedClassifier(sparsity=None,
                     strategy=Strategy(regularizer='variational_dropout'))
    """

    _parameter_constraints: ClassVar[dict] = {
        "strength": [Interval(Real, 0, None, closed="left")],
        "lead_fraction": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(self, strength: float = 20.0, lead_fraction: float = 0.3) -> None:
        self.strength = strength
        self.lead_fraction = lead_fraction

    def hook(self, elements: Elements, project: Projection | None) -> TrainingHook:
        """Make what takes part in the training; see :class:`Regularizer`."""
        return _NoisyWeights(elements, project, self.strength)


class _NoisyWeights(TrainingHook):
    def __init__(self, elements: Elements, project: Projection | None, strength: float) -> None:
        self._elements = elements
        self._project = project
        self._strength = strength

    def begin(self, run: TrainingRun) -> None:
        self._run = run
        gone = {layer: (~kept).float() for layer, kept in self._elements.kept.items()}
        spread = self._elements.expand_to_weights(gone)
        weights = self._elements.network.weights
        self._removable = {
            name: value == 0
            for name, value in spread.items()
            if weights[name].requires_grad and (value == 0).any()
        }
        self._weights = {name: weights[name] for name in self._removable}
        self._log_variances = {
            name: torch.full_like(weight.detach(), _START)
            .add_(2 * _mean_magnitude(weight.detach()[self._removable[name]]).log())
            .requires_grad_()
            for name, weight in self._weights.items()
        }
        self._n_weights = sum(int(removable.sum()) for removable in self._removable.values())
        self._n_seen, self._pushed = 0, 0.0
        self._least = least_kept_weights(self._elements, self._project)
        self._adam = torch.optim.Adam(
            # An optimizer takes no empty list.
            list(self._log_variances.values()) or [torch.zeros(1)],
            lr=min(_TRAVEL / run.n_steps, _STRIDE),
        )
        # A private source, under the seed of the stage.
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._noise: dict[str, Tensor] = {}
        self._means: dict[str, Tensor] = {}
        self._penalized: set[str] = set()

    def before_forward(self) -> None:
        if not self._noise:  # an optimizer that looks several times sees the same weights
            for name, log_variance in self._log_variances.items():
                drawn = torch.randn(log_variance.shape, generator=self._generator)
                deviation = (log_variance.detach() / 2).exp()
                self._noise[name] = drawn.to(deviation) * deviation * self._removable[name]
        for name, noise in self._noise.items():
            self._means[name] = self._weights[name].detach().clone()
            self._weights[name].data.add_(noise)

    def after_backward(self) -> None:
        self._set_to_means()
        pushes = {}
        for name, noise in self._noise.items():
            gradient = self._weights[name].grad
            push = torch.zeros_like(noise) if gradient is None else gradient.to_dense() * noise / 2
            self._pushed += float(push.abs().sum())
            pushes[name] = push
        self._n_seen += 1
        self._unit = self._strength * self._pushed / (self._n_seen * max(self._n_weights, 1))
        self._penalized = set()
        for name, log_alpha in self._log_alphas().items():
            if (log_alpha <= _NOISE).sum() > self._least[name]:
                self._penalized.add(name)
                pushes[name] += self._unit * _slope(log_alpha)
            self._log_variances[name].grad = pushes[name]

    def after_step(self) -> None:
        for name, log_alpha in self._log_alphas().items():
            if name in self._penalized:
                weight = self._weights[name]
                # The logarithm of the squared mean is the other half of log alpha.
                slope = -self._unit * _slope(log_alpha) / _away_from_zero(weight.detach()).square()
                weight.data.div_(1 + 2 * self._run.lr(weight) * slope)
        self._adam.step()
        self._run.start_afresh()
        self._noise = {}

    def end(self) -> None:
        self._set_to_means()
        for name, log_alpha in self._log_alphas().items():
            keeps = log_alpha <= _NOISE
            keeps |= keep_best(-log_alpha.flatten(), self._least[name]).view_as(keeps)
            self._weights[name].data.mul_(keeps | ~self._removable[name])

    def _set_to_means(self) -> None:
        for name, mean in self._means.items():
            self._weights[name].data.copy_(mean)
        self._means = {}

    def _log_alphas(self) -> dict[str, Tensor]:
        """Give log alpha of each weight; infinity for what cannot be removed, or is gone."""
        return {
            name: (
                log_variance.detach()
                - 2 * _away_from_zero(self._weights[name].detach()).abs().log()
            ).masked_fill(~self._removable[name], torch.inf)
            for name, log_variance in self._log_variances.items()
        }


def _slope(log_alpha: Tensor) -> Tensor:
    """Differentiate the penalty by log alpha; zero where that is infinite."""
    s = (-_K2 - _K3 * log_alpha).sigmoid()
    return -_K1 * _K3 * s * (1 - s) - (-log_alpha).sigmoid() / 2


def _mean_magnitude(weight: Tensor) -> Tensor:
    return _away_from_zero(weight.abs().mean())


def _away_from_zero(weight: Tensor) -> Tensor:
    """Replace what is too near to zero for its square to be divided by."""
    least = torch.finfo(weight.dtype).tiny ** 0.5
    return torch.where(weight.abs() < least, least, weight)
