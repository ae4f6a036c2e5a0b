"""What is known of the tensors of a network while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias, TypeGuard

import numpy as np
from torch import Tensor

from skprune.network.tracing.labels import Array

__all__ = ["ANY", "Dim", "Value", "is_labelled"]


class _Unlabelled(Enum):
    ANY = "any"


# A dimension whose size may become another: of what was broadcast, or has one number everywhere.
ANY: Final = _Unlabelled.ANY

# The channels along a dimension, or ANY, or None for one of a size that cannot change.
Dim: TypeAlias = Array | _Unlabelled | None


def is_labelled(dim: Dim) -> TypeGuard[Array]:
    """Whether a dimension has channels that might go."""
    return isinstance(dim, np.ndarray)


@dataclass(frozen=True)
class Value:
    """A tensor, and what is known of each of its dimensions.

    Attributes
    ----------
    tensor : Tensor
        The tensor itself, which is so kept alive.
    dims : tuple of Dim
        One for each dimension.
    is_weight : bool
        Whether it was made of parameters alone.
    """

    tensor: Tensor
    dims: tuple[Dim, ...]
    is_weight: bool = False

    @classmethod
    def of(cls, tensor: Tensor, dims: Sequence[Dim], is_weight: bool = False) -> "Value":
        """Make a value; a dimension of size one can be broadcast."""
        sizes = zip(dims, tensor.shape, strict=True)
        return cls(tensor, tuple(ANY if size == 1 else dim for dim, size in sizes), is_weight)

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.tensor.shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.dims)

    @property
    def channels(self) -> list[Array]:
        """Those of all dimensions that have any."""
        return [dim for dim in self.dims if isinstance(dim, np.ndarray)]

    def with_dims(self, dims: Sequence[Dim]) -> "Value":
        """Give the same tensor with other dimensions, of which it may then not have as many."""
        return Value(self.tensor, tuple(dims), self.is_weight)
