"""Convolutions: plain, transposed, depthwise."""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.modules.conv import _ConvNd

from skprune.network.layers.base import Axes, Layer, Widths
from skprune.network.layers.registry import register_layer

__all__ = [
    "Convolution",
    "DepthwiseConvolution",
    "DepthwiseTransposedConvolution",
    "TransposedConvolution",
]


class _AnyConvolution(Layer):
    """What all convolutions have in common."""

    has_weights = True
    channels_last: ClassVar[bool | None] = False
    kind = "channel"
    reads_features = True

    @property
    def n_groups(self) -> int:
        """Number of groups; those of a depthwise convolution are its channels."""
        return 1 if self.passes_on else self.module.groups

    def feature_dim(self, given: Tensor, inputs: Tensor) -> int | None:
        """Say that they are the channels, where it is given rows of them."""
        has_rows = given.dim() == len(self.module.kernel_size) + 2
        return 1 if has_rows and given.shape == inputs.shape else None

    def features(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the weight; the outputs of each group read channels of their own."""
        weight = self.module.weight
        n_outputs, n_inputs = weight.shape[:2]
        output, channel = (torch.arange(n, device=weight.device) for n in (n_outputs, n_inputs))
        index = output[:, None] // (n_outputs // self.module.groups) * n_inputs + channel
        yield weight, index.view(*index.shape, *[1] * (weight.dim() - 2)).expand(weight.shape)

    def matrices(self, values: Tensor) -> Tensor:
        """Give a matrix for each position of the kernel."""
        return values.flatten(2).permute(2, 0, 1)

    @property
    def passes_constants(self) -> bool:
        """Whether the border, where the kernel meets padding, is like all the rest."""
        module = self.module
        padded = module.padding == "same" or (
            not isinstance(module.padding, str) and any(size > 0 for size in module.padding)
        )
        return module.padding_mode != "zeros" or not padded

    def shift(self, inputs: Tensor) -> Tensor:
        """Sum over the kernel, group by group."""
        groups = self.module.groups
        total = self.module.weight.detach().flatten(2).sum(2).unflatten(0, (groups, -1))
        return torch.einsum("goi,gi->go", total, inputs.unflatten(0, (groups, -1))).flatten()


class Convolution(_AnyConvolution):
    """A convolution, whose outputs read all channels of their group."""

    out_axes: ClassVar[Axes] = {"weight": 0, "bias": 0}
    out_widths: ClassVar[Widths] = ("out_channels",)
    in_axes: ClassVar[Axes | None] = {"weight": 1}
    in_widths: ClassVar[Widths] = ("in_channels",)
    has_input_rows = True

    def batched(self, inputs: Tensor) -> Tensor:
        """Add a dimension of rows to a lone one."""
        return inputs[None] if inputs.dim() == len(self.module.kernel_size) + 1 else inputs

    def input_rows(self, inputs: Tensor) -> Tensor:
        """Give what the kernel meets at each place."""
        module = self.module
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        patches = pad(inputs, module._reversed_padding_repeated_twice, mode=mode)
        n_dims = len(module.kernel_size)
        for dim, (size, step, gap) in enumerate(
            zip(module.kernel_size, module.stride, module.dilation, strict=True), start=2
        ):
            patches = patches.unfold(dim, gap * (size - 1) + 1, step)[..., ::gap]
        # Rows, channels, places, and places in the kernel; the channels come group by group.
        patches = patches.unflatten(1, (module.groups, -1)).movedim(2, 2 + n_dims)
        return patches.movedim(1, 0).flatten(2 + n_dims).flatten(1, 1 + n_dims)

    def input_places(self, inputs: Tensor) -> Tensor:
        """Give each place of each channel once."""
        # Rows, groups, channels of a group, and places.
        channels = inputs.flatten(2).unflatten(1, (self.module.groups, -1))
        return channels.permute(1, 0, 3, 2).flatten(1, 2)


class TransposedConvolution(_AnyConvolution):
    """A transposed convolution, whose weight has the inputs first."""

    out_axes: ClassVar[Axes] = {"weight": 1, "bias": 0}
    out_widths: ClassVar[Widths] = ("out_channels",)
    in_axes: ClassVar[Axes | None] = {"weight": 0}
    in_widths: ClassVar[Widths] = ("in_channels",)

    @property
    def passes_constants(self) -> bool:
        """Say no: how many places of the kernel reach an output depends on where it is."""
        return False

    def n_applications(self, inputs: Any, output: Any) -> int:
        """Count the places of the input."""
        return inputs.numel() // self.module.in_channels

    def features(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the weight, in which the input channel comes first."""
        weight = self.module.weight
        index = torch.arange(len(weight), device=weight.device)
        yield weight, index.view(-1, *[1] * (weight.dim() - 1)).expand(weight.shape)

    def matrices(self, values: Tensor) -> Tensor:
        """Give a matrix for each position of the kernel; the groups split the inputs."""
        grouped = values.unflatten(0, (self.module.groups, -1)).flatten(3)
        return grouped.permute(0, 3, 2, 1).flatten(0, 1)


class _Depthwise(_AnyConvolution):
    """A convolution with a kernel for each channel, whose outputs are its inputs' channels."""

    out_axes: ClassVar[Axes] = {"weight": 0, "bias": 0}
    out_widths: ClassVar[Widths] = ("out_channels", "in_channels", "groups")
    in_axes: ClassVar[Axes | None] = None
    in_widths: ClassVar[Widths] = ()


class DepthwiseConvolution(_Depthwise, Convolution):
    """A depthwise convolution."""


class DepthwiseTransposedConvolution(_Depthwise, TransposedConvolution):
    """A transposed depthwise convolution."""


@register_layer(_ConvNd)
def _convolution(module: Any) -> Layer:
    if 1 < module.groups == module.in_channels == module.out_channels:
        depthwise = DepthwiseTransposedConvolution if module.transposed else DepthwiseConvolution
        return depthwise(module)
    return TransposedConvolution(module) if module.transposed else Convolution(module)
