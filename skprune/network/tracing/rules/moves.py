"""What only moves numbers."""

from itertools import pairwise
from typing import Any

import numpy as np
import torch

from skprune.network.tracing.rules.base import rule
from skprune.network.tracing.values import ANY, Dim, Value, is_labelled

__all__: list[str] = []

_BY_NUMBER = "they are picked by their numbers"


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "unflatten")
def view(channels: Any, call: Any) -> list[Dim]:
    """Split dimensions, and merge them."""
    value = call["self"]
    dims = channels.reshaped(value.dims, value.shape, call.shape)
    if dims is None:
        channels.fix(value.dims, "a reshape cuts across them")
        return [None] * len(call.shape)
    return dims


@rule("permute")
def permute(channels: Any, call: Any) -> list[Dim]:
    """Reorder dimensions."""
    return [call["self"].dims[axis] for axis in call["dims"]]


@rule("transpose", "swapaxes")
def transpose(channels: Any, call: Any) -> list[Dim]:
    """Swap two dimensions."""
    dims = list(call["self"].dims)
    if dims:
        one, other = call["dim0"], call["dim1"]
        dims[one], dims[other] = dims[other], dims[one]
    return dims


@rule("t", "numpy_T", "mT")
def matrix_transpose(channels: Any, call: Any) -> list[Dim]:
    """Swap the two dimensions of a matrix."""
    return list(call["self"].dims[::-1])


@rule("unsqueeze")
def unsqueeze(channels: Any, call: Any) -> list[Dim]:
    """Add a dimension of size one."""
    dims = list(call["self"].dims)
    dims.insert(call["dim"] % len(call.shape), ANY)
    return dims


@rule("squeeze")
def squeeze(channels: Any, call: Any) -> list[Dim]:
    """Drop dimensions of size one."""
    value = call["self"]
    axes = call.get("dim", range(value.ndim))
    axes = {a % max(value.ndim, 1) for a in ([axes] if isinstance(axes, int) else axes)}
    return [d for a, d in enumerate(value.dims) if a not in axes or value.shape[a] != 1]


