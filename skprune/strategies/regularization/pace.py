"""How fast a regularizer works."""

from collections.abc import Mapping

from torch import Tensor

from skprune.training.hooks import TrainingRun

__all__ = ["Pace"]


class Pace:
    """Goes by the learning rate: at a constant one, the steps of a stage add up to one.

    What a regularizer does in a stage is then the same for any learning rate, optimizer and
    number of steps, and scheduled rates slow it down as they do the training.

    Parameters
    ----------
    run : TrainingRun
        The stage, at its beginning.
    weights : mapping of str to Tensor
        The weights that it trains, by the parameter's name. Frozen ones stand still.
    """

    def __init__(self, run: TrainingRun, weights: Mapping[str, Tensor]) -> None:
        self._run = run
        self._weights = dict(weights)
        self._nominal = {name: run.lr(weight) for name, weight in weights.items()}

    def __call__(self) -> dict[str, float]:
        """Say how much of the whole the present step is, by the parameter's name."""
        return {
            name: self._run.lr(weight) / (self._nominal[name] * self._run.n_steps)
            for name, weight in self._weights.items()
            if weight.requires_grad and self._nominal[name] > 0
        }
