"""Attention."""

from typing import Any

from torch import nn

from skprune.network.layers.base import Layer
from skprune.network.layers.registry import register_layer

__all__ = ["Attention"]


@register_layer(nn.MultiheadAttention)
class Attention(Layer):
    """Attention, its projections included, whose units stay."""

    is_one_part = True

    @property
    def n_units(self) -> int:
        """Number of dimensions of its output."""
        return self.module.embed_dim

    def n_applications(self, inputs: Any, output: Any) -> int:
        """Count the positions of the query."""
        return inputs.numel() // self.module.embed_dim
