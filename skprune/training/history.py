"""A skorch history that takes little room in a pickle."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from skorch.history import History

__all__ = ["CompactHistory"]

# Numbers that are written without their type, one after the other.
_NUMBERS: dict[str, tuple[type, str]] = {
    "float": (float, "<f8"),
    "float64": (np.float64, "<f8"),
    "int": (int, "<i8"),
}


class CompactHistory(History):
    """A history that is pickled column by column, its batches too; nothing of it is lost."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _unpickled, (type(self), _packed(self))


def _unpickled(cls: type[CompactHistory], packed: Any) -> CompactHistory:
    return cls(_unpacked(packed))


def _packed(rows: Iterable[Mapping[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    packed = []
    for keys, group in groupby(rows, key=tuple):
        alike = list(group)
        packed.append((len(alike), {k: _column([row[k] for row in alike], k) for k in keys}))
    return packed


def _unpacked(packed: Sequence[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for n_rows, columns in packed:
        values = {key: _values(column, n_rows) for key, column in columns.items()}
        rows += [{key: column[i] for key, column in values.items()} for i in range(n_rows)]
    return rows


def _column(values: list[Any], key: str) -> tuple[Any, ...]:
    first = values[0]
    if key == "batches":
        batches = [batch for epoch in values for batch in epoch]
        return "batches", _column(list(map(len, values)), ""), _packed(batches)
    if isinstance(first, (str, bool, int)) and all(
        type(value) is type(first) and value == first for value in values
    ):
        return "same", first
    for name, (kind, code) in _NUMBERS.items():
        if all(type(value) is kind for value in values) and _fits(values, kind):
            return name, np.array(values, dtype=code).tobytes()
    return "objects", values


def _fits(values: list[Any], kind: type) -> bool:
    return kind is not int or all(-(2**63) <= value < 2**63 for value in values)


def _values(column: tuple[Any, ...], n_rows: int) -> list[Any]:
    kind, *content = column
    if kind == "same":
        return content * n_rows
    if kind == "objects":
        return list(content[0])
    if kind == "batches":
        batches = iter(_unpacked(content[1]))
        return [[next(batches) for _ in range(n)] for n in _values(content[0], n_rows)]
    number, code = _NUMBERS[kind]
    return [number(value) for value in np.frombuffer(content[0], dtype=code)]
