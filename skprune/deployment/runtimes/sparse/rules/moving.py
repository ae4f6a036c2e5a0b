"""Operations that only move numbers: no step, but other lines."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from skprune.deployment.runtimes.sparse.rules.registry import Batch, Call, Refused, axis_of, rule


@rule("view", "reshape", "flatten", "unsqueeze", "squeeze", "_unsafe_view", "unflatten")
def _reshaped(call: Call, value: Batch, *_: Any, **__: Any) -> Batch:
    if call.shape is None:
        raise Refused("its shape is not known")
    return Batch(value.lines.reshape(call.shape[1:]))


@rule("clone", "dropout", "contiguous", "alias", "detach", "_to_copy", "to", "identity")
def _same(call: Call, value: Any, *_: Any, **__: Any) -> Any:
    return value


@rule("permute")
def _permuted(call: Call, value: Batch, dims: Sequence[int]) -> Batch:
    n_dims = value.lines.ndim + 1
    order = [dim % n_dims for dim in dims]
    if order[0] != 0:
        raise Refused("it moves the dimension of the rows")
    return Batch(value.lines.transpose([dim - 1 for dim in order[1:]]))


@rule("transpose")
def _transposed(call: Call, value: Batch, first: int, second: int) -> Batch:
    return Batch(np.swapaxes(value.lines, axis_of(value, first), axis_of(value, second)))


@rule("cat")
def _joined(call: Call, values: Sequence[Batch], dim: int = 0) -> Batch:
    lines = [Batch.lines_of(value) for value in values]
    return Batch(np.concatenate(lines, axis=axis_of(values[0], dim)))


@rule("slice")
def _sliced(
    call: Call, value: Batch, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Batch:
    if dim % (value.lines.ndim + 1) == 0 and start in (None, 0) and step == 1:
        return value  # all rows: what is given fewer is refused by its shape
    index: list[Any] = [slice(None)] * value.lines.ndim
    index[axis_of(value, dim)] = slice(start, end, step)
    return Batch(value.lines[tuple(index)])


@rule("select")
def _selected(call: Call, value: Batch, dim: int, index: int) -> Batch:
    return Batch(np.take(value.lines, index, axis=axis_of(value, dim)))


@rule("expand")
def _expanded(call: Call, value: Batch, *_: Any, **__: Any) -> Batch:
    if call.shape is None:
        raise Refused("its shape is not known")
    return Batch(np.broadcast_to(value.lines, call.shape[1:]))


@rule("split", "split_with_sizes")
def _split(call: Call, value: Batch, sizes: Any, dim: int = 0) -> list[Batch]:
    axis = axis_of(value, dim)
    width = value.lines.shape[axis]
    steps = sizes if isinstance(sizes, list) else [sizes] * -(-width // sizes)
    ends = np.cumsum(steps)[:-1]
    return [Batch(part) for part in np.split(value.lines, ends, axis=axis)]


@rule("unbind")
def _unbound(call: Call, value: Batch, dim: int = 0) -> list[Batch]:
    return [Batch(part) for part in np.moveaxis(value.lines, axis_of(value, dim), 0)]


@rule("getitem")
def _item(call: Call, values: Any, index: int) -> Any:
    return values[index]
