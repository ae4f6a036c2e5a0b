"""Norms."""

from typing import Any

from skprune.network.tracing.labels import MIXED
from skprune.network.tracing.rules.base import rule
from skprune.network.tracing.values import Dim, Value, is_labelled

__all__: list[str] = []


def _others(call: Any, dims: list[Dim]) -> list[list[Dim]]:
    others: list[list[Dim]] = [[None] * output.dim() for output in call.outputs[1:]]
    return [dims, *others]


def _with_parameters(channels: Any, call: Any, dim: Dim) -> Dim:
    for name in ("weight", "bias", "running_mean", "running_var"):
        if isinstance(parameter := call.get(name), Value):
            dim = channels.meet(dim, parameter.dims[0])
    return dim


@rule("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")
@rule("cudnn_batch_norm", "miopen_batch_norm", "_batch_norm_impl_index")
@rule("_batch_norm_with_update", "_batch_norm_no_update", "batch_norm")
def batch_norm(channels: Any, call: Any) -> list[list[Dim]]:
    """Normalize each channel over the rows."""
    value = call["input"]
    dims = list(value.dims)
    dims[1] = _with_parameters(channels, call, dims[1])
    return _others(call, dims)


@rule("native_layer_norm", "layer_norm")
def layer_norm(channels: Any, call: Any) -> list[list[Dim]]:
    """Normalize each position over its channels, those that are there."""
    value, n_dims = call["input"], len(call["normalized_shape"])
    dims = list(value.dims)
    if n_dims > 1:
        given = [value for value in call.values if value.ndim == n_dims]
        for one in [value.with_dims(value.dims[-n_dims:]), *given]:
            channels.fix(one.dims, "a norm runs over several dimensions, theirs among them")
        return _others(call, dims)
    dims[-1] = _with_parameters(channels, call, dims[-1])
    if is_labelled(dims[-1]):
        channels.labels.set_role(dims[-1], MIXED)
    return _others(call, dims)


@rule("native_group_norm", "group_norm")
def group_norm(channels: Any, call: Any) -> list[list[Dim]]:
    """Normalize groups of channels, which keep equal widths unless each channel is one."""
    value, groups = call["input"], call.get("group", call.get("num_groups"))
    dims = list(value.dims)
    dims[1] = _with_parameters(channels, call, dims[1])
    if groups < value.shape[1]:
        channels.tie(dims[1], groups)
        if is_labelled(dims[1]):
            channels.labels.set_role(dims[1], MIXED)
    return _others(call, dims)


@rule("_weight_norm_interface", "_weight_norm")
def weight_norm(channels: Any, call: Any) -> list[list[Dim]]:
    """Scale a weight to a norm for each place of a dimension."""
    weight, norm, axis = call["v"], call["g"], call.get("dim", 0)
    dims = list(weight.dims)
    dims[axis] = channels.meet(dims[axis], norm.dims[axis])
    return _others(call, dims)
