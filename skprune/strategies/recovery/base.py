"""What every recovery is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from skprune.components import Component
from skprune.strategies.hooks import TrainingHook
from skprune.training.distillation import DistillationLoss

__all__ = ["Recover", "Recovery", "Trainer"]

# Trains the network after a step of pruning: for some epochs, with hooks that take part.
Recover = Callable[[int, Sequence[TrainingHook]], None]


class Trainer(Protocol):
    """Trains the network as it is now, under its masks."""

    def train(
        self,
        epochs: int,
        *,
        lr: float | None = None,
        hooks: Sequence[TrainingHook] = (),
        lesson: DistillationLoss | None = None,
    ) -> None:
        """Train for some epochs; with another learning rate than the net's if one is given."""

    def remember(self, epoch: int) -> None:
        """Ask, before the dense training, for the weights that there are after an epoch of it."""

    def rewind(self, epoch: int) -> None:
        """Set what is left of the network to what it was after an epoch of the dense training."""

    def check_teacher(self, teacher: Any, hints: Sequence[str]) -> None:
        """Raise an error if an estimator, or the network itself if None, cannot be a teacher."""

    def lesson(
        self,
        teacher: Any,
        *,
        alpha: float,
        temperature: float,
        hints: Sequence[str],
        hint_weight: float,
    ) -> DistillationLoss:
        """Have an estimator, or the network as it is if None, say what it knows of the rows."""


class Recovery(Component, ABC):
    """Restores the accuracy after a pruning step.

    Attributes
    ----------
    starts_over : bool
        Whether what the network has learned before a step is thrown away after it, so that each
        step needs a whole training.
    """

    starts_over: ClassVar[bool] = False

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

    def prepare(self, trainer: Trainer, start: str) -> None:
        """Say what will be needed of the dense training, before it begins.

        Parameters
        ----------
        trainer : Trainer
            What will train the network.
        start : {"trained", "init"}
            From which weights the network is pruned.

        Raises
        ------
        InvalidParameterError
            If it cannot be had.
        """

    @abstractmethod
    def begin(self, trainer: Trainer) -> Recover:
        """Get ready, once the network is trained and nothing of it is removed.

        Parameters
        ----------
        trainer : Trainer
            What trains the network.

        Returns
        -------
        recover : callable
            Trains the network after a step: ``recover(epochs, hooks)``. It is not called where
            a step has no epochs.
        """
