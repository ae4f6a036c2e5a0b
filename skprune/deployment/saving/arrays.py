"""Arrays in little room: where the numbers are, and what they are, apart."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import zstandard

from skprune.deployment.saving.fields import check, field, names_in, shape_in
from skprune.exceptions import InvalidFileError

__all__ = ["ArrayReader", "ArrayWriter"]

# Sizes of a number, in bytes.
ITEM_SIZES: Mapping[str, int] = {
    "bool": 1,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
}
_FLOATS = ("float16", "bfloat16", "float32", "float64")


class ArrayWriter:
    """Collects arrays, and describes each so that :class:`ArrayReader` can give it back.

    Attributes
    ----------
    about : dict of str to dict
        The descriptions, by name, as JSON holds them.
    streams : dict of str to list of bytes
        The numbers, by name, in parts.
    """

    def __init__(self) -> None:
        self.about: dict[str, dict[str, Any]] = {}
        self.streams: dict[str, list[bytes]] = {}

    def add(
        self,
        name: str,
        array: np.ndarray,
        dtype: str,
        *,
        kept: np.ndarray | None = None,
        rounded: bool = False,
    ) -> None:
        """Add an array.

        Parameters
        ----------
        name : str
            What its streams are called.
        array : ndarray
            The numbers; those that NumPy has no type for as their bits.
        dtype : str
            Their type.
        kept : ndarray of bool, default=None
            Which of them count, the others being zero; those whose bits are not all zero, if that
            takes less room, if None.
        rounded : bool, default=False
            Whether the numbers are stored in half precision.
        """
        about: dict[str, Any] = {"dtype": dtype, "shape": list(array.shape)}
        self.about[name] = about
        if dtype == "bool":
            about["kept"] = self._positions(name, array)
            return
        if rounded and dtype != "float16":
            array, dtype = array.astype(np.float16), "float16"
            about["stored"] = dtype
        size = ITEM_SIZES[dtype]
        flat = np.ascontiguousarray(array).reshape(-1)
        octets = flat.view(np.uint8).reshape(len(flat), size)
        if kept is None:
            used: np.ndarray = np.asarray(octets.any(axis=1))
            if np.count_nonzero(used) < 0.8 * len(used):
                kept = used.reshape(array.shape)
        if kept is not None:
            about["kept"] = self._positions(name, kept)
            octets = octets[kept.reshape(-1)]
        self.streams[f"{name}.values"] = _planes(octets, dtype)

    def _positions(self, name: str, kept: np.ndarray) -> dict[str, Any]:
        """Say where an array of bool is True, in the way that takes the least room."""
        if kept.all() or not kept.any():
            return {"as": "all" if kept.all() else "none"}
        found = [
            (_compressed_size(data), kind, by, data)
            for by, flat in _orders(kept)
            for kind, data in (("bits", _to_bits(flat)), ("gaps", _to_gaps(flat)))
        ]
        _, kind, by, data = min(found, key=lambda entry: entry[0])
        self.streams[f"{name}.{kind}"] = [data]
        return {"as": kind, "by": by}


class ArrayReader:
    """Gives arrays back, once it is known how much room all of them take.

    Parameters
    ----------
    about : object
        The descriptions, by name.
    lengths : mapping of str to int
        The length of each stream.
    max_bytes : int
        How much room they may take together.

    Raises
    ------
    InvalidFileError
        If something is no description, or there is too little room.
    """

    def __init__(self, about: Any, lengths: Mapping[str, int], max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._room = 0
        self._streams: Mapping[str, memoryview] = {}
        self._unread = set(lengths)
        check(type(about) is dict, "arrays", "a table is expected")
        self._about: dict[str, Any] = about
        for name, description in about.items():
            self._expect(description, name)

    def _expect(self, about: Any, where: str) -> None:
        names_in(about, where, {"dtype", "shape"}, {"kept", "stored"})
        dtype = field(about, "dtype", str, where)
        check(dtype in ITEM_SIZES, where, f"the type {dtype[:80]!r} is not known")
        stored = about.get("stored", dtype)
        check(stored in (dtype, "float16"), where, f"numbers are stored as {str(stored)[:80]!r}")
        self.take_room(prod(shape_in(about, "shape", where)) * ITEM_SIZES[dtype], where)

    def take_room(self, n_bytes: int, where: str) -> None:
        """Count memory that something of the file is to take, before it takes it.

        Parameters
        ----------
        n_bytes : int
            How much.
        where : str
            What takes it, for messages.

        Raises
        ------
        InvalidFileError
            If all together take more than they may.
        """
        self._room += n_bytes
        if self._room > self._max_bytes:
            raise InvalidFileError(
                f"What the file describes takes more than {self._max_bytes:,} bytes of memory, "
                f"with {n_bytes:,} of {where}. If you trust the file, pass a larger max_bytes."
            )

    def begin(self, streams: Mapping[str, memoryview]) -> None:
        """Take the streams.

        Parameters
        ----------
        streams : mapping of str to memoryview
            The streams, by name.
        """
        self._streams = streams

    def finish(self) -> None:
        """Raise an error if there is something in the file that nothing has asked for."""
        if self._unread:
            raise InvalidFileError(
                f"The file is damaged: nothing in it speaks of {sorted(self._unread)[0]!r}."
            )

    def described(self, name: str, where: str) -> tuple[str, tuple[int, ...]]:
        """Tell the type and the shape of an array.

        Parameters
        ----------
        name : str
            Its name.
        where : str
            What it is, for messages.

        Returns
        -------
        dtype : str
            The type.
        shape : tuple of int
            The shape.
        """
        check(name in self._about, where, f"there is no array {name[:80]!r}")
        return self._about[name]["dtype"], tuple(self._about[name]["shape"])

    def read(self, name: str, where: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Read an array, once.

        Parameters
        ----------
        name : str
            Its name.
        where : str
            What it is, for messages.

        Returns
        -------
        array : ndarray
            The numbers; those that NumPy has no type for as their bits.
        kept : ndarray of bool or None
            Which of them count; None for all.
        """
        dtype, shape = self.described(name, where)
        about, kept = self._about[name], None
        if "kept" in about or dtype == "bool":
            kept = self._positions(name, about.get("kept"), shape, where)
        if dtype == "bool":
            assert kept is not None
            return kept, None
        stored = about.get("stored", dtype)
        n_values = prod(shape) if kept is None else int(np.count_nonzero(kept))
        data = self._stream(f"{name}.values", where)
        expected = n_values * ITEM_SIZES[stored]
        check(len(data) == expected, where, f"{len(data)} bytes of numbers, and not {expected}")
        octets = _from_planes(data, n_values, stored)
        if stored != dtype:
            octets = _as_octets(octets.view(np.float16).astype(_numpy_dtype(dtype)))
        if kept is not None:
            all_octets = np.zeros((prod(shape), ITEM_SIZES[dtype]), np.uint8)
            all_octets[kept.reshape(-1)] = octets
            octets = all_octets
        return octets.view(_numpy_dtype(dtype)).reshape(shape), kept

    def _positions(self, name: str, about: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
        kind = field(about, "as", str, where)
        if kind in ("all", "none"):
            names_in(about, where, {"as"})
            return np.full(shape, kind == "all")
        names_in(about, where, {"as", "by"})
        by = field(about, "by", str, where)
        check(kind in _DECODERS, where, f"positions are given as {kind!r}")
        check(by in ("rows", "columns"), where, f"positions are given by {by!r}")
        data = np.frombuffer(self._stream(f"{name}.{kind}", where), np.uint8)
        flat = _DECODERS[kind](data, prod(shape), where)
        if by == "rows":
            return flat.reshape(shape)
        check(len(shape) >= 2, where, "positions are given by columns, of which there are none")
        return np.ascontiguousarray(flat.reshape(prod(shape[1:]), shape[0]).T).reshape(shape)

    def _stream(self, name: str, where: str) -> memoryview:
        check(name in self._unread, where, f"{name!r} is not there, or asked for twice")
        self._unread.remove(name)
        return self._streams[name]


def _orders(kept: np.ndarray) -> list[tuple[str, np.ndarray]]:
    orders = [("rows", kept.reshape(-1))]
    if kept.ndim >= 2:
        orders.append(("columns", kept.reshape(kept.shape[0], -1).T.reshape(-1)))
    return orders


def _compressed_size(data: bytes) -> int:
    return len(zstandard.ZstdCompressor(level=3).compress(data))


def _to_bits(flat: np.ndarray) -> bytes:
    return np.packbits(flat).tobytes()


def _from_bits(data: np.ndarray, size: int, where: str) -> np.ndarray:
    expected = (size + 7) // 8
    check(len(data) == expected, where, f"{len(data)} bytes of positions, and not {expected}")
    check(not np.unpackbits(data[-1:])[8 - (-size % 8) :].any(), where, "a position lies outside")
    return np.unpackbits(data, count=size).astype(bool)


# A gap is the number of zeros before a one. It is written as a byte; 255 stands for 255 zeros after
# which the gap goes on.
_GOES_ON = 255


def _to_gaps(flat: np.ndarray) -> bytes:
    ones = np.flatnonzero(flat)
    gaps = np.diff(ones, prepend=-1) - 1
    full, rest = np.divmod(gaps, _GOES_ON)
    data = np.full(len(ones) + int(full.sum()), _GOES_ON, np.uint8)
    data[np.arange(len(ones)) + np.cumsum(full)] = rest
    return data.tobytes()


def _from_gaps(data: np.ndarray, size: int, where: str) -> np.ndarray:
    ends = data != _GOES_ON
    check(len(data) == 0 or bool(ends[-1]), where, "the last gap has no end")
    # Where each one is: behind all zeros and all ones before it.
    places = (np.cumsum(data, dtype=np.int64) + np.cumsum(ends, dtype=np.int64) - 1)[ends]
    check(len(places) == 0 or places[-1] < size, where, "a position lies outside")
    flat = np.zeros(size, bool)
    flat[places] = True
    return flat


_DECODERS = {"bits": _from_bits, "gaps": _from_gaps}


def _planes(octets: np.ndarray, dtype: str) -> list[bytes]:
    """Give the first bytes of all numbers, then the second: exponents resemble one another."""
    if dtype in _FLOATS:  # the sign goes to the end, where nothing can be compressed anyway
        bits = np.ascontiguousarray(octets).view(f"<u{octets.shape[1]}")
        octets = _as_octets(np.bitwise_or(bits << 1, bits >> (8 * octets.shape[1] - 1)))
    return [plane.tobytes() for plane in octets.T[::-1]]


def _from_planes(data: memoryview, n_values: int, dtype: str) -> np.ndarray:
    size = ITEM_SIZES[dtype]
    octets = np.frombuffer(data, np.uint8).reshape(size, n_values)[::-1].T
    octets = np.ascontiguousarray(octets)
    if dtype in _FLOATS:
        bits = octets.view(f"<u{size}")
        octets = _as_octets(np.bitwise_or(bits >> 1, bits << (8 * size - 1)))
    return octets


def _as_octets(numbers: np.ndarray) -> np.ndarray:
    numbers = np.ascontiguousarray(numbers)
    return numbers.reshape(-1).view(np.uint8).reshape(numbers.size, numbers.itemsize)


def _numpy_dtype(dtype: str) -> np.dtype:
    return np.dtype("uint16" if dtype == "bfloat16" else dtype)
