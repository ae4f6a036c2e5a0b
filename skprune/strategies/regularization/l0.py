"""Sparse optimisation by a penalty on the number of elements that are left, with random gates."""

from math import log
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

__all__ = ["L0"]

# The temperature of the gates, and the range that they are stretched to before they are clipped.
_BETA, _GAMMA, _ZETA = 2 / 3, -0.1, 1.1

# Where log alpha begins (the gates are almost always open), and how far Adam takes one that is
# always pushed the same way: to the other side and beyond, but only so far in one step.
_START, _TRAVEL, _STRIDE = 2.0, 12.0, 0.5


class L0(Regularizer):
    """Gates that open and close at random, and learn to stay closed.

    Each element has a gate that its weights are multiplied by. It is drawn for each training step
    from the hard concrete distribution: ``clip(1.2 * s - 0.1, 0, 1)`` with
    ``s = sigmoid((log(u) - log(1 - u) + log_alpha) / (2 / 3))`` and `u` uniform. The penalty is
    the expected number of weights whose gates are not zero: the probability of that,
    ``sigmoid(log_alpha - 2 / 3 * log(0.1 / 1.1))``, times the number of weights of the element.

    The net's optimizer trains the weights. An Adam of its own trains `log_alpha`, which begins at
    2, so that almost all gates are open. Its learning rate, 12 over the number of steps, lets gates
    that are always pushed the same way close in the first half of the training; it is 0.5 at most.

    When it ends, the weights are multiplied by the gates without noise,
    ``clip(1.2 * sigmoid(log_alpha) - 0.1, 0, 1)``, and those of closed gates are exactly zero. The
    penalty of a layer is off while no more of its gates are open than the target sparsity leaves,
    or one without a target; where fewer are open at the end, those of the largest `log_alpha` are
    opened.
    Validation in the course of this training sees the network without gates. Frozen weights are
    left alone.

    Parameters
    ----------
    strength : float, default=20.0
        Weight of the penalty: what it costs to have an element of mean size open, in units of the
        mean magnitude, over the gates and over the steps taken, of the gradient of the loss with
        respect to `log_alpha`. It thus means the same for any loss. With ``sparsity=None`` it
        decides how much is removed.
    lead_fraction : float, default=0.3
        Fraction of the epochs of fine-tuning that go to this training; in (0, 1). One at least is
        left for after it: a single one goes there, unless ``sparsity=None``.

    References
    ----------
    Louizos, C., Welling, M., & Kingma, D. P. (2018). Learning sparse neural networks through L0
    regularization. International Conference on Learning Representations.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy(regularizer="l0"), sparsity=None)
    PrunedClassifier(sparsity=None, strategy=Strategy(regularizer='l0'))
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
        return _Gates(elements, project, self.strength)


class _Gates(TrainingHook):
    def __init__(self, elements: Elements, project: Projection | None, strength: float) -> None:
        self._elements = elements
        self._project = project
        self._strength = strength

    def begin(self, run: TrainingRun) -> None:
        self._run = run
        weights = self._elements.network.weights
        trained = {n: torch.full_like(w, float(w.requires_grad)) for n, w in weights.items()}
        totals = self._elements.sum_by_element(trained)
        kept = {layer: self._elements.kept[layer].to(n.device) for layer, n in totals.items()}
        sizes = {layer: n * kept[layer] for layer, n in totals.items()}
        # Gates of nothing but frozen weights are open for good, those of what is gone are closed.
        self._log_alphas = {
            layer: torch.where(size > 0, _START, torch.inf)
            .masked_fill(~kept[layer], -torch.inf)
            .to(size)
            .requires_grad_()
            for layer, size in sizes.items()
        }
        n_gates = max(sum(int((size > 0).sum()) for size in sizes.values()), 1)
        mean_size = max(sum(float(size.sum()) for size in sizes.values()) / n_gates, 1)
        self._costs = {layer: size / mean_size for layer, size in sizes.items()}
        self._n_gates, self._n_seen, self._pushed = n_gates, 0, 0.0
        self._least = least_kept(self._elements, self._project)
        self._adam = torch.optim.Adam(
            self._log_alphas.values(), lr=min(_TRAVEL / run.n_steps, _STRIDE)
        )
        # A private source, under the seed of the stage.
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._noise: dict[str, Tensor] = {}
        self._gating = Gating(weights, self._elements.expand_to_weights)

    def before_forward(self) -> None:
        if not self._noise:  # an optimizer that looks several times sees the same gates
            self._noise = {
                layer: torch.rand(a.shape, generator=self._generator).to(a)
                for layer, a in self._log_alphas.items()
            }
        self._gating.gate(
            {layer: _gates(a, self._noise[layer]) for layer, a in self._log_alphas.items()}
        )

    def after_backward(self) -> None:
        gradients = self._gating.backward(list(self._log_alphas.values()))
        self._n_seen += 1
        self._pushed += sum(float(g.abs().sum()) for g in gradients)
        unit = self._strength * self._pushed / (self._n_seen * self._n_gates)
        for (layer, a), gradient in zip(self._log_alphas.items(), gradients, strict=True):
            a.grad = gradient
            if _gates(a.detach()).count_nonzero() > self._least[layer]:
                p = _open_probability(a.detach())
                a.grad += unit * self._costs[layer] * p * (1 - p)

    def after_step(self) -> None:
        self._adam.step()
        self._run.start_afresh()
        self._noise = {}

    def end(self) -> None:
        self._gating.ungate()
        with torch.no_grad():
            gates = {layer: _gates(a) for layer, a in self._log_alphas.items()}
            for layer, gate in gates.items():
                best = keep_best(self._log_alphas[layer], self._least[layer])
                gate[best & (gate == 0)] = 1.0
            self._gating.gate(gates)


def _gates(log_alpha: Tensor, noise: Tensor | None = None) -> Tensor:
    """Draw hard concrete gates by uniform noise; without it, give what they are in the middle."""
    if noise is None:
        s = log_alpha.sigmoid()
    else:
        s = ((torch.logit(noise, eps=1e-6) + log_alpha) / _BETA).sigmoid()
    return (s * (_ZETA - _GAMMA) + _GAMMA).clamp(0, 1)


def _open_probability(log_alpha: Tensor) -> Tensor:
    """Give the probability that gates are not zero."""
    return (log_alpha - _BETA * log(-_GAMMA / _ZETA)).sigmoid()
