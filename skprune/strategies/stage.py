"""A stage of training, as the engine asks for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from skprune.strategies.hooks import TrainingHook

__all__ = ["DENSE", "FINE_TUNING", "LossTerm", "Stage"]

# What a stage is for, in messages and in the history.
DENSE, FINE_TUNING = "training the dense network", "fine-tuning"


class LossTerm(Protocol):
    """Makes another loss of a network's own, such as by what a teacher says of the rows."""

    @property
    def rows(self) -> np.ndarray | None:
        """Soft targets of all rows, where they are the same in each epoch."""

    def loss(
        self,
        own_loss: Callable[[Any], Tensor],
        outputs: Any,
        targets: Any,
        inputs: Any,
        soft: Any = None,
        weights: Any = None,
    ) -> Tensor:
        """Compute the loss of a training batch.

        Parameters
        ----------
        own_loss : callable
            Gives the network's own loss for targets.
        outputs : Tensor, or tuple of Tensor
            What the module gives.
        targets : Tensor
            The targets.
        inputs : Tensor, or mapping of str to Tensor
            The inputs.
        soft : Tensor, default=None
            The soft targets of the batch, where they are known.
        weights : Tensor, default=None
            The weights of the rows.

        Returns
        -------
        loss : Tensor of shape ()
            What is to be minimized.
        """


@dataclass(frozen=True)
class Stage:
    """Some epochs of training, and how they differ from the training that the user set up.

    Whoever trains does so under the masks that the network has when the stage begins.

    Attributes
    ----------
    epochs : int
        For how long; with 0 there is nothing to do.
    purpose : str
        What it is for: ``"training the dense network"`` or ``"fine-tuning"``.
    sparsity : float
        The sparsity that the network has in this stage, as the schedule has it.
    lr : float or None
        Learning rate in place of the user's own.
    hooks : tuple of TrainingHook
        What takes part in the training steps.
    loss_term : LossTerm or None
        What makes another loss of the user's own.
    rewind_to : int or None
        The epoch of the dense training whose weights the network goes back to before it trains;
        0 for the initial ones.
    part : bool
        Whether it is one of several parts of a training, through which optimizer and callbacks go
        on. It is no error to make the optimizer anew.
    """

    epochs: int
    purpose: str = FINE_TUNING
    sparsity: float = 0.0
    lr: float | None = None
    hooks: tuple[TrainingHook, ...] = ()
    loss_term: LossTerm | None = None
    rewind_to: int | None = None
    part: bool = False
