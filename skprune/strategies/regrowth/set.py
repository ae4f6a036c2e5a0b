"""Sparse evolutionary training: what comes back is drawn at random."""

from typing import Any

import torch
from torch import Tensor

from skprune.strategies.hooks import TrainingHook
from skprune.strategies.regrowth.base import Regrow, StageSpan
from skprune.strategies.regrowth.exchange import Exchange, ExchangeRegrowth
from skprune.structures import Elements

__all__ = ["SET"]


class SET(ExchangeRegrowth):
    """Drops the smallest weights of each layer at intervals, and grows as many at random.

    At the fraction `t` of the way to the last update it drops
    ``drop_fraction / 2 * (1 + cos(pi * t))`` of what a layer keeps, rounded down. What was dropped
    may be drawn again. Weights that come back begin at zero, and so does the optimizer's
    state of them.

    Parameters
    ----------
    drop_fraction : float, default=0.3
        Which part of a layer is exchanged at the beginning; in (0, 1).
    interval : int, default=None
        Number of training steps between updates; a fortieth of all the steps if None.
    stop : float, default=0.75
        Fraction of the training after which the masks stay; in (0, 1].

    Notes
    -----
    The paper exchanges a fixed fraction, once after each epoch. Here the fraction falls along a
    cosine, and the updates are a fortieth of the training apart, as in :class:`RigL`.

    References
    ----------
    Mocanu, D. C., Mocanu, E., Stone, P., Nguyen, P. H., Gibescu, M., & Liotta, A. (2018). Scalable
    training of artificial neural networks with adaptive sparse connectivity inspired by network
    science. Nature Communications, 9, 2383.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy("random", regrowth="set", start="init"))
    PrunedClassifier(strategy=Strategy(importance='random', regrowth='set',
                                       start='init'))
    """

    def begin(self, elements: Elements, generator: torch.Generator) -> Regrow:
        """Get ready; see :class:`Regrowth`."""

        def regrow(span: StageSpan) -> TrainingHook:
            return _AtRandom(
                elements, span, self.drop_fraction, self.interval, self.stop, generator=generator
            )

        return regrow


class _AtRandom(Exchange):
    def __init__(self, *args: Any, generator: torch.Generator) -> None:
        super().__init__(*args)
        self._generator = generator

    def growth(self) -> dict[str, Tensor]:
        return {
            layer: torch.rand(size, generator=self._generator)
            for layer, size in self.elements.sizes.items()
        }
