"""Rows that a network is trained on, for what looks at its losses and gradients."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

__all__ = ["Batch", "LooksAt", "Samples"]

# What scores are made of: weights alone, or inputs of rows, or the loss of rows as well.
LooksAt = Literal["weights", "inputs", "loss"]


class Batch(NamedTuple):
    """Some rows, on the network's device.

    Attributes
    ----------
    inputs : Tensor or dict of str to Tensor
        What the module is given.
    targets : Tensor of shape (n_rows, ...)
        What the loss is given.
    weights : Tensor of shape (n_rows,) or None
        The weights of the rows; None for equal ones.
    """

    inputs: Any
    targets: Tensor
    weights: Tensor | None


class Samples(Protocol):
    """Rows that the network is trained on, and what it makes of them."""

    def __len__(self) -> int:
        """Count the rows."""

    def batches(
        self, n_rows: int | None = None, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Go through some rows, in batches."""

    def outputs(self, module: nn.Module, inputs: Any) -> Tensor:
        """Compute the outputs of a module."""

    def losses(self, module: nn.Module, batch: Batch) -> Tensor:
        """Compute the loss of each row of a batch."""

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Compute the mean loss of a batch."""
