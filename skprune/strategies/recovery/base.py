"""What every recovery is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from skprune.components import Component
from skprune.strategies.learning import Learning
from skprune.strategies.stage import Stage

__all__ = ["FillIn", "Recovery"]

# Says how a stage after a step of pruning is to be trained: takes it plain, gives it filled in.
FillIn = Callable[[Stage], Stage]


class Recovery(Component, ABC):
    """Restores the accuracy after a pruning step: says how the stage that follows it is trained.

    Attributes
    ----------
    starts_over : bool
        Whether what the network has learned before a step is thrown away after it, so that each
        step needs a whole training.
    changes_loss : bool
        Whether its stages have a ``loss_term``.
    """

    starts_over: ClassVar[bool] = False
    changes_loss: ClassVar[bool] = False

    @property
    def rewinds_to(self) -> int | None:
        """The epoch of the dense training whose weights its stages go back to, if they do."""
        return None

    def default_epochs(self, max_epochs: int, n_steps: int) -> int:
        """Say how many epochs of training it takes, where the user does not say.

        Parameters
        ----------
        max_epochs : int
            What the net itself trains for.
        n_steps : int
            Number of pruning steps.

        Returns
        -------
        epochs : int
            All steps together; half of the net's own unless a recovery says otherwise.
        """
        return -(-max_epochs // 2)

    def check(self, learning: Learning, trains_dense: bool) -> None:
        """Raise an error if it cannot be had, before the dense training begins.

        Parameters
        ----------
        learning : Learning
            What the network learns.
        trains_dense : bool
            Whether all of the dense training comes before the pruning.

        Raises
        ------
        InvalidParameterError
            If it does not suit what the network learns.
        """

    @abstractmethod
    def begin(self, learning: Learning) -> FillIn:
        """Get ready, once the network is trained and nothing of it is removed.

        Parameters
        ----------
        learning : Learning
            What the network learns.

        Returns
        -------
        fill_in : callable
            Says how the stage after each step is trained: ``fill_in(stage)``. It is not called
            where a step has no epochs.
        """
