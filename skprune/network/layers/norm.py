"""Norms."""

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from skprune.network.layers.base import Axes, Layer, Widths
from skprune.network.layers.registry import register_layer

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm"]


class _Norm(Layer):
    """A norm passes channels on, and scales and shifts each of them."""

    out_axes: ClassVar[Axes] = {"weight": 0, "bias": 0}
    normalizes = True

    def linearized(self, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Scale the channels, which are the second dimension."""
        scale = self.module.weight
        if scale is None:
            return inputs[0]
        return inputs[0] * scale.view(-1, *[1] * (output.dim() - 2))


@register_layer(_InstanceNorm)
class InstanceNorm(_Norm):
    """A norm of each channel of each row."""

    out_axes: ClassVar[Axes] = {"weight": 0, "bias": 0, "running_mean": 0, "running_var": 0}
    out_widths: ClassVar[Widths] = ("num_features",)


@register_layer(_BatchNorm)
class BatchNorm(InstanceNorm):
    """A norm of each channel over the rows of a batch."""

    channels_last: ClassVar[bool | None] = False

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether it has no running statistics to use instead."""
        return self.module.running_mean is None

    def linearized(self, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Leave it as it is where it has running statistics, which are not the input's."""
        return super().linearized(inputs, output) if self.uses_batch_statistics else None


@register_layer(nn.GroupNorm)
class GroupNorm(_Norm):
    """A norm over groups of channels."""

    out_widths: ClassVar[Widths] = ("num_channels",)
    mixes_units = True
    channels_last: ClassVar[bool | None] = False

    @property
    def n_groups(self) -> int:
        """Number of groups; where each channel is one, they go with the channels."""
        module = self.module
        return module.num_groups if module.num_groups < module.num_channels else 1

    def keep(self, side: Any, keep: Tensor) -> list[tuple[str, int, Tensor]]:
        """Remove channels, and groups of one channel with them."""
        own_groups = self.module.num_groups == self.module.num_channels
        slices = super().keep(side, keep)
        if own_groups:
            self.module.num_groups = self.module.num_channels
        return slices


class LayerNorm(_Norm):
    """A norm over the channels of each position."""

    out_widths: ClassVar[Widths] = ("normalized_shape",)
    mixes_units = True
    channels_last: ClassVar[bool | None] = True

    def linearized(self, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Scale the channels, which are the last dimension."""
        return inputs[0] if self.module.weight is None else inputs[0] * self.module.weight


class _NormOfPositions(LayerNorm):
    """A layer norm over several dimensions, which has no channels that could be removed."""

    out_axes: ClassVar[Axes] = {}
    out_widths: ClassVar[Widths] = ()


@register_layer(nn.LayerNorm)
def _layer_norm(module: Any) -> Layer:
    return LayerNorm(module) if len(module.normalized_shape) == 1 else _NormOfPositions(module)
