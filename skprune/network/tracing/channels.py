"""What rules do to the channels of dimensions."""

from collections.abc import Sequence
from math import prod

import numpy as np

from skprune.network.tracing.labels import Array, Labels
from skprune.network.tracing.values import ANY, Dim, Value

__all__ = ["Channels"]

FIXED_SIZE = "they meet something that has a size of its own, such as the network's inputs"


class Channels:
    """The labels of a network's channels, and the operations on dimensions that have them."""

    def __init__(self) -> None:
        self.labels = Labels()
        self.deferred: list[tuple[Array, str]] = []

    def fix_if_used(self, dims: Sequence[Dim], reason: str) -> None:
        """Say that channels stay, if the output of the operation is used at all."""
        self.deferred += [(dim, reason) for dim in dims if isinstance(dim, np.ndarray)]

    def fresh(self, size: int) -> Dim:
        """Make new channels."""
        return self.labels.fresh(size) if size > 1 else ANY

    def fix(self, dims: Sequence[Dim], reason: str) -> None:
        """Say that channels stay."""
        for dim in dims:
            if isinstance(dim, np.ndarray):
                self.labels.fix(dim, reason)

    def meet(self, one: Dim, other: Dim, reason: str = FIXED_SIZE) -> Dim:
        """Say that two dimensions are the same; give what is known of it now."""
        if one is ANY:
            return other
        if other is ANY:
            return one
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            self.labels.meet(one, other)
            return one
        self.fix([one, other], reason)
        return other if one is None else one

    def tie(self, dim: Dim, count: int) -> None:
        """Say that channels at equal places of so many parts of a dimension go together."""
        if isinstance(dim, np.ndarray) and count > 1:
            size = len(dim) // count
            for part in range(1, count):
                self.labels.meet(dim[:size], dim[part * size : (part + 1) * size])

    def joined(self, dims: Sequence[Dim], sizes: Sequence[int]) -> Dim:
        """Lay dimensions one after the other."""
        if all(dim is ANY for dim in dims):
            return ANY
        if all(dim is None for dim in dims):
            return None
        parts = [
            dim
            if isinstance(dim, np.ndarray)
            else self.labels.fresh(size)
            if dim is ANY
            else np.repeat(self._stays(), size, 0)
            for dim, size in zip(dims, sizes, strict=True)
        ]
        width = max(part.shape[1] for part in parts)
        # A channel with fewer labels than others has its last one again.
        return np.concatenate(
            [np.pad(p, ((0, 0), (0, width - p.shape[1])), mode="edge") for p in parts]
        )

    def _stays(self) -> Array:
        label = self.labels.fresh(1)
        self.labels.fix(label, FIXED_SIZE)
        return label

    def reshaped(
        self, dims: Sequence[Dim], old: Sequence[int], new: Sequence[int]
    ) -> list[Dim] | None:
        """Give the dimensions after a reshape; None if it can only be told by moving numbers."""
        if prod(old) == 0 or prod(old) != prod(new):
            return None
        ends = sorted({*_ends(old), *_ends(new)})
        sizes = [b // a for a, b in zip([1, *ends], ends, strict=False) if b % a == 0]
        if len(sizes) != len(ends):
            return None
        # Sizes of the finest parts that both shapes consist of, and where they are.
        starts = dict(zip(ends, range(1, len(ends) + 1), strict=True)) | {1: 0}
        parts: list[Dim] = [None] * len(sizes)
        done = 1
        for dim, size in zip(dims, old, strict=True):
            own = range(starts[done], starts[done * size])
            done *= size
            if isinstance(dim, np.ndarray) and len(own) > 1:
                parts_of = self.labels.factors(dim, tuple(sizes[i] for i in own))
                for i, part in zip(own, parts_of, strict=True):
                    parts[i] = part
            else:
                for i in own:
                    parts[i] = dim
        result, done = [], 1
        for size in new:
            own = range(starts[done], starts[done * size])
            done *= size
            result.append(self._merged([parts[i] for i in own], [sizes[i] for i in own]))
        return result

    def _merged(self, dims: Sequence[Dim], sizes: Sequence[int]) -> Dim:
        """Make one dimension of several, the last of which changes fastest."""
        columns = []
        for axis, dim in enumerate(dims):
            if isinstance(dim, np.ndarray):
                places = np.arange(prod(sizes)) // prod(sizes[axis + 1 :]) % sizes[axis]
                columns.append(dim[places])
        if columns:
            return np.concatenate(columns, 1)
        # Part of it may become another size.
        free = [dim is ANY for dim, size in zip(dims, sizes, strict=True) if size > 1]
        return ANY if any(free) or not free else None

    def pointwise(self, values: Sequence[Value], shape: Sequence[int]) -> list[Dim]:
        """Give the dimensions of what is computed number by number of values that are broadcast."""
        result: list[Dim] = []
        for axis, size in enumerate(shape):
            known: Dim = ANY
            for value in values:
                own = axis - len(shape) + value.ndim
                if own >= 0 and value.shape[own] == size:
                    known = self.meet(known, value.dims[own])
            result.append(known)
        return result

    def product(self, first: Value, second: Value, letters: str) -> dict[str, Dim]:
        """Say what meets in a product.

        Parameters
        ----------
        first, second : Value
            The factors.
        letters : str
            Names of their dimensions, as in ``"bij,bjk"``.

        Returns
        -------
        dims : dict of str to Dim
            What is known of each dimension.
        """
        result: dict[str, Dim] = {}
        names = letters.split(",")
        for value, own in zip((first, second), names, strict=True):
            for letter, dim in zip(own, value.dims, strict=True):
                result[letter] = self.meet(result.get(letter, ANY), dim)
        return result


def _ends(sizes: Sequence[int]) -> list[int]:
    return np.cumprod([size for size in sizes if size != 1] or [1], dtype=object).tolist()
