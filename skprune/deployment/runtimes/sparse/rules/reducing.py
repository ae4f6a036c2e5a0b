"""Operations over dimensions: means, sums, softmax, norms over what is there."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skprune.deployment.runtimes.sparse.builder import Lines
from skprune.deployment.runtimes.sparse.program import Kind
from skprune.deployment.runtimes.sparse.rules.registry import Batch, Call, Refused, axis_of, rule


def _over(divide: bool) -> Callable[..., Batch]:
    def reduce(
        call: Call, value: Batch, dims: Any = None, keepdim: bool = False, **options: Any
    ) -> Batch:
        if dims is None or options.get("dtype") is not None:
            raise Refused("it goes over the rows of a batch")
        axes = sorted(axis_of(value, dim) for dim in ([dims] if isinstance(dims, int) else dims))
        n_last = int(np.prod([value.lines.shape[axis] for axis in axes], dtype=int))
        table = np.moveaxis(value.lines, axes, range(-len(axes), 0)).reshape(-1, n_last)
        return Batch(sums_of(call, table, 1 / n_last if divide else 1.0))

    return reduce


rule("mean")(_over(True))
rule("sum")(_over(False))


def sums_of(call: Call, table: Any, weight: float | None = None) -> Lines:
    """Add up the lines of each row of a table, times a weight; their mean if None."""
    rows = [(lines, np.full(len(lines), weight or 1 / len(lines))) for lines in table]
    lines = call.builder.product(rows, np.zeros(len(rows)))
    return lines if call.shape is None else lines.reshape(call.shape[1:])


@rule("softmax", "_softmax")
def _softmax(call: Call, value: Batch, dim: int, *_: Any) -> Batch:
    axis = axis_of(value, dim)
    table = np.moveaxis(value.lines, axis, -1)
    found = call.builder.grouped(Kind.SOFTMAX, table.reshape(-1, table.shape[-1]))
    return Batch(np.moveaxis(found.reshape(table.shape), -1, axis))


@rule("layer_norm")
def _layer_normed(
    call: Call,
    value: Batch,
    shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    epsilon: float = 1e-5,
    *_: Any,
) -> Batch:
    width = int(np.prod(shape, dtype=int))
    table = value.lines.reshape(-1, width)
    lines = call.builder.grouped(Kind.STANDARDIZE, table, epsilon).reshape(value.lines.shape)
    return _scaled(call, lines, weight, bias)


@rule("group_norm")
def _group_normed(
    call: Call,
    value: Batch,
    n_groups: int,
    weight: Any = None,
    bias: Any = None,
    epsilon: float = 1e-5,
    *_: Any,
) -> Batch:
    table = value.lines.reshape(n_groups, -1)
    lines = call.builder.grouped(Kind.STANDARDIZE, table, epsilon).reshape(value.lines.shape)
    after = (1,) * (lines.ndim - 1)
    weight, bias = (None if of is None else of.reshape(-1, *after) for of in (weight, bias))
    return _scaled(call, lines, weight, bias)


def _scaled(call: Call, lines: Lines, weight: Any, bias: Any) -> Batch:
    if weight is None and bias is None:
        return Batch(lines)
    weight, bias = 1.0 if weight is None else weight, 0.0 if bias is None else bias
    return Batch(call.builder.affine(lines, weight, bias, alone=False))
