"""Arrays and numbers of NumPy's, and tensors, among the values."""

from math import prod
from typing import Any

import numpy as np
from torch import Tensor

from skprune.deployment.saving.fields import check, field, names_in, shape_in
from skprune.deployment.saving.tensors import dtype_name, to_numpy, to_tensor
from skprune.deployment.saving.values import Kind, Reader, Writer
from skprune.exceptions import InvalidFileError

__all__ = ["ARRAY_KINDS"]

# Larger ones are written as numbers and not as text.
_MAX_INLINE = 64
_MAX_INLINE_BITS = 4096


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


class _Tensor(Kind):
    """A tensor, which comes back on the CPU."""

    mark = "tensor"

    def fits(self, value: Any) -> bool:
        """Tell; see :class:`Kind`."""
        return type(value) is Tensor

    def write(self, value: Tensor, to: Writer, where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        stored = to.new_name()
        to.arrays.add(stored, to_numpy(value), dtype_name(value, where))
        return {"stored": stored}

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Tensor:
        """Make it again; see :class:`Kind`."""
        names_in(about, where, {"stored"})
        stored = field(about, "stored", str, where)
        array, _ = source.arrays.read(stored, where)
        return to_tensor(array, source.arrays.described(stored, where)[0])


ARRAY_KINDS: tuple[Kind, ...] = (_NumpyType(), _Scalar(), _Array(), _Tensor())
