"""What a network learns, as the engine and the recoveries see it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from skprune.strategies.samples import Samples

__all__ = ["FitData", "FrozenNetwork", "Learning", "NetworkOutputs"]


@dataclass(frozen=True)
class FitData:
    """What a fit was given.

    Attributes
    ----------
    X : array, sparse matrix, data frame, mapping of arrays, or Rows
        All rows, before they are made what the network takes.
    classes : ndarray of shape (n_classes,) or None
        The labels in the order of their codes, or the numbers of several labels a row; None for
        a regression.
    """

    X: Any
    classes: np.ndarray | None


class NetworkOutputs(Protocol):
    """What the outputs of a network mean to its loss."""

    @property
    def kind(self) -> str:
        """What they are for each row.

        ``"classes"``: a number for each class; ``"binary"``: one for two classes; ``"labels"``:
        one for each of several labels; ``"values"``: what is to be predicted itself.
        """

    @property
    def summed(self) -> bool:
        """Whether the loss of a batch is the sum of those of its rows, and not the mean."""

    def logits(self, outputs: Tensor) -> Tensor:
        """Give the logits of outputs: those of their probabilities where they are no logits."""


@dataclass(frozen=True)
class FrozenNetwork:
    """A network that is not trained any more.

    Attributes
    ----------
    module : nn.Module
        The network, in evaluation mode.
    outputs : callable
        Computes its outputs: ``outputs(inputs)``, with inputs as in a batch.
    """

    module: nn.Module
    outputs: Callable[[Any], Tensor]


class Learning(Protocol):
    """What a network is trained on, and what for."""

    @property
    def module(self) -> nn.Module:
        """The network as it is now."""

    @property
    def device(self) -> str | torch.device | None:
        """Where it is; None if that is left to others."""

    @property
    def samples(self) -> Samples:
        """The rows that it is trained on."""

    @property
    def data(self) -> FitData:
        """What the fit was given."""

    @property
    def target_shape(self) -> tuple[int, ...]:
        """The shape of the target of a row, as the loss takes it."""

    @property
    def outputs(self) -> NetworkOutputs:
        """What the network's outputs mean."""

    @property
    def rows_are_fixed(self) -> bool:
        """Whether it is trained on all rows of the data as they are, in each epoch."""

    def over_all_rows(self, compute: Callable[[Any], Tensor]) -> np.ndarray:
        """Compute something of the inputs of all rows, where these are fixed."""

    def dense_network(self) -> FrozenNetwork:
        """Give the network as it was when this was first asked."""

    def teacher(self, estimator: Any) -> Any:
        """Make a :class:`~skprune.strategies.recovery.teachers.Teacher` of an estimator."""
