"""Some elements go, and as many others come back."""

from abc import ABC, abstractmethod
from math import cos, floor, pi
from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.regrowth.base import Regrowth, StageSpan
from skprune.strategies.regrowth.frozen import frozen_layers
from skprune.strategies.regrowth.updates import Updates
from skprune.strategies.selection import keep_best, share_of
from skprune.structures import Elements

__all__ = ["Exchange", "ExchangeRegrowth"]


class ExchangeRegrowth(Regrowth):
    """Drops the smallest elements of each layer at intervals, and grows as many others.

    Parameters
    ----------
    drop_fraction : float, default=0.3
        Which part of a layer is exchanged at the beginning; in (0, 1).
    interval : int, default=None
        Number of training steps between updates; a fortieth of all the steps if None.
    stop : float, default=0.75
        Fraction of the training after which the masks stay; in (0, 1].
    """

    _parameter_constraints: ClassVar[dict] = {
        "drop_fraction": [Interval(Real, 0, 1, closed="neither")],
        "interval": [Interval(Integral, 1, None, closed="left"), None],
        "stop": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self, drop_fraction: float = 0.3, interval: int | None = None, stop: float = 0.75
    ) -> None:
        self.drop_fraction = drop_fraction
        self.interval = interval
        self.stop = stop


class Exchange(TrainingHook, ABC):
    """Drops the smallest elements of each layer, and grows others that score best.

    At the fraction `t` of the way to the end of the updates it drops
    ``drop_fraction / 2 * (1 + cos(pi * t))`` of what a layer keeps, rounded down. What is grown is
    chosen from all that is then not kept; weights that were not there before begin at zero, and so
    does what the optimizer remembers of them. Frozen layers stay as they are.

    Parameters
    ----------
    elements : Elements
        What is pruned.
    span : StageSpan
        Where the stage lies in the training.
    drop_fraction : float
        The fraction at the beginning.
    interval : int or None
        Number of training steps between updates.
    stop : float
        Fraction of the training after which the masks stay.
    """

    def __init__(
        self,
        elements: Elements,
        span: StageSpan,
        drop_fraction: float,
        interval: int | None,
        stop: float,
    ) -> None:
        self.elements = elements
        self._span = span
        self._drop_fraction = drop_fraction
        self._interval = interval
        self._stop = stop

    @abstractmethod
    def growth(self) -> dict[str, Tensor]:
        """Score the elements, by layer: those that are not kept come back by it."""

    def begin(self, run: TrainingRun) -> None:
        """Lay out the updates."""
        self.run = run
        self.updates = Updates(run, self._span, self._interval, self._stop)

    def after_step(self) -> None:
        """Change the masks, if it is time."""
        step = self.run.step
        if not self.updates.is_due(step):
            return
        fraction = self._drop_fraction / 2 * (1 + cos(pi * self.updates.progress(step)))
        elements, growth = self.elements, self.growth()
        weights, frozen = elements.network.weights, frozen_layers(elements)
        squares = {name: weight.detach().square() for name, weight in weights.items()}
        kept = {}
        for layer, size in elements.sum_by_element(squares).items():
            alive = elements.kept[layer]
            n_kept = int(alive.sum())
            n_dropped = 0 if layer in frozen else floor(share_of(n_kept, fraction))
            stays = keep_best(size.cpu().masked_fill(~alive, -torch.inf), n_kept - n_dropped)
            candidates = growth[layer].cpu().masked_fill(stays, -torch.inf)
            kept[layer] = stays | keep_best(candidates, n_dropped)
        self._keep(kept)
        self.run.start_afresh()

    def _keep(self, kept: dict[str, Tensor]) -> None:
        network, optimizer = self.elements.network, self.run.optimizer
        states = {} if optimizer is None else optimizer.state
        before = network.masks
        self.elements.keep(kept)
        for name, mask in network.masks.items():
            weight, grown = network.weights[name], mask & ~before[name]
            for tensor in [weight.data, *states.get(weight, {}).values()]:
                if isinstance(tensor, Tensor) and tensor.shape == weight.shape:
                    tensor[grown] = 0
