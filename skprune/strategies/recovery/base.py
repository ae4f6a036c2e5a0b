"""What every recovery is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from skprune.components import Component
from skprune.training.hooks import TrainingHook

__all__ = ["Recovery", "Trainer"]


class Trainer(Protocol):
    """Trains the network as it is now, under its masks."""

    def train(
        self, epochs: int, *, lr: float | None = None, hooks: Sequence[TrainingHook] = ()
    ) -> None:
        """Train for some epochs; with another learning rate than the net's if one is given."""


class Recovery(Component, ABC):
    """Restores the accuracy after a pruning step."""

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

    @abstractmethod
    def recover(self, trainer: Trainer, epochs: int, hooks: Sequence[TrainingHook]) -> None:
        """Train the network.

        Parameters
        ----------
        trainer : Trainer
            What trains it.
        epochs : int
            For how long.
        hooks : sequence of TrainingHook
            What takes part in the training.
        """
