"""Embeddings."""

from typing import Any, ClassVar

from torch import Tensor, nn

from skprune.network.layers.base import Axes, Layer, Widths
from skprune.network.layers.registry import register_layer

__all__ = ["Embedding", "EmbeddingBag"]


@register_layer(nn.Embedding)
class Embedding(Layer):
    """A table to look codes up in, whose columns are the channels."""

    out_axes: ClassVar[Axes] = {"weight": 1}
    out_widths: ClassVar[Widths] = ("embedding_dim",)
    in_axes: ClassVar[Axes | None] = {}
    has_weights = True
    reads_codes = True
    channels_last: ClassVar[bool | None] = True
    kind = "embedding dimension"

    def n_applications(self, inputs: Any, output: Any) -> int:
        """Count nothing: to look up is not to multiply."""
        return 0

    def linearized(self, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Sum over all that can be looked up."""
        return self.module.weight.sum(0).expand_as(output)


@register_layer(nn.EmbeddingBag)
class EmbeddingBag(Embedding):
    """A table whose rows are summed or averaged as they are looked up."""

    channels_last: ClassVar[bool | None] = None
