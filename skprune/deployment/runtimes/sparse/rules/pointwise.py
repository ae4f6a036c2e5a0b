"""Operations on each number by itself: sums, products, norms with fixed statistics, activations."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skprune.deployment.runtimes.sparse.program import Activation, Kind
from skprune.deployment.runtimes.sparse.rules.registry import (
    Batch,
    Call,
    Refused,
    number_of,
    rule,
)


def _as_row(number: np.ndarray, n_dims: int) -> np.ndarray:
    """Drop the dimension of the rows from a constant that has one."""
    if number.ndim <= n_dims:
        return number
    if number.ndim > n_dims + 1 or number.shape[0] != 1:
        raise Refused("a constant differs from row to row")
    return number[0]


def _affine(call: Call, value: Batch, scale: Any, shift: Any) -> Batch:
    n_dims = value.lines.ndim
    shape = call.shape[1:] if call.shape is not None else value.lines.shape
    scale, shift = (_as_row(number_of(of), n_dims) for of in (scale, shift))
    lines = np.broadcast_to(value.lines, shape)
    alone = call.alone and lines.shape == value.lines.shape
    return Batch(call.builder.affine(lines, scale, shift, alone=alone))


def _sum_of(call: Call, one: Batch, other: Batch, factor: float) -> Batch:
    a, b = np.broadcast_arrays(one.lines, other.lines)
    rows = [([i, j], [1.0, factor]) for i, j in zip(a.reshape(-1), b.reshape(-1), strict=True)]
    return Batch(call.builder.product(rows, np.zeros(a.size)).reshape(a.shape))


@rule("add")
def _added(call: Call, one: Any, other: Any, *, alpha: float = 1) -> Any:
    if not isinstance(one, Batch):
        one, other, alpha = (other, one, 1) if alpha == 1 else (None, None, alpha)
    if isinstance(other, Batch):
        return _sum_of(call, one, other, alpha)
    return _affine(call, one, 1.0, alpha * number_of(other))


@rule("sub")
def _subtracted(call: Call, one: Any, other: Any, *, alpha: float = 1) -> Any:
    if isinstance(one, Batch) and isinstance(other, Batch):
        return _sum_of(call, one, other, -alpha)
    if isinstance(one, Batch):
        return _affine(call, one, 1.0, -alpha * number_of(other))
    return _affine(call, other, -alpha, number_of(one))


@rule("rsub")
def _subtracted_from(call: Call, one: Any, other: Any, alpha: float = 1) -> Any:
    return _subtracted(call, other, one, alpha=alpha)


@rule("mul")
def _multiplied(call: Call, one: Any, other: Any) -> Any:
    if isinstance(one, Batch) and isinstance(other, Batch):
        a, b = np.broadcast_arrays(one.lines, other.lines)
        table = np.stack((a.reshape(-1), b.reshape(-1)), 1)
        return Batch(call.builder.gathered(Kind.MULTIPLY, table).reshape(a.shape))
    value, number = (one, other) if isinstance(one, Batch) else (other, one)
    return _affine(call, value, number_of(number), 0.0)


@rule("div")
def _divided(call: Call, one: Any, other: Any) -> Any:
    return _affine(call, one, 1 / number_of(other), 0.0)


@rule("neg")
def _negated(call: Call, value: Batch) -> Batch:
    return _affine(call, value, -1.0, 0.0)


@rule("_native_batch_norm_legit_no_training", "batch_norm")
def _batch_normed(
    call: Call, value: Batch, weight: Any, bias: Any, mean: Any, variance: Any, *rest: Any
) -> Any:
    # The one has (momentum, eps), the other (training, momentum, eps, ...).
    epsilon = rest[1] if len(rest) == 2 else rest[2]
    scale = 1 / np.sqrt(number_of(variance) + epsilon)
    scale = scale if weight is None else scale * weight
    shift = -number_of(mean) * scale + (0 if bias is None else bias)
    n_after = value.lines.ndim - 1
    scale, shift = (of.reshape(-1, *(1,) * n_after) for of in (scale, shift))
    found = Batch(call.builder.affine(value.lines, scale, shift, alone=call.alone))
    return found if len(rest) != 2 else (found, None, None)


def _activation(*names: str) -> Callable[[Callable], Callable]:
    """Register a function that says of the further arguments which activation they mean."""

    def register(function: Callable) -> Callable:
        def apply(call: Call, value: Batch, *arguments: Any, **options: Any) -> Batch:
            kind, parameter = function(*arguments, **options)
            lines = Batch.lines_of(value)
            return Batch(call.builder.activated(lines, kind, parameter, alone=call.alone))

        return rule(*names)(apply)

    return register


def _plain(kind: Activation) -> Callable[[], tuple[Activation, float]]:
    return lambda: (kind, 0.0)


for _name, _kind in {
    "relu": Activation.RELU,
    "relu6": Activation.RELU6,
    "sigmoid": Activation.SIGMOID,
    "tanh": Activation.TANH,
    "silu": Activation.SILU,
    "hardswish": Activation.HARDSWISH,
    "hardsigmoid": Activation.HARDSIGMOID,
}.items():
    _activation(_name)(_plain(_kind))


@_activation("leaky_relu")
def _leaky(negative_slope: float = 0.01) -> tuple[Activation, float]:
    return Activation.LEAKY_RELU, negative_slope


@_activation("elu")
def _elu(alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Any:
    if scale != 1 or input_scale != 1:
        raise Refused("its scales are not one")
    return Activation.ELU, alpha


@_activation("gelu")
def _gelu(approximate: str = "none") -> tuple[Activation, float]:
    return (Activation.GELU if approximate == "none" else Activation.GELU_TANH), 0.0


@_activation("hardtanh", "clamp")
def _clamped(low: Any = -1.0, high: Any = 1.0) -> tuple[Activation, float]:
    if low == 0 and high == 6:
        return Activation.RELU6, 0.0
    if low == 0 and high is None:
        return Activation.RELU, 0.0
    raise Refused(f"it keeps between {low} and {high}")


@_activation("clamp_min")
def _clamped_below(low: float) -> tuple[Activation, float]:
    return _clamped(low, None)


@rule("prelu")
def _parametric_relu(call: Call, value: Batch, slope: Any) -> Batch:
    lines = value.lines
    slope = number_of(slope).reshape(-1, *(1,) * (lines.ndim - 1))
    slopes = np.broadcast_to(slope, lines.shape).reshape(-1)
    positive = call.builder.activated(lines, Activation.RELU, alone=False).reshape(-1)
    rows = [
        ([i, j], [s, 1 - s]) for i, j, s in zip(lines.reshape(-1), positive, slopes, strict=True)
    ]
    return Batch(call.builder.product(rows, np.zeros(lines.size)).reshape(lines.shape))
