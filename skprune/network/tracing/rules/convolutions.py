"""Convolutions."""

from typing import Any

import numpy as np

from skprune.network.tracing.rules.base import rule
from skprune.network.tracing.values import Dim, Value

__all__: list[str] = []


@rule("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution")
@rule("convolution_overrideable", "miopen_convolution", "_slow_conv2d_forward")
def convolution(channels: Any, call: Any) -> list[Dim]:
    """Convolve; groups of channels keep equal widths, unless each channel is one."""
    value, weight, bias = call["input"], call["weight"], call.get("bias")
    groups, transposed = call.get("groups", 1), call.get("transposed", False)
    channels.fix(weight.dims[2:], "they are places of a kernel")
    channels.fix(value.dims[2:], "a convolution runs over them")
    given = value.dims[1]
    if groups == 1:
        out, into = (1, 0) if transposed else (0, 1)
        channels.meet(given, weight.dims[into])
        made = weight.dims[out]
    elif groups == value.shape[1] == call.shape[1]:  # depthwise
        made = channels.meet(given, weight.dims[0])
    elif transposed:
        channels.meet(given, weight.dims[0])
        channels.tie(given, groups)
        made = _repeated(weight.dims[1], groups)
    else:
        channels.meet(given, _repeated(weight.dims[1], groups))
        channels.tie(given, groups)
        made = weight.dims[0]
        channels.tie(made, groups)
    if isinstance(bias, Value):
        made = channels.meet(made, bias.dims[0])
    return [value.dims[0], made, *[None] * (len(call.shape) - 2)]


def _repeated(dim: Dim, groups: int) -> Dim:
    return np.tile(dim, (groups, 1)) if isinstance(dim, np.ndarray) else dim
