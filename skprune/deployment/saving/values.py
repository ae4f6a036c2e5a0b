"""Values of Python as JSON, with a mark where JSON has no such type."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import chain, count
from math import isfinite, prod
from typing import Any

import numpy as np

from skprune.deployment.saving.arrays import ArrayReader, ArrayWriter
from skprune.deployment.saving.fields import check, field, names_in, shape_in
from skprune.deployment.saving.trust import Names, name_of
from skprune.exceptions import InvalidFileError, UnsavableError

__all__ = ["MARK", "Kind", "PlainKind", "Reader", "Writer"]

# A table with this key says what the rest of it is.
MARK = "//"
_PLAIN = (type(None), bool, int, str)
# Larger ones are written as numbers and not as text.
_MAX_INLINE = 64
_MAX_INLINE_BITS = 4096


class Kind(ABC):
    """How values of a kind are written, and read.

    Attributes
    ----------
    mark : str
        What they are called in a file.
    """

    mark: str

    @abstractmethod
    def fits(self, value: Any) -> bool:
        """Whether a value is of the kind.

        Parameters
        ----------
        value : object
            The value.

        Returns
        -------
        fits : bool
            Whether :meth:`write` can write it.
        """

    @abstractmethod
    def write(self, value: Any, to: "Writer", where: str) -> dict[str, Any]:
        """Describe a value.

        Parameters
        ----------
        value : object
            The value.
        to : Writer
            Writes what it is made of.
        where : str
            What it is, for messages.

        Returns
        -------
        about : dict
            As JSON holds it.
        """

    @abstractmethod
    def read(self, about: dict[str, Any], source: "Reader", where: str) -> Any:
        """Make a value of its description.

        Parameters
        ----------
        about : dict
            The description.
        source : Reader
            Reads what it is made of.
        where : str
            What it is, for messages.

        Returns
        -------
        value : object
            The value.
        """


class PlainKind(Kind):
    """Values that are written as one value that JSON, or another kind, can hold."""

    def write(self, value: Any, to: "Writer", where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        return {"is": to.write(self.plain(value, where), where)}

    def read(self, about: dict[str, Any], source: "Reader", where: str) -> Any:
        """Make it again; see :class:`Kind`."""
        names_in(about, where, {"is"})
        return self.made(source.read(about["is"], where), where)

    @abstractmethod
    def plain(self, value: Any, where: str) -> Any:
        """Give what stands for a value.

        Parameters
        ----------
        value : object
            The value.
        where : str
            What it is, for messages.

        Returns
        -------
        plain : object
            What can be written.
        """

    @abstractmethod
    def made(self, plain: Any, where: str) -> Any:
        """Make a value of what stands for it.

        Parameters
        ----------
        plain : object
            What was read.
        where : str
            What it is, for messages.

        Returns
        -------
        value : object
            The value.
        """


class Writer:
    """Writes values.

    Parameters
    ----------
    kinds : tuple of Kind
        What can be written beside what JSON holds and the kinds of this module.

    Attributes
    ----------
    arrays : ArrayWriter
        Where arrays go.
    """

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self.arrays = ArrayWriter()
        self._kinds = (*_KINDS, *kinds)

    def new_name(self, name: str = "array") -> str:
        """Give the name of a new array, like the one that is wanted.

        Parameters
        ----------
        name : str, default="array"
            What is wanted.

        Returns
        -------
        name : str
            One that no other array has.
        """
        taken = self.arrays.about
        return next(n for n in chain([name], (f"{name} {i}" for i in count(2))) if n not in taken)

    def write(self, value: Any, where: str) -> Any:
        """Describe a value.

        Parameters
        ----------
        value : object
            The value.
        where : str
            What it is, for messages.

        Returns
        -------
        about : object
            As JSON holds it.

        Raises
        ------
        UnsavableError
            If it is of no kind that can be written; the message says what and where.
        """
        kind = type(value)
        if kind in _PLAIN or (kind is float and isfinite(value)):
            return value
        if kind is list:
            return [self.write(each, f"{where}[{i}]") for i, each in enumerate(value)]
        if kind is dict and all(type(key) is str for key in value) and MARK not in value:
            return {key: self.write(each, f"{where}.{key}") for key, each in value.items()}
        for each in self._kinds:
            if each.fits(value):
                return {MARK: each.mark, **each.write(value, self, where)}
        raise UnsavableError(
            f"{where} is a {kind.__module__}.{kind.__qualname__}, which cannot be written without "
            "code of its own."
        )

    def attempt(self, value: Any, where: str) -> Any:
        """Describe a value as :meth:`write` does; one that cannot be leaves no arrays behind."""
        about, streams = dict(self.arrays.about), dict(self.arrays.streams)
        try:
            return self.write(value, where)
        except UnsavableError:
            self.arrays.about, self.arrays.streams = about, streams
            raise


class Reader:
    """Reads values.

    Parameters
    ----------
    kinds : tuple of Kind
        As for :class:`Writer`.
    arrays : ArrayReader
        Where arrays are.
    names : Names
        Where classes and functions are found.

    Attributes
    ----------
    arrays, names
        As they were given.
    """

    def __init__(self, kinds: tuple[Kind, ...], arrays: ArrayReader, names: Names) -> None:
        self.arrays = arrays
        self.names = names
        self._kinds = {kind.mark: kind for kind in (*_KINDS, *kinds)}

    def read(self, about: Any, where: str) -> Any:
        """Make a value of its description.

        Parameters
        ----------
        about : object
            What JSON held.
        where : str
            What it is, for messages.

        Returns
        -------
        value : object
            The value.

        Raises
        ------
        InvalidFileError
            If it is no description.
        """
        if isinstance(about, list):
            return [self.read(each, f"{where}[{i}]") for i, each in enumerate(about)]
        if not isinstance(about, dict):
            return about
        if MARK not in about:
            return {key: self.read(each, f"{where}.{key}") for key, each in about.items()}
        mark = about[MARK]
        if not isinstance(mark, str) or mark not in self._kinds:
            raise InvalidFileError(
                f"The file is damaged, in {where}: values of the kind {str(mark)[:80]!r} are not "
                "known."
            )
        return self._kinds[mark].read(about, self, where)


class _Float(PlainKind):
    mark = "float"

    def fits(self, value: Any) -> bool:
        return type(value) is float

    def plain(self, value: float, where: str) -> str:
        return repr(value)

    def made(self, plain: Any, where: str) -> float:
        check(plain in ("nan", "inf", "-inf"), where, "a number is expected")
        return float(plain)


class _Tuple(PlainKind):
    mark = "tuple"

    def fits(self, value: Any) -> bool:
        return type(value) is tuple

    def plain(self, value: tuple[Any, ...], where: str) -> list[Any]:
        return list(value)

    def made(self, plain: Any, where: str) -> tuple[Any, ...]:
        check(isinstance(plain, list), where, "a list is expected")
        return tuple(plain)


class _Dict(PlainKind):
    """A dict with other keys than text."""

    mark = "dict"

    def fits(self, value: Any) -> bool:
        return type(value) is dict

    def plain(self, value: Mapping[Any, Any], where: str) -> list[Any]:
        return [[key, each] for key, each in value.items()]

    def made(self, plain: Any, where: str) -> dict[Any, Any]:
        pairs = isinstance(plain, list) and all(
            isinstance(pair, list) and len(pair) == 2 for pair in plain
        )
        check(pairs, where, "pairs are expected")
        try:
            return dict(plain)
        except TypeError as error:
            raise InvalidFileError(f"The file is damaged, in {where}: {error}.") from error


class _Slice(PlainKind):
    mark = "slice"

    def fits(self, value: Any) -> bool:
        return type(value) is slice

    def plain(self, value: slice, where: str) -> list[Any]:
        return [value.start, value.stop, value.step]

    def made(self, plain: Any, where: str) -> slice:
        check(isinstance(plain, list) and len(plain) == 3, where, "three values are expected")
        return slice(*plain)


class _Dtype(PlainKind):
    """A type of NumPy's or torch's."""

    mark = "dtype"

    def fits(self, value: Any) -> bool:
        return str(value).startswith("torch.") and type(value).__name__ == "dtype"

    def plain(self, value: Any, where: str) -> str:
        return str(value).removeprefix("torch.")

    def made(self, plain: Any, where: str) -> Any:
        import torch

        dtype = getattr(torch, plain, None) if isinstance(plain, str) else None
        check(isinstance(dtype, torch.dtype), where, f"{plain!r} is no type of torch's")
        return dtype


class _NumpyType(Kind):
    mark = "numpy type"

    def fits(self, value: Any) -> bool:
        return isinstance(value, np.dtype) or (
            isinstance(value, type) and issubclass(value, np.generic)
        )

    def write(self, value: Any, to: Writer, where: str) -> dict[str, Any]:
        return {"is": np.dtype(value).str, "class": isinstance(value, type)}

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Any:
        dtype = _dtype_in(about, "is", where)
        return dtype.type if field(about, "class", bool, where) else dtype


class _Scalar(Kind):
    """A number of NumPy's."""

    mark = "scalar"

    def fits(self, value: Any) -> bool:
        return isinstance(value, np.generic) and _is_known(value.dtype)

    def write(self, value: Any, to: Writer, where: str) -> dict[str, Any]:
        return {"dtype": value.dtype.str, "is": to.write(value.item(), where)}

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Any:
        names_in(about, where, {"dtype", "is"})
        return _as_array(
            [source.read(about["is"], where)], _dtype_in(about, "dtype", where), where
        )[0]


