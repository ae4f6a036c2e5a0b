"""Sparse optimisation by noise on what elements pass on, which learns how little has to pass."""

from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.regularization.base import Projection, Regularizer
from skprune.strategies.regularization.gating import Gating
from skprune.strategies.regularization.target import least_kept
from skprune.strategies.selection import keep_best
from skprune.structures import Elements

__all__ = ["InformationBottleneck"]

# Where the logarithms of the variances begin, how far Adam takes one that is always pushed the same
# way, and how far it takes such a mean, each only so far in one step.
_START, _TRAVEL, _STRIDE = -6.0, 12.0, 0.5
_MEAN_TRAVEL, _MEAN_STRIDE = 1.0, 0.05


class InformationBottleneck(Regularizer):
    """Random factors of what elements pass on, whose noise is learned (variational bottleneck).

    Each element has a factor ``mean + deviation * noise``, drawn for each training step with
    normal noise; the weights that read what a unit puts out are multiplied by it, and the weights
    of an element that is no unit. The penalty is a bound of the information that passes:
    ``0.5 * log(1 + mean ** 2 / deviation ** 2)`` for each element, times its number of weights.

    The net's optimizer trains the weights. An Adam of its own trains the means, which begin at 1,
    and the logarithms of the variances, which begin at -6. Its rate for the latter, 12 over the
    number of steps, lets one that is always pushed the same way close its element in the first
    half of the training; it is 0.5 at most. The rate for the means is 1 over the number of steps,
    0.05 at most.

    When it ends, the weights are multiplied by the means without noise, and those of elements
    whose variance is larger than the squared mean are exactly zero. The penalty of a layer is off
    while no more of its elements pass than the target sparsity leaves, or one without a target;
    where fewer pass at the end, those of the largest means relative to their deviations are kept.

    All rows of a batch see the same factors, which gives the same gradients on average as the
    paper's noise for each row, and noisier ones. Validation in the course of this training sees
    the network without factors. Frozen weights are left alone.

    Parameters
    ----------
    strength : float, default=10.0
        Weight of the penalty of an element of mean size, in units of the mean magnitude, over the
        elements and over the steps taken, of the gradient of the loss with respect to the
        logarithm of the variance. It thus means the same for any loss. With ``sparsity=None`` it
        decides how much is removed.
    lead_fraction : float, default=0.3
        Fraction of the epochs of fine-tuning that go to this training; in (0, 1). One at least is
        left for after it: a single one goes there, unless ``sparsity=None``.

    References
    ----------
    Dai, B., Zhu, C., Guo, B., & Wipf, D. (2018). Compressing neural networks using the variational
    information bottleneck. International Conference on Machine Learning.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(
    ...     strategy=Strategy(regularizer="information_bottleneck"),
    ...     structure="unit",
    ...     sparsity=None,
    ... )
    PrunedClassifier(sparsity=None,
                     strategy=Strategy(regularizer='information_bottleneck'),
                     structure='unit')
    """

    _parameter_constraints: ClassVar[dict] = {
        "strength": [Interval(Real, 0, None, closed="left")],
        "lead_fraction": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(self, strength: float = 10.0, lead_fraction: float = 0.3) -> None:
        self.strength = strength
        self.lead_fraction = lead_fraction

    def hook(self, elements: Elements, project: Projection | None) -> TrainingHook:
        """Make what takes part in the training; see :class:`Regularizer`."""
        return _NoisyFactors(elements, project, self.strength)


class _NoisyFactors(TrainingHook):
    def __init__(self, elements: Elements, project: Projection | None, strength: float) -> None:
        self._elements = elements
        self._project = project
        self._strength = strength

    def begin(self, run: TrainingRun) -> None:
        self._run = run
        elements = self._elements
        weights = self._weights = elements.network.weights
        trained = {n: torch.full_like(w, float(w.requires_grad)) for n, w in weights.items()}
        totals = elements.sum_by_element(trained)
        sizes = {layer: n * elements.kept[layer].to(n.device) for layer, n in totals.items()}
        # What is gone, and what has nothing but frozen weights, has no noise and no penalty.
        self._gated = {layer: size > 0 for layer, size in sizes.items()}
        self._n_gated = max(sum(int(gated.sum()) for gated in self._gated.values()), 1)
        mean_size = max(sum(float(size.sum()) for size in sizes.values()) / self._n_gated, 1)
        self._costs = {layer: size / mean_size for layer, size in sizes.items()}
        self._means = {
            layer: torch.ones_like(size).requires_grad_() for layer, size in sizes.items()
        }
        self._log_variances = {
            layer: torch.full_like(size, _START).requires_grad_() for layer, size in sizes.items()
        }
        self._n_seen, self._pushed = 0, 0.0
        self._least = least_kept(elements, self._project)
        n_steps = run.n_steps
        variances, means = self._log_variances.values(), self._means.values()
        self._adam = torch.optim.Adam(
            [
                {"params": list(variances), "lr": min(_TRAVEL / n_steps, _STRIDE)},
                {"params": list(means), "lr": min(_MEAN_TRAVEL / n_steps, _MEAN_STRIDE)},
            ]
        )
        # A private source, under the seed of the stage.
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._noise: dict[str, Tensor] = {}
        self._gating = Gating(weights, elements.expand_to_readers)

    def before_forward(self) -> None:
        if not self._noise:  # an optimizer that looks several times sees the same factors
            for layer, mean in self._means.items():
                drawn = torch.randn(mean.shape, generator=self._generator)
                self._noise[layer] = drawn.to(mean) * self._gated[layer]
        self._gating.gate(
            {
                layer: mean + (self._log_variances[layer] / 2).exp() * self._noise[layer]
                for layer, mean in self._means.items()
            }
        )

    def after_backward(self) -> None:
        means, log_variances = self._means.values(), self._log_variances.values()
        gradients = self._gating.backward([*means, *log_variances])
        of_means, of_variances = gradients[: len(means)], gradients[len(means) :]
        self._n_seen += 1
        self._pushed += sum(float(g.abs().sum()) for g in of_variances)
        unit = self._strength * self._pushed / (self._n_seen * self._n_gated)
        for layer, of_mean, of_variance in zip(self._means, of_means, of_variances, strict=True):
            if self._passes(layer).sum() > self._least[layer]:
                mean, variance = self._means[layer].detach(), self._variance(layer)
                slope = unit * self._costs[layer] * mean / (mean**2 + variance)
                of_mean += slope
                of_variance -= slope * mean / 2
            self._means[layer].grad = of_mean * self._gated[layer]
            self._log_variances[layer].grad = of_variance * self._gated[layer]

    def after_step(self) -> None:
        self._adam.step()
        self._run.start_afresh()
        self._noise = {}

    def end(self) -> None:
        self._gating.ungate()
        stays = {}
        with torch.no_grad():
            for layer in self._means:
                signal = self._signal(layer)
                best = keep_best(signal, self._least[layer])
                stays[layer] = (self._passes(layer) | best.to(signal.device)).to(signal)
            self._gating.gate({layer: mean.detach() for layer, mean in self._means.items()})
            Gating(self._weights, self._elements.expand_to_weights).gate(stays)

    def _variance(self, layer: str) -> Tensor:
        return self._log_variances[layer].detach().exp()

    def _signal(self, layer: str) -> Tensor:
        """Give the squared means by the variances; infinity without noise, -1 for what is gone."""
        signal = self._means[layer].detach() ** 2 / self._variance(layer)
        signal = signal.masked_fill(~self._gated[layer], torch.inf)
        return signal.masked_fill(~self._elements.kept[layer].to(signal.device), -1)

    def _passes(self, layer: str) -> Tensor:
        """Say which elements let more than noise through."""
        return self._signal(layer) >= 1
