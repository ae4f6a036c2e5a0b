"""What every schedule is."""

from abc import ABC, abstractmethod
from math import floor
from typing import NamedTuple

from skprune.components import Component
from skprune.strategies.selection import share_of

__all__ = ["Schedule", "Step", "spread_epochs"]


class Step(NamedTuple):
    """One pruning step.

    Attributes
    ----------
    sparsity : float
        What is gone after it, as a fraction of the original.
    epochs : int
        How many epochs of training follow it.
    """

    sparsity: float
    epochs: int


class Schedule(Component, ABC):
    """Says in which steps a target is reached, and how the training is spread over them."""

    @abstractmethod
    def steps(self, sparsity: float, epochs: int) -> list[Step]:
        """Lay out the steps.

        Parameters
        ----------
        sparsity : float
            The target; the last step reaches it.
        epochs : int
            The epochs of training that there are; the steps use all of them.

        Returns
        -------
        steps : list of Step
            The sparsities rise.
        """


def spread_epochs(epochs: int, n_steps: int, end: float) -> list[int]:
    """Spread epochs over steps: evenly up to a fraction of them, the rest after the last step.

    Parameters
    ----------
    epochs : int
        All there are.
    n_steps : int
        Number of steps.
    end : float
        Fraction of the epochs by which the last step is taken.

    Returns
    -------
    epochs_per_step : list of int
        Their sum is `epochs`.

    Examples
    --------
    >>> from skprune.strategies.schedule.base import spread_epochs
    >>> spread_epochs(10, 4, end=0.5)
    [1, 2, 2, 5]
    """
    before = min(floor(share_of(epochs, end)), max(epochs - 1, 0)) if n_steps > 1 else 0
    marks = [before * i // max(n_steps - 1, 1) for i in range(n_steps)]
    return [later - mark for mark, later in zip(marks, [*marks[1:], epochs], strict=True)]