class _Array(Kind):
    """An array of numbers, or of text; small ones stand in the description itself."""

    mark = "array"

    def fits(self, value: Any) -> bool:
        return type(value) is np.ndarray and (_is_known(value.dtype) or value.dtype == object)

    def write(self, value: np.ndarray, to: Writer, where: str) -> dict[str, Any]:
        about: dict[str, Any] = {"dtype": value.dtype.str, "shape": list(value.shape)}
        if value.flags.f_contiguous and not value.flags.c_contiguous:
            about["order"] = "F"  # products of matrices hang on it, in their last bits
        if value.dtype == bool and value.size <= _MAX_INLINE_BITS:
            return {**about, "bits": np.packbits(value).tobytes().hex()}
        if value.dtype.kind in "UO" or value.size <= _MAX_INLINE:
            return {**about, "is": to.write(value.reshape(-1).tolist(), where)}
        native = value.astype(value.dtype.newbyteorder("="))
        name = to.new_name()
        to.arrays.add(name, native, native.dtype.name)
        del about["shape"]
        return {**about, "stored": name}

    def read(self, about: dict[str, Any], source: Reader, where: str) -> np.ndarray:
        names_in(about, where, {"dtype"}, {"bits", "is", "order", "shape", "stored"})
        order = about.get("order", "C")
        check(order in ("C", "F"), where, f"its order is {str(order)[:80]!r}")
        return np.asarray(self._numbers(about, source, where), order=order)

    def _numbers(self, about: dict[str, Any], source: Reader, where: str) -> np.ndarray:
        dtype = _dtype_in(about, "dtype", where)
        if "stored" in about:
            name = field(about, "stored", str, where)
            check(source.arrays.described(name, where)[0] == dtype.name, where, "it has two types")
            return source.arrays.read(name, where)[0].astype(dtype, copy=False)
        shape = shape_in(about, "shape", where)
        source.arrays.take_room(prod(shape) * dtype.itemsize, where)
        if "bits" in about:
            return _from_hex(field(about, "bits", str, where), shape, where)
        values = source.read(field(about, "is", list, where), where)
        check(len(values) == prod(shape), where, f"{len(values)} values for the shape {shape}")
        return _as_array(values, dtype, where).reshape(shape)


