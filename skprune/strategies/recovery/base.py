"""What every recovery is."""

from abc import ABC, abstractmethod
from typing import Protocol

from skprune.components import Component

__all__ = ["Recovery", "Trainer"]


class Trainer(Protocol):
    """Trains the network as it is now, under its masks."""

    def train(self, epochs: int, *, lr: float | None = None) -> None:
        """Train for some epochs; with another learning rate than the net's if one is given."""


class Recovery(Component, ABC):
    """Restores the accuracy after a pruning step."""

    @abstractmethod
    def recover(self, trainer: Trainer, epochs: int) -> None:
        """Train the network.

        Parameters
        ----------
        trainer : Trainer
            What trains it.
        epochs : int
            For how long.
        """
