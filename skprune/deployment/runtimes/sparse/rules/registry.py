"""What a rule is, and the table of them by the name of torch's operation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from skprune.deployment.runtimes.sparse.builder import Builder, Lines

__all__ = ["RULES", "Batch", "Call", "Refused", "axis_of", "check_dimensions", "number_of", "rule"]


class Refused(ValueError):
    """An operation, or the way in which it is used, has no rule."""


@dataclass(frozen=True)
class Batch:
    """A value of each row: the lines that hold it, in the shape that a row's value has."""

    lines: Lines

    @classmethod
    def lines_of(cls, value: Any) -> Lines:
        """Give the lines of a value that has some."""
        if not isinstance(value, cls):
            raise Refused("it does not depend on the rows")
        return value.lines


@dataclass(frozen=True)
class Call:
    """How an operation is called: what builds, the shape of its result, and who else reads.

    Attributes
    ----------
    builder : Builder
        What the steps are added to.
    shape : tuple of int or None
        Shape of the result, the rows of the batch first.
    alone : bool
        Whether nothing else reads the values that it is given.
    """

    builder: Builder
    shape: tuple[int, ...] | None
    alone: bool


_RULES: dict[str, Callable[..., Any]] = {}
RULES: Mapping[str, Callable[..., Any]] = MappingProxyType(_RULES)


def rule(*names: str) -> Callable[[Callable], Callable]:
    """Register a function as the rule of the operations of these names."""

    def register(function: Callable) -> Callable:
        _RULES.update(dict.fromkeys(names, function))
        return function

    return register


def axis_of(value: Batch, dim: int) -> int:
    """Give the number that a dimension of a tensor has in a row's value."""
    dim %= value.lines.ndim + 1
    if dim == 0:
        raise Refused("it works along the rows of a batch")
    return dim - 1


def check_dimensions(value: Batch, n_dims: int) -> None:
    """Refuse channels and positions that have no rows before them, or more than that.

    Parameters
    ----------
    value : Batch
        What a convolution or a pooling is given.
    n_dims : int
        Over how many dimensions it goes.
    """
    if Batch.lines_of(value).ndim != n_dims + 1:
        raise Refused("its inputs are not rows of channels")


def number_of(value: Any) -> np.ndarray:
    """Give what does not depend on the rows as an array."""
    if value is None or isinstance(value, Batch):
        raise Refused("an argument is of another kind than expected")
    return np.asarray(value, dtype=np.float64)
