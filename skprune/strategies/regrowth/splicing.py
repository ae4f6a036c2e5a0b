"""Dynamic network surgery: removed weights are trained on, and may come back."""

from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval
from skprune.network.network import Network
from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.regrowth.base import Regrow, Regrowth, StageSpan
from skprune.strategies.regrowth.frozen import frozen_layers
from skprune.strategies.regrowth.updates import Updates
from skprune.strategies.selection import keep_best
from skprune.structures import Elements

__all__ = ["Splicing"]


class Splicing(Regrowth):
    """Keeps training what is masked, and keeps the largest of each layer at intervals.

    Beneath its mask, a weight goes on from where it was when it was removed, over all steps of the
    schedule: by the gradient that it would have were it there at zero, and by the optimizer's
    weight decay, which sees it as it is. It comes back, with the value that it has reached, when it
    has outgrown one that is kept. The paper has thresholds decide; here the largest stay, so that
    each layer keeps as many as it did. Frozen layers stay as they are.

    Parameters
    ----------
    interval : int, default=None
        Number of training steps between updates; a fortieth of all the steps if None.
    stop : float, default=0.75
        Fraction of the training after which the masks stay; in (0, 1].

    References
    ----------
    Guo, Y., Yao, A., & Chen, Y. (2016). Dynamic network surgery for efficient DNNs. Advances in
    Neural Information Processing Systems 29.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy(regrowth="splicing"))
    PrunedClassifier(strategy=Strategy(regrowth='splicing'))
    """

    _parameter_constraints: ClassVar[dict] = {
        "interval": [Interval(Integral, 1, None, closed="left"), None],
        "stop": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(self, interval: int | None = None, stop: float = 0.75) -> None:
        self.interval = interval
        self.stop = stop

    def begin(self, elements: Elements, generator: torch.Generator) -> Regrow:
        """Get ready; see :class:`Regrowth`."""
        beneath: dict[str, Tensor] = {}

        def regrow(span: StageSpan) -> TrainingHook:
            _look(elements.network, beneath)
            return _Surgery(elements, beneath, span, self.interval, self.stop)

        return regrow


def _look(network: Network, beneath: dict[str, Tensor]) -> None:
    """Note the weights that are there; what is masked stays noted as it is."""
    masks = network.masks
    for name, weight in network.weights.items():
        now = weight.detach()
        if name in masks and name in beneath:
            beneath[name] = torch.where(masks[name], now, beneath[name])
        else:
            beneath[name] = now.clone()


class _Surgery(TrainingHook):
    """Shows the loss the masked weights, and the optimizer all of them."""

    uncovers = True

    def __init__(
        self,
        elements: Elements,
        beneath: dict[str, Tensor],
        span: StageSpan,
        interval: int | None,
        stop: float,
    ) -> None:
        self._elements = elements
        self._beneath = beneath
        self._span = span
        self._interval = interval
        self._stop = stop

    def begin(self, run: TrainingRun) -> None:
        self._run = run
        self._updates = Updates(run, self._span, self._interval, self._stop)
        self._uncovered = False

    def before_forward(self) -> None:
        if self._uncovered:  # an optimizer that looks several times has moved them meanwhile
            self._note()
            network = self._elements.network
            network.set_masks(network.masks)

    def after_backward(self) -> None:
        network = self._elements.network
        weights = network.weights
        for name, mask in network.masks.items():
            weight = weights[name].data
            weight.copy_(torch.where(mask, weight, self._beneath[name]))
        self._uncovered = True

    def after_step(self) -> None:
        self._note()
        self._uncovered = False
        if self._updates.is_due(self._run.step):
            elements, frozen = self._elements, frozen_layers(self._elements)
            squares = {name: w.detach().square() for name, w in elements.network.weights.items()}
            kept = dict(elements.kept)
            for layer, size in elements.sum_by_element(squares).items():
                if layer not in frozen:
                    kept[layer] = keep_best(size.cpu(), int(kept[layer].sum()))
            elements.keep(kept)
            self._run.start_afresh()

    def _note(self) -> None:
        network = self._elements.network
        weights = network.weights
        for name in network.masks:
            self._beneath[name].copy_(weights[name].detach())
