"""What runs over positions and leaves channels alone."""

import re
from typing import Any

from skprune.network.tracing.rules.base import rule
from skprune.network.tracing.values import Dim

__all__: list[str] = []


@rule("max_pool1d", "max_pool2d", "max_pool3d", "max_pool1d_with_indices")
@rule("max_pool2d_with_indices", "max_pool3d_with_indices", "fractional_max_pool2d")
@rule("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d")
@rule("_adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool3d")
@rule("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "mkldnn_max_pool2d")
@rule("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact2d")
@rule("_upsample_nearest_exact1d", "_upsample_nearest_exact3d", "upsample_linear1d")
@rule("upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_bicubic2d")
@rule("_upsample_bicubic2d_aa", "upsample_trilinear3d")
@rule("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
@rule("replication_pad1d", "replication_pad2d", "replication_pad3d")
def over_positions(channels: Any, call: Any) -> list[list[Dim]]:
    """Compute something over positions, the last dimensions."""
    value = call.values[0]
    found = re.search(r"([123])d", call.name)
    n_dims = int(found[1]) if found else value.ndim - 2
    channels.fix(value.dims[-n_dims:], f"{call.name.strip('_')} runs over them")
    dims = [*value.dims[:-n_dims], *[None] * n_dims]
    return [dims for _ in call.outputs]


@rule("grid_sampler_2d", "grid_sampler_3d", "cudnn_grid_sampler")
def sampled(channels: Any, call: Any) -> list[Dim]:
    """Take values from between positions."""
    value, grid = call["input"], call["grid"]
    channels.fix([*value.dims[2:], *grid.dims], "values are taken from between them")
    return [*value.dims[:2], *[None] * (len(call.shape) - 2)]


@rule("im2col")
def patches(channels: Any, call: Any) -> list[Dim]:
    """Take patches, whose positions follow each channel."""
    value = call["self"]
    channels.fix(value.dims[-2:], "patches are taken of them")
    n_places = call.shape[-2] // value.shape[-3]
    own = channels.reshaped([value.dims[-3], None], [value.shape[-3], n_places], [call.shape[-2]])
    return [*value.dims[:-3], own[0] if own else None, None]
