"""Activations that have parameters."""

from typing import Any, ClassVar

from torch import nn

from skprune.network.layers.base import Axes, Layer, Widths
from skprune.network.layers.registry import register_layer

__all__ = ["PReLU"]


class PReLU(Layer):
    """A slope for each channel."""

    out_axes: ClassVar[Axes] = {"weight": 0}
    out_widths: ClassVar[Widths] = ("num_parameters",)


@register_layer(nn.PReLU)
def _prelu(module: Any) -> Layer:
    # One slope for all acts on every channel alike.
    return PReLU(module) if module.num_parameters > 1 else Layer(module)
