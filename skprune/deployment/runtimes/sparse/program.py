"""A network as a list of steps on one table of numbers.

The table has a column for each row of a batch, and a line for each number that the network computes
of it: its inputs first, then what each step writes. Whatever only moves numbers (reshaping,
flattening, concatenating) is no step: later steps read other lines.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np

__all__ = ["FIELDS", "Activation", "Kind", "Program"]


class Kind(IntEnum):
    """What a step does."""

    PRODUCT = 0  # with a sparse matrix, once or at several places; a bias is added
    COPY = 1  # of a line
    MAXIMUM = 2  # of several lines
    MULTIPLY = 3  # several lines
    SOFTMAX = 4  # over groups of lines
    STANDARDIZE = 5  # over groups of lines: a mean of zero, a variance of one


class Activation(IntEnum):
    """What a step does to all that it wrote; `p` is a parameter of the step."""

    NONE = 0
    RELU = 1
    LEAKY_RELU = 2  # slope p
    SIGMOID = 3
    TANH = 4
    GELU = 5
    GELU_TANH = 6
    SILU = 7
    ELU = 8  # scale p
    RELU6 = 9
    HARDSWISH = 10
    HARDSIGMOID = 11


# The columns of `Program.steps`. A product has `n_rows` rows at `n_places` places, and writes row r
# at place p into line out + r * n_places + p. The others read `n_rows` times `width` lines that
# stand in `table`; they write a line for each row, or, for groups, one for each line that is read.
FIELDS = (
    "kind",
    "activation",
    "out",
    "n_rows",
    "n_places",
    "pointer",
    "place",
    "table",
    "width",
)


@dataclass(frozen=True)
class Program:
    """A network's arithmetic, in arrays.

    Attributes
    ----------
    steps : ndarray of int64 of shape (n_steps, 9)
        What each step does, and where its parts begin in the other arrays.
    parameters : ndarray of shape (n_steps, 2)
        The activation's parameter, and what is added to a variance.
    pointers : ndarray of int64
        Of each product's rows: where their weights begin, and the last end.
    indices : ndarray of int32
        Of each weight, the line that it multiplies, less the place.
    weights, bias : ndarray
        The products' numbers; a bias for each pointer.
    places : ndarray of int64
        What is added to the lines of a product, once for each of its places.
    table : ndarray of int64
        The lines that the other steps read.
    outputs : ndarray of int64
        The lines of the outputs.
    n_inputs, n_lines : int
        Number of inputs of a row, and of all lines; the last line is zeros, and is not written.
    shape : tuple of int
        Shape of a row's outputs.
    """

    steps: np.ndarray
    parameters: np.ndarray
    pointers: np.ndarray
    indices: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    places: np.ndarray
    table: np.ndarray
    outputs: np.ndarray
    n_inputs: int
    n_lines: int
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return self.weights.dtype

    @property
    def n_bytes(self) -> int:
        """Size of all arrays."""
        return sum(getattr(self, f.name).nbytes for f in fields(self)[:9])

    def arrays(self) -> tuple[Any, ...]:
        """Give the arrays in their order."""
        return tuple(getattr(self, f.name) for f in fields(self)[:9])
