"""What stands in a row of the zoo, and rows of input."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Row", "floats", "tokens"]

Inputs = Callable[[int], Any]


@dataclass(frozen=True)
class Row:
    """A network, and how many of its units a person would remove.

    ``units`` are counted by hand, by kind: what has to go together (channels that are summed, equal
    places of groups, a head with all its rows) counts once, and what the output or forward's own
    numbers hold counts not at all: ``reason`` says so where it is not plain.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Inputs | tuple[Inputs, ...] | Mapping[str, Inputs]
    units: Mapping[str, int]
    reason: str = ""
    # Some networks compute in single precision in places, whatever their weights are.
    rounding: float = 1e-9
    # Whether it computes something else in training, by no random numbers.
    trains: bool = False

    @property
    def n_units(self) -> int:
        return sum(self.units.values())

    def rows(self, n_rows: int, seed: int) -> Any:
        """Rows of input, as ``prune`` takes them."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            if isinstance(self.inputs, tuple):
                return tuple(make(n_rows) for make in self.inputs)
            if isinstance(self.inputs, Mapping):
                return {name: make(n_rows) for name, make in self.inputs.items()}
            return self.inputs(n_rows)


def floats(*shape: int) -> Inputs:
    """Random numbers."""
    return lambda n_rows: torch.randn(n_rows, *shape, dtype=torch.float64)


def tokens(size: int, *shape: int) -> Inputs:
    """Whole numbers from one up, below a size."""
    return lambda n_rows: torch.randint(1, size, (n_rows, *shape))


def lengths(longest: int) -> Inputs:
    """Lengths of sequences, of which one is the longest."""

    def make(n_rows: int) -> Tensor:
        some = torch.randint(1, longest + 1, (n_rows,))
        some[0] = longest
        return some

    return make
