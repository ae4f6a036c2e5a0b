"""Linear layers and convolutions: sparse products, at one place or at many."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from skprune.deployment.runtimes.sparse.builder import Lines
from skprune.deployment.runtimes.sparse.rules.registry import (
    Batch,
    Call,
    Refused,
    check_dimensions,
    number_of,
    rule,
)


@rule("linear")
def _linear(call: Call, value: Batch, weight: Any, bias: Any = None) -> Batch:
    weight, lines = number_of(weight), Batch.lines_of(value)
    bias = np.zeros(len(weight)) if bias is None else number_of(bias)
    *lead, width = lines.shape
    at = lines.reshape(-1, width)
    if len(at) == 1:
        found = call.builder.product(_kept(weight, at[0]), bias)
        return Batch(found.reshape(*lead, -1))
    if (at - at[:, :1] != at[0] - at[0, 0]).any() or not call.builder.together(at):
        at = call.builder.copied(at, always=True)
    places = call.builder.product(_kept(weight, at[0] - at[0, 0]), bias, at[:, 0])
    return Batch(places.T.reshape(*lead, -1))


@rule("matmul", "mm")
def _product(call: Call, value: Any, matrix: Any) -> Batch:
    matrix = number_of(matrix)
    if matrix.ndim != 2:
        raise Refused("it multiplies by something else than a matrix")
    return _linear(call, value, matrix.T)


@rule("addmm")
def _shifted_product(call: Call, bias: Any, value: Any, matrix: Any) -> Batch:
    return _linear(call, value, number_of(matrix).T, bias)


def _kept(weight: np.ndarray, lines: Lines) -> list[tuple[np.ndarray, np.ndarray]]:
    """Give the lines of each row's weights that are not zero, and these weights."""
    return [(lines[of], row[of]) for row, of in ((row, np.flatnonzero(row)) for row in weight)]


def _convolution(
    n_dims: int,
    call: Call,
    value: Batch,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Batch:
    check_dimensions(value, n_dims)
    weight, lines = number_of(weight), value.lines
    stride, dilation = (_each(of, n_dims) for of in (stride, dilation))
    kernel = weight.shape[2:]
    if isinstance(padding, str):
        around = [
            (0, 0) if padding == "valid" else _halves(d * (k - 1))
            for d, k in zip(dilation, kernel, strict=True)
        ]
    else:
        around = [(of, of) for of in _each(padding, n_dims)]
    lines = np.pad(lines, [(0, 0), *around], constant_values=-1)
    return Batch(_convolved(call, lines, weight, bias, stride, dilation, groups))


def _transposed_convolution(
    n_dims: int,
    call: Call,
    value: Batch,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Batch:
    # It is the convolution, with the kernel turned round, of inputs with zeros in between.
    check_dimensions(value, n_dims)
    weight, lines = number_of(weight), value.lines
    stride, padding, extra, dilation = (
        _each(of, n_dims) for of in (stride, padding, output_padding, dilation)
    )
    sides = [(size - 1) * s + 1 for size, s in zip(lines.shape[1:], stride, strict=True)]
    spread = np.full((len(lines), *sides), -1)
    spread[(slice(None), *(slice(None, None, s) for s in stride))] = lines
    around = [
        (d * (k - 1) - p, d * (k - 1) - p + e)
        for d, k, p, e in zip(dilation, weight.shape[2:], padding, extra, strict=True)
    ]
    spread = np.pad(
        spread, [(0, 0), *((max(a, 0), max(b, 0)) for a, b in around)], constant_values=-1
    )
    cut = tuple(
        slice(max(-a, 0), n - max(-b, 0))
        for (a, b), n in zip(around, spread.shape[1:], strict=True)
    )
    n_in, n_out = weight.shape[:2]
    by_group = weight.reshape(groups, n_in // groups, n_out, *weight.shape[2:])
    turned = np.flip(np.swapaxes(by_group, 1, 2), tuple(range(3, 3 + n_dims)))
    turned = turned.reshape(groups * n_out, n_in // groups, *weight.shape[2:])
    one = [1] * n_dims
    return Batch(_convolved(call, spread[(slice(None), *cut)], turned, bias, one, dilation, groups))


for _n in (1, 2, 3):
    rule(f"conv{_n}d")(partial(_convolution, _n))
    rule(f"conv_transpose{_n}d")(partial(_transposed_convolution, _n))


def _convolved(
    call: Call,
    lines: Lines,
    weight: np.ndarray,
    bias: Any,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Lines:
    """Convolve lines that have their padding, -1, around them."""
    lines = call.builder.copied(lines)
    n_out, n_in = weight.shape[:2]
    kernel, sides = weight.shape[2:], lines.shape[1:]
    begin = lines.reshape(-1)[0]
    offsets = lines - begin  # of each channel and position
    taps = [np.arange(k) * d for k, d in zip(kernel, dilation, strict=True)]
    n_places = [
        (side - d * (k - 1) - 1) // s + 1
        for side, d, k, s in zip(sides, dilation, kernel, stride, strict=True)
    ]
    if min(n_places) < 1:
        raise Refused("its kernel is larger than what it is applied to")
    starts = [np.arange(n) * s for n, s in zip(n_places, stride, strict=True)]
    places = begin + offsets[(0, *np.ix_(*starts))].reshape(-1)
    rows = []
    for out, row in enumerate(weight):
        first = out // (n_out // groups) * n_in
        reached = offsets[np.ix_(np.arange(first, first + n_in), *taps)].reshape(-1)
        kept = np.flatnonzero(row)
        rows.append((reached[kept], row.reshape(-1)[kept]))
    bias = np.zeros(n_out) if bias is None else number_of(bias)
    return call.builder.product(rows, bias, places).reshape(n_out, *n_places)


def _each(of: Any, n_dims: int) -> list[int]:
    """Give a number for each dimension, where one may stand for all."""
    numbers = [of] if isinstance(of, int) else list(of)
    return numbers * n_dims if len(numbers) == 1 else numbers


def _halves(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2
