"""What puts tensors together, repeats or pads them."""

from typing import Any

from skprune.network.tracing.rules.base import rule
from skprune.network.tracing.values import ANY, Dim, is_labelled

__all__: list[str] = []


@rule("cat", "concat", "concatenate")
def cat(channels: Any, call: Any) -> list[Dim]:
    """Lay tensors one after the other."""
    # An empty vector may stand for nothing, whatever the shape of the others.
    values = [v for v in call.values if v.tensor.numel() or v.ndim == len(call.shape)]
    axis = call.get("dim", 0) % len(call.shape)
    dims: list[Dim] = []
    for a in range(len(call.shape)):
        if a == axis:
            sizes = [value.shape[a] for value in values]
            # A dimension of size one is one more channel here, and no broadcast.
            own = [v.dims[a] if v.shape[a] != 1 or len(values) == 1 else None for v in values]
            dims.append(channels.joined(own, sizes))
            continue
        known: Dim = ANY
        for value in values:
            known = channels.meet(known, value.dims[a])
        dims.append(known)
    return dims


@rule("stack")
def stack(channels: Any, call: Any) -> list[Dim]:
    """Lay tensors side by side, along a new dimension."""
    dims = channels.pointwise(call.values, call.values[0].shape)
    dims.insert(call.get("dim", 0) % len(call.shape), None)
    return dims


@rule("expand")
def expand(channels: Any, call: Any) -> list[Dim]:
    """Broadcast to a shape."""
    value, n_new = call["self"], len(call.shape) - call["self"].ndim
    sizes = zip(value.dims, value.shape, call.shape[n_new:], strict=True)
    return [*[ANY] * n_new, *(dim if old == new else ANY for dim, old, new in sizes)]


@rule("repeat", "tile")
def repeat(channels: Any, call: Any) -> list[Dim]:
    """Repeat a tensor along its dimensions."""
    value, repeats = call["self"], call.get("repeats", call.get("dims"))
    n_new = len(repeats) - value.ndim
    dims: list[Dim] = [ANY] * n_new
    for dim, old, count in zip(value.dims, value.shape, repeats[n_new:], strict=True):
        if count > 1 and old > 1:
            dim = channels.joined([dim] * count, [old] * count)
        dims.append(dim)
    return dims


@rule("repeat_interleave")
def repeat_interleave(channels: Any, call: Any) -> list[Dim]:
    """Repeat each place of a dimension."""
    value, count, axis = call.get("self"), call.get("repeats"), call.get("dim")
    if value is None or not isinstance(count, int) or axis is None:
        for other in call.values:
            channels.fix(other.dims, "each is repeated as often as the data say")
        return [None] * len(call.shape)
    axis %= value.ndim
    return [
        dim.repeat(count, 0) if a == axis and is_labelled(dim) else dim
        for a, dim in enumerate(value.dims)
    ]


@rule("constant_pad_nd")
def pad(channels: Any, call: Any) -> list[Dim]:
    """Put constants around a tensor."""
    value, widths = call["self"], call["pad"]
    dims = list(value.dims)
    for place in range(len(widths) // 2):
        axis, (before, after) = -1 - place, widths[2 * place : 2 * place + 2]
        if min(before, after) < 0:
            channels.fix([dims[axis]], "some of them are cut off")
            dims[axis] = None
        elif before or after:
            sizes = [before, value.shape[axis], after]
            dims[axis] = channels.joined([None, dims[axis], None], sizes)
    return dims
