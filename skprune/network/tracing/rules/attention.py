"""Attention as one operation."""

from typing import Any

from skprune.network.tracing.labels import HEAD, HEAD_DIMENSION, SCALING
from skprune.network.tracing.rules.base import rule
from skprune.network.tracing.values import Dim, Value, is_labelled

__all__: list[str] = []


@rule("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention")
@rule("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention")
@rule("scaled_dot_product_attention", "_scaled_dot_product_fused_attention_overrideable")
def attention(channels: Any, call: Any) -> list[list[Dim]]:
    """Compare queries with keys, and take the mean of values."""
    query, key, value = call["query"], call["key"], call["value"]
    channels.fix([query.dims[-2], key.dims[-2], value.dims[-2]], "softmax runs over them")
    lead = query.dims[:-2]
    for other in (key, value):
        # Several heads of queries may share one of keys and values.
        own = [
            dim.repeat(size // old, 0) if is_labelled(dim) and size != old else dim
            for dim, size, old in zip(other.dims[:-2], query.shape, other.shape, strict=False)
        ]
        lead = tuple(channels.meet(a, b) for a, b in zip(lead, own, strict=True))
    mask = call.get("attn_mask", call.get("attn_bias"))
    if isinstance(mask, Value):
        weights = Value(mask.tensor, (*lead, None, None))
        channels.pointwise([weights.with_dims(weights.dims[-mask.ndim :]), mask], mask.shape)
    compared = channels.meet(query.dims[-1], key.dims[-1])
    for dim, role in (
        (lead[-1], HEAD),
        (compared, HEAD_DIMENSION),
        (value.dims[-1], HEAD_DIMENSION),
    ):
        if is_labelled(dim):
            channels.labels.set_role(dim, role)
    if call.get("scale") is None and is_labelled(compared):
        channels.labels.set_role(compared, SCALING)  # by the root of how many there are
    result = [*lead, query.dims[-2], value.dims[-1]]
    return [result, *[[None] * output.dim() for output in call.outputs[1:]]]