def _is_known(dtype: np.dtype) -> bool:
    return dtype.kind == "U" or (dtype.kind in "biuf" and dtype.itemsize <= 8)


def _from_hex(text: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    try:
        data = np.frombuffer(bytes.fromhex(text), np.uint8)
    except ValueError as error:
        raise InvalidFileError(f"The file is damaged, in {where}: {error}.") from error
    check(len(data) == (prod(shape) + 7) // 8, where, f"{len(data)} bytes for the shape {shape}")
    return np.unpackbits(data, count=prod(shape)).astype(bool).reshape(shape)


def _as_array(values: list[Any], dtype: np.dtype, where: str) -> np.ndarray:
    array = np.empty(len(values), dtype)
    if dtype.kind == "O":
        for i, value in enumerate(values):
            array[i] = value
        return array
    kinds = {"b": bool, "i": int, "u": int, "f": float, "U": str}
    right = all(type(value) is kinds[dtype.kind] for value in values)
    check(right, where, "values of another type")
    try:
        array[:] = values
    except (ValueError, OverflowError) as error:
        raise InvalidFileError(f"The file is damaged, in {where}: {error}.") from error
    check(dtype.kind == "f" or array.tolist() == values, where, "values of another size")
    return array


def _dtype_in(about: Any, name: str, where: str) -> np.dtype:
    text = field(about, name, str, where)
    kind, digits = text[1:2], text[2:] or "0" * (text[1:] == "O")
    # Text is as wide as its longest value, which a file can say to be anything.
    right = text[:1] in "<>|=" and kind in "biufUO" and digits.isdecimal() and len(digits) < 5
    check(right, where, f"{text[:80]!r} is no type of NumPy's")
    try:
        return np.dtype(text)
    except TypeError as error:
        raise InvalidFileError(f"The file is damaged, in {where}: {error}.") from error


class _Named(PlainKind):
    """A class or a function, by its name."""

    mark = "name"

    def fits(self, value: Any) -> bool:
        return callable(value) and hasattr(value, "__qualname__")

    def plain(self, value: Any, where: str) -> str:
        return name_of(value, where)

    def made(self, plain: Any, where: str) -> Any:
        raise NotImplementedError

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Any:
        names_in(about, where, {"is"})
        return source.names.find(field(about, "is", str, where), where)


_KINDS: tuple[Kind, ...] = (
    _Float(),
    _Tuple(),
    _Dict(),
    _Slice(),
    _Dtype(),
    _NumpyType(),
    _Scalar(),
    _Array(),
    _Named(),
)
