"""How fast a regularizer works."""

from collections.abc import Mapping

from torch import Tensor

from skprune.strategies.hooks import TrainingRun

__all__ = ["Pace"]


class Pace:
    """Share of the whole work that a step does, in proportion to its learning rate.

    At a constant learning rate the shares of all steps of a stage add up to one. What a regularizer
    does in a stage is then the same for any learning rate, optimizer and number of steps, and a
    schedule that lowers the rate slows it down like the training. Rates are divided by the highest
    one so far: the net's own need not be the one that a schedule uses, and a schedule that warms up
    begins near zero.

    Parameters
    ----------
    run : TrainingRun
        The stage.
    weights : mapping of str to Tensor
        The weights that it trains, by the parameter's name. Frozen ones stand still.
    """

    def __init__(self, run: TrainingRun, weights: Mapping[str, Tensor]) -> None:
        self._run = run
        self._weights = dict(weights)
        self._highest = dict.fromkeys(weights, 0.0)

    def __call__(self) -> dict[str, float]:
        """Say how much of the whole the present step is, by the parameter's name."""
        parts = {}
        for name, weight in self._weights.items():
            lr = self._run.lr(weight)
            highest = self._highest[name] = max(self._highest[name], lr)
            if weight.requires_grad and highest > 0:
                parts[name] = lr / (highest * self._run.n_steps)
        return parts
