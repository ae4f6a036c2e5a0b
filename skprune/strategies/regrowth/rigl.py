"""The rigged lottery: the removed weights of the largest gradients come back."""

import torch
from torch import Tensor

from skprune.strategies.hooks import TrainingHook
from skprune.strategies.regrowth.base import Regrow, StageSpan
from skprune.strategies.regrowth.exchange import Exchange, ExchangeRegrowth
from skprune.structures import Elements

__all__ = ["RigL"]


class RigL(ExchangeRegrowth):
    """Drops the smallest weights of each layer at intervals, and grows those of large gradient.

    At the fraction `t` of the way to the last update it drops
    ``drop_fraction / 2 * (1 + cos(pi * t))`` of what a layer keeps, rounded down. The gradient is
    that of the batch; what was dropped may come back by it at once. Weights that come back
    begin at zero, and so does the optimizer's state of them.

    Where the masks are updated the optimizer takes its step first, by the gradients of that batch,
    and weights are exchanged after it. In the paper an update of the masks takes the place of the
    optimizer's step.

    Parameters
    ----------
    drop_fraction : float, default=0.3
        Which part of a layer is exchanged at the beginning; in (0, 1).
    interval : int, default=None
        Number of training steps between updates; a fortieth of all the steps if None.
    stop : float, default=0.75
        Fraction of the training after which the masks stay; in (0, 1].

    References
    ----------
    Evci, U., Gale, T., Menick, J., Castro, P. S., & Elsen, E. (2020). Rigging the lottery: making
    all tickets winners. International Conference on Machine Learning.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy("random", regrowth="rigl", start="init"))
    PrunedClassifier(strategy=Strategy(importance='random', regrowth='rigl',
                                       start='init'))
    """

    def begin(self, elements: Elements, generator: torch.Generator) -> Regrow:
        """Get ready; see :class:`Regrowth`."""

        def regrow(span: StageSpan) -> TrainingHook:
            return _ByGradient(elements, span, self.drop_fraction, self.interval, self.stop)

        return regrow


class _ByGradient(Exchange):
    def after_backward(self) -> None:
        # An optimizer that looks several times leaves what it saw last.
        if self.updates.is_due(self.run.step + 1):
            squares = {
                name: torch.zeros_like(weight)
                if weight.grad is None
                else weight.grad.to_dense() ** 2
                for name, weight in self.elements.network.weights.items()
            }
            self._growth = self.elements.sum_by_element(squares)

    def growth(self) -> dict[str, Tensor]:
        return self._growth