@rule("slice")
def part_of_a_dimension(channels: Any, call: Any) -> list[Dim]:
    """Take a stretch of a dimension; equal stretches can be taken of what is left, no others."""
    value, axis, size = call["self"], call.get("dim", 0), 0
    dims = list(value.dims)
    axis, size = axis % value.ndim, call.shape[axis]
    whole = value.shape[axis]
    if is_labelled(dims[axis]) and size < whole:
        start = call.get("start") or 0
        start = max(start + whole, 0) if start < 0 else start
        step = call.get("step", 1)
        if step == 1 and size and whole % size == 0 and start % size == 0:
            channels.tie(dims[axis], whole // size)
        else:
            channels.fix([dims[axis]], _BY_NUMBER)
        dims[axis] = dims[axis][start::step][:size]
    return dims


@rule("select")
def one_of_a_dimension(channels: Any, call: Any) -> list[Dim]:
    """Take one place of a dimension, which goes."""
    value = call["self"]
    axis = call["dim"] % value.ndim
    channels.fix([value.dims[axis]], _BY_NUMBER)
    return [dim for a, dim in enumerate(value.dims) if a != axis]


@rule("unbind")
def all_of_a_dimension(channels: Any, call: Any) -> list[list[Dim]]:
    """Take all places of a dimension apart."""
    value = call["self"]
    axis = call.get("dim", 0) % value.ndim
    channels.fix([value.dims[axis]], _BY_NUMBER)
    return [[dim for a, dim in enumerate(value.dims) if a != axis] for _ in call.outputs]


@rule("split", "unsafe_split", "split_with_sizes", "unsafe_split_with_sizes", "chunk")
def parts(channels: Any, call: Any) -> list[list[Dim]]:
    """Take a dimension apart; where all parts are of one size, they stay so."""
    value = call["self"]
    axis = call.get("dim", 0) % value.ndim
    dim, sizes = value.dims[axis], [output.shape[axis] for output in call.outputs]
    if len(set(sizes)) == 1:
        channels.tie(dim, len(sizes))
    elif "with_sizes" not in call.name:  # how many are in each part depends on how many there are
        channels.fix([dim], "they are split into parts of different sizes")
    ends = np.cumsum([0, *sizes])
    result = []
    for start, end in pairwise(ends):
        own = dim[start:end] if is_labelled(dim) else dim
        result.append([own if a == axis else d for a, d in enumerate(value.dims)])
    return result


@rule("flip")
def flip(channels: Any, call: Any) -> list[Dim]:
    """Turn the order round."""
    value = call["self"]
    axes = {axis % value.ndim for axis in call["dims"]}
    return [
        dim[::-1] if is_labelled(dim) and axis in axes else dim
        for axis, dim in enumerate(value.dims)
    ]


@rule("roll")
def roll(channels: Any, call: Any) -> list[Dim]:
    """Shift by a number of places, which is right for all channels only."""
    value = call["self"]
    axes = call.get("dims") or range(value.ndim)
    channels.fix([value.dims[axis] for axis in axes], "they are shifted by a number of places")
    return list(value.dims)


@rule("pixel_shuffle")
def pixel_shuffle(channels: Any, call: Any) -> list[Dim]:
    """Make positions of channels."""
    value, by = call["self"], call["upscale_factor"]
    *lead, n_channels, height, width = value.shape
    split = (*lead, n_channels // by**2, by, by, height, width)
    *before, out, one, other, y, x = channels.reshaped(value.dims, value.shape, split)
    channels.fix([one, other], "they become positions")
    return [*before, out, y, x]


@rule("pixel_unshuffle")
def pixel_unshuffle(channels: Any, call: Any) -> list[Dim]:
    """Make channels of positions."""
    value, by = call["self"], call["downscale_factor"]
    channels.fix(value.dims[-2:], "they become channels")
    *lead, n_channels, _, _ = value.shape
    spread = value.with_dims([*value.dims[:-2], None, None])
    merged = channels.reshaped(
        spread.dims, (*lead, n_channels, by, by), (*lead, n_channels * by**2)
    )
    return [*merged, None, None] if merged else [None] * len(call.shape)


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(channels: Any, call: Any) -> list[Dim]:
    """Take a channel of each group in turn."""
    value, groups = call["self"], call["groups"]
    n_rows, n_channels, *rest = value.shape
    split = (n_rows, groups, n_channels // groups, *rest)
    dims = channels.reshaped(value.dims, value.shape, split)
    channels.fix([dims[1]], "they are groups of a shuffle")
    dims[1], dims[2] = dims[2], dims[1]
    split = (n_rows, n_channels // groups, groups, *rest)
    return channels.reshaped(dims, split, value.shape)


@rule("index_select")
def index_select(channels: Any, call: Any) -> list[Dim]:
    """Pick by numbers."""
    value = call["self"]
    axis = call["dim"] % value.ndim
    channels.fix([value.dims[axis]], _BY_NUMBER)
    return [None if a == axis else dim for a, dim in enumerate(value.dims)]


@rule("gather", "take_along_dim")
def gather(channels: Any, call: Any) -> list[Dim]:
    """Pick by numbers, at each place of the other dimensions."""
    value = call["self"]
    axis = call["dim"] % value.ndim
    channels.fix([value.dims[axis]], _BY_NUMBER)
    index = call["index"]
    known = channels.pointwise(
        [value.with_dims([None if a == axis else d for a, d in enumerate(value.dims)]), index],
        call.shape,
    )
    return [None if a == axis else dim for a, dim in enumerate(known)]


@rule("index")
def index(channels: Any, call: Any) -> list[Dim]:
    """Pick by numbers or by a mask."""
    return _picked(channels, call, len(call.shape))


def _picked(channels: Any, call: Any, n_dims: int) -> list[Dim]:
    """Give the dimensions of what is picked, so many."""
    value = call["self"]
    axes: list[int] = []
    axis = 0
    for given in call["indices"]:
        is_mask = isinstance(given, Value) and given.tensor.dtype == torch.bool
        width = given.ndim if is_mask else 1
        axes += range(axis, axis + width) if isinstance(given, Value) else []
        axis += width
    channels.fix([value.dims[a] for a in axes], _BY_NUMBER)
    left: list[Dim] = [dim for a, dim in enumerate(value.dims) if a not in axes]
    places: list[Dim] = [None] * (n_dims - len(left))
    together = bool(axes) and axes == list(range(axes[0], axes[-1] + 1))
    at = axes[0] if together else 0
    return [*left[:at], *places, *left[at:]]


@rule("index_put", "_index_put_impl")
def index_put(channels: Any, call: Any) -> list[Dim]:
    """Write to what is picked by numbers or by a mask."""
    value, written = call["self"], call["values"]
    n_picked = sum(isinstance(one, Value) for one in call["indices"])
    picked = _picked(channels, call, max(written.ndim, value.ndim - n_picked))
    for axis in range(1, written.ndim + 1):
        picked[-axis] = channels.meet(picked[-axis], written.dims[-axis])
    return _with_known(value, picked)


def _with_known(value: Value, picked: list[Dim]) -> list[Dim]:
    """Give the dimensions of a tensor that numbers were written to, last ones as in the picked."""
    dims = list(value.dims)
    for axis in range(1, min(len(picked), len(dims)) + 1):
        if dims[-axis] is ANY:
            dims[-axis] = picked[-axis]
    return dims


@rule("index_add", "index_copy", "scatter", "scatter_add", "scatter_reduce", "index_reduce")
def scattered(channels: Any, call: Any) -> list[Dim]:
    """Write to what is picked by numbers along a dimension."""
    value, written = call["self"], call.get("source", call.get("src"))
    axis = call["dim"] % max(value.ndim, 1)
    given = [written] if isinstance(written, Value) else []
    channels.fix([v.dims[axis] for v in (value, *given)], _BY_NUMBER)
    dims = list(value.dims)
    for a in range(value.ndim):
        if a != axis:
            for one in given:
                dims[a] = channels.meet(dims[a], one.dims[a])
    return dims


@rule("unfold")
def windows(channels: Any, call: Any) -> list[Dim]:
    """Take windows along a dimension."""
    value = call["self"]
    axis = call["dimension"] % max(value.ndim, 1)
    channels.fix([value.dims[axis]], "windows are taken of them")
    return [*(None if a == axis else dim for a, dim in enumerate(value.dims)), None]


@rule("diagonal")
def diagonal(channels: Any, call: Any) -> list[Dim]:
    """Take a diagonal."""
    value = call["self"]
    axes = {call.get("dim1", 0) % value.ndim, call.get("dim2", 1) % value.ndim}
    channels.fix([value.dims[axis] for axis in axes], _BY_NUMBER)
    return [*(dim for a, dim in enumerate(value.dims) if a not in axes), None]


@rule("_pack_padded_sequence")
def packed(channels: Any, call: Any) -> list[list[Dim]]:
    """Lay the steps of sequences one after the other."""
    return [[None, *call["input"].dims[2:]], [None]]


@rule("_pad_packed_sequence")
def unpacked(channels: Any, call: Any) -> list[list[Dim]]:
    """Give each sequence its own row again."""
    return [[None, None, *call["data"].dims[1:]], [None]]
