"""What makes one number of many."""

from typing import Any

from skprune.network.tracing.rules.base import rule
from skprune.network.tracing.values import ANY, Dim, Value

__all__: list[str] = []


def _axes(call: Any, value: Value) -> set[int]:
    axes = call.get("dim")
    axes = range(value.ndim) if axes is None or axes == [] else axes
    return {axis % max(value.ndim, 1) for axis in ([axes] if isinstance(axes, int) else axes)}


def _reduced(call: Any, value: Value) -> list[list[Dim]]:
    axes = _axes(call, value)
    result = []
    for output in call.outputs:
        if output.dim() == value.ndim:
            result.append([ANY if a in axes else dim for a, dim in enumerate(value.dims)])
        elif output.dim() == value.ndim - len(axes):
            result.append([dim for a, dim in enumerate(value.dims) if a not in axes])
        else:
            result.append([None] * output.dim())
    return result


@rule("sum", "nansum", "linalg_vector_norm", "norm", "any")
def added(channels: Any, call: Any) -> list[list[Dim]]:
    """Add up; what is zero adds nothing."""
    return _reduced(call, call["self"])


@rule(
    "mean", "amax", "amin", "max", "min", "argmax", "argmin", "prod", "all", "median", "nanmedian"
)
@rule("var", "std", "var_mean", "std_mean", "logsumexp", "mode", "aminmax", "count_nonzero")
def reduced(channels: Any, call: Any) -> list[list[Dim]]:
    """Reduce to a number that depends on how many there are."""
    value = call["self"]
    if isinstance(call.get("other"), Value):  # of two tensors, number by number
        return [channels.pointwise(call.values, call.shape)]
    axes = _axes(call, value)
    channels.fix_if_used([value.dims[a] for a in axes], f"{call.name} runs over them")
    return _reduced(call, value)


@rule("_softmax", "softmax", "_log_softmax", "log_softmax", "cumsum", "cumprod", "logcumsumexp")
@rule("sort", "argsort", "cummax", "cummin", "_safe_softmax")
def along(channels: Any, call: Any) -> list[list[Dim]]:
    """Compute something along a dimension."""
    value, name = call["self"], call.name.strip("_").replace("_", " ")
    channels.fix([value.dims[a] for a in _axes(call, value)], f"{name} runs over them")
    return [list(value.dims) for _ in call.outputs]


@rule("topk", "kthvalue")
def best(channels: Any, call: Any) -> list[list[Dim]]:
    """Take the largest."""
    value, axis = call["self"], call.get("dim", -1) % max(call["self"].ndim, 1)
    channels.fix([value.dims[axis]], f"{call.name} runs over them")
    dims = [None if a == axis else dim for a, dim in enumerate(value.dims)]
    return [
        dims if o.dim() == value.ndim else [d for a, d in enumerate(dims) if a != axis]
        for o in call.outputs
    ]
