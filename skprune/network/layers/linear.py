"""Linear layers."""

from typing import ClassVar

from torch import Tensor, nn

from skprune.network.layers.base import Axes, Layer, Widths
from skprune.network.layers.registry import register_layer

__all__ = ["LinearLayer"]


@register_layer(nn.Linear)
class LinearLayer(Layer):
    """A product with a matrix of outputs and inputs."""

    out_axes: ClassVar[Axes] = {"weight": 0, "bias": 0}
    out_widths: ClassVar[Widths] = ("out_features",)
    in_axes: ClassVar[Axes | None] = {"weight": 1}
    in_widths: ClassVar[Widths] = ("in_features",)
    has_weights = True
    channels_last: ClassVar[bool | None] = True
    has_input_rows = True
    multiplies_rows = True
    reads_features = True

    def input_rows(self, inputs: Tensor) -> Tensor:
        """Arrange inputs as rows."""
        return inputs.reshape(1, -1, inputs.shape[-1])

    def feature_dim(self, given: Tensor, inputs: Tensor) -> int | None:
        """Say that it is the last one, be it that of the input or of the flattened input."""
        flat = tuple(given.shape) == (len(inputs), inputs[0].numel())
        return given.dim() - 1 if flat else super().feature_dim(given, inputs)

    @property
    def passes_constants(self) -> bool:
        """Say yes: it does the same at each position."""
        return True

    def shift(self, inputs: Tensor) -> Tensor:
        """Multiply."""
        return self.module.weight.detach() @ inputs
