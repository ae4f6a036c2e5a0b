"""Pooling: the largest, or the mean, of the lines of each window."""

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from skprune.deployment.runtimes.sparse.builder import Lines
from skprune.deployment.runtimes.sparse.program import Kind
from skprune.deployment.runtimes.sparse.rules.reducing import sums_of
from skprune.deployment.runtimes.sparse.rules.registry import (
    Batch,
    Call,
    Refused,
    check_dimensions,
    rule,
)


def _max_pool(
    n_dims: int,
    call: Call,
    value: Batch,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Batch:
    check_dimensions(value, n_dims)
    table = _windows(call, value.lines, kernel, stride, padding, dilation)
    if (table < 0).all(axis=1).any():
        raise Refused("a window lies in the padding alone")
    assert call.shape is not None
    return Batch(call.builder.gathered(Kind.MAXIMUM, table).reshape(call.shape[1:]))


def _average_pool(
    n_dims: int,
    call: Call,
    value: Batch,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Batch:
    check_dimensions(value, n_dims)
    table = _windows(call, value.lines, kernel, stride, padding, 1)
    if ceil_mode:
        raise Refused("its windows reach over the border")
    inside = [row[row >= 0] for row in table]
    if divisor_override is not None:
        return Batch(sums_of(call, inside, 1 / divisor_override))
    return Batch(sums_of(call, inside, 1 / table.shape[1] if count_include_pad else None))


def _adaptive_average_pool(n_dims: int, call: Call, value: Batch, sizes: Any) -> Batch:
    check_dimensions(value, n_dims)
    lines = value.lines
    assert call.shape is not None
    bounds = [
        [(i * n // size, -(-(i + 1) * n // size)) for i in range(size)]
        for n, size in zip(lines.shape[1:], call.shape[2:], strict=True)
    ]
    table = [
        channel[tuple(slice(*bound) for bound in window)].reshape(-1)
        for channel in lines
        for window in product(*bounds)
    ]
    return Batch(sums_of(call, table))


for _n in (1, 2, 3):
    rule(f"max_pool{_n}d")(partial(_max_pool, _n))
    rule(f"avg_pool{_n}d")(partial(_average_pool, _n))
    rule(f"adaptive_avg_pool{_n}d")(partial(_adaptive_average_pool, _n))


def _windows(
    call: Call, lines: Lines, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> np.ndarray:
    """Give the lines of each window, -1 in the padding, in the order of the results."""
    n_dims = lines.ndim - 1

    def each(of: Any) -> Sequence[int]:
        numbers = [of] if isinstance(of, int) else list(of)
        return numbers * n_dims if len(numbers) == 1 else numbers

    kernel, padding, dilation = each(kernel), each(padding), each(dilation)
    stride = each(stride) if stride not in (None, []) else kernel
    assert call.shape is not None
    indices = []
    for n_out, k, s, p, d, side in zip(
        call.shape[2:], kernel, stride, padding, dilation, lines.shape[1:], strict=True
    ):
        at = np.arange(n_out)[:, None] * s + np.arange(k)[None] * d - p
        indices.append(np.where((at < 0) | (at >= side), -1, at))
    padded = np.pad(lines, [(0, 0), *[(0, 1)] * n_dims], constant_values=-1)  # at index -1
    outs, inner = [of.shape[0] for of in indices], [of.shape[1] for of in indices]
    shaped: list[Any] = []
    for dim, at in enumerate(indices):
        form = [1] * (2 * n_dims)
        form[dim], form[n_dims + dim] = at.shape
        shaped.append(at.reshape(form))
    index: Any = (slice(None), *shaped)
    found = padded[index]
    return found.reshape(len(lines) * int(np.prod(outs)), int(np.prod(inner)))
