"""What is computed number by number."""

from typing import Any

from skprune.network.tracing.rules.base import rule
from skprune.network.tracing.values import ANY, Dim

__all__: list[str] = []


# Every operation that torch itself says is of this kind comes here; these are not said to be.
@rule("add", "masked_fill", "where", "lerp", "_prelu_kernel", "log_sigmoid_forward", "bernoulli")
@rule("hardswish", "rsub", "floor_divide", "complex", "polar", "abs", "gcd", "lcm", "isclose")
@rule("native_dropout", "_fused_dropout", "rrelu_with_noise", "clamp", "copy", "bucketize")
def broadcast(channels: Any, call: Any) -> Any:
    """Unite what meets when it is broadcast."""
    dims = channels.pointwise(call.values, call.shape)
    return [dims if tuple(o.shape) == call.shape else [None] * o.dim() for o in call.outputs]


@rule("clone", "_to_copy", "detach", "alias", "lift_fresh", "lift_fresh_copy", "contiguous")
@rule("_conj", "positive", "to", "resolve_conj", "resolve_neg", "triu", "tril", "as_strided")
def same(channels: Any, call: Any) -> list[Dim]:
    """Leave all dimensions as they are."""
    value = call.values[0]
    if value.shape != call.shape:
        channels.fix(value.dims, "they are laid out anew in memory")
        return [None] * len(call.shape)
    if call.name in ("triu", "tril"):
        channels.fix(value.dims[-2:], "numbers are picked by their places among them")
    return list(value.dims)


@rule("zeros", "ones", "full", "empty", "new_zeros", "new_ones", "new_full", "new_empty")
@rule("zeros_like", "ones_like", "full_like", "empty_like", "scalar_tensor", "empty_strided")
@rule("rand_like", "randn_like", "randint_like", "rand", "randn", "randint")
@rule("fill", "zero", "uniform", "normal", "exponential", "random")
def one_number(channels: Any, call: Any) -> list[Dim]:
    """Say that it could have any size."""
    return [ANY] * len(call.shape)


@rule("view_as_real")
def pairs(channels: Any, call: Any) -> list[Dim]:
    """Take complex numbers apart."""
    return [*call["self"].dims, None]


@rule("view_as_complex")
def from_pairs(channels: Any, call: Any) -> list[Dim]:
    """Make complex numbers of pairs."""
    channels.fix([call["self"].dims[-1]], "they are parts of complex numbers")
    return list(call["self"].dims[:-1])


@rule("copy_")
def copied(channels: Any, call: Any) -> list[Dim]:
    """Write over a tensor, of which another may be a view."""
    return channels.pointwise([call["self"], call["src"]], call.shape)


@rule("glu")
def gated(channels: Any, call: Any) -> list[Dim]:
    """Multiply one half of a dimension with what is made of the other."""
    value, axis = call["self"], call.get("dim", -1) % call["self"].ndim
    channels.tie(value.dims[axis], 2)
    dim = value.dims[axis]
    half = dim[: call.shape[axis]] if dim is not None and dim is not ANY else dim
    return [half if i == axis else own for i, own in enumerate(value.dims)]
