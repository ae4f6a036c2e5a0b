"""Dynamic network surgery: weights live on beneath the mask."""

from numbers import Integral, Real
from typing import ClassVar

import torch

from skprune._sklearn import Interval
from skprune.strategies.regrowth.base import Regrowth, Span
from skprune.strategies.regrowth.updates import Updates
from skprune.strategies.selection import keep_best
from skprune.structures import Elements
from skprune.training.hooks import TrainingHook, TrainingRun

__all__ = ["Splicing"]


class Splicing(Regrowth):
    """Keeps training what is masked, and keeps the largest of each layer at intervals.

    Beneath its mask, a weight goes on from where it was when it was removed, by the gradient that
    it would have were it there at zero. It comes back, with the value that it has reached, when it
    has outgrown one that is kept. The paper has thresholds decide; here the largest stay, so that
    each layer keeps as many as it did.

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

    def hook(self, elements: Elements, span: Span, generator: torch.Generator) -> TrainingHook:
        """Make what takes part in the training; see :class:`Regrowth`."""
        return _Surgery(elements, span, self.interval, self.stop)


class _Surgery(TrainingHook):
    def __init__(self, elements: Elements, span: Span, interval: int | None, stop: float) -> None:
        self._elements = elements
        self._span = span
        self._interval = interval
        self._stop = stop
        weights = elements.network.weights
        self._dense = {name: weight.detach().clone() for name, weight in weights.items()}

    def begin(self, run: TrainingRun) -> None:
        self._run = run
        self._updates = Updates(run, self._span, self._interval, self._stop)

    def after_step(self) -> None:
        network = self._elements.network
        weights = network.weights
        for name, mask in network.masks.items():
            # The optimizer has moved what is masked away from zero, by as much as it trains it.
            moved = weights[name].detach()
            self._dense[name] = torch.where(mask, moved, self._dense[name] + moved)
        if self._updates.is_due(self._run.step):
            squares = {name: weight.square() for name, weight in self._dense.items()}
            kept = {
                layer: keep_best(size.cpu(), int(self._elements.kept[layer].sum()))
                for layer, size in self._elements.total(squares).items()
            }
            for name in network.masks:
                weights[name].data.copy_(self._dense[name])
            self._elements.keep(kept)
            self._run.start_afresh()
