"""Attention."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skprune.network.layers.base import Count, Layer
from skprune.network.layers.registry import register_layer

__all__ = ["Attention", "AttentionStack", "PrunedAttention"]


class PrunedAttention(nn.MultiheadAttention):
    """Multi-head attention with any number of heads, and of dimensions of each.

    It is what is left of an ``nn.MultiheadAttention``, in which heads share the embedding among
    them. It has the same parameters, of other sizes, and compares queries with keys on the scale
    of the original. It takes what the original takes, and gives what it gives.
    """

    scale: float

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the outputs, and the weights if they are needed; see torch's documentation."""
        is_single = query.dim() == 2
        if is_single or not self.batch_first:
            axis = 0 if is_single else 1
            query, key, value = (
                x[None] if is_single else x.transpose(0, axis) for x in (query, key, value)
            )
        if is_single and key_padding_mask is not None:
            key_padding_mask = key_padding_mask[None]
        if is_causal and attn_mask is None:
            raise RuntimeError("is_causal needs an attn_mask, of which it only says what it is.")
        queries, keys, values = self._projected(query, key, value)
        mask = self._mask(attn_mask, key_padding_mask, queries, keys.shape[2])
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = queries @ keys.transpose(-2, -1) * self.scale
            weights = (scores if mask is None else scores + mask).softmax(-1)
            weights = functional.dropout(weights, dropout)
            heads = weights @ values
            if average_attn_weights:
                weights = weights.mean(1)
        else:
            heads = functional.scaled_dot_product_attention(
                queries, keys, values, mask, dropout, scale=self.scale
            )
        output = self.out_proj(heads.transpose(1, 2).flatten(2))
        if is_single:
            return output[0], None if weights is None else weights[0]
        return output if self.batch_first else output.transpose(0, 1), weights

    def _projected(self, *inputs: Tensor) -> list[Tensor]:
        """Make queries, keys and values of rows, heads, places and dimensions."""
        packed = self.in_proj_weight is not None
        matrices = (
            self.in_proj_weight.chunk(3)
            if packed
            else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        )
        sizes = [len(matrix) for matrix in matrices]
        biases: Any = (None, None, None)
        if self.in_proj_bias is not None:
            biases = self.in_proj_bias.split(sizes) if not packed else self.in_proj_bias.chunk(3)
        result = []
        for i, (x, matrix, bias) in enumerate(zip(inputs, matrices, biases, strict=True)):
            made = functional.linear(x, matrix, bias)
            extra = (None, self.bias_k, self.bias_v)[i]
            if extra is not None:
                made = torch.cat([made, extra.expand(len(made), -1, -1)], 1)
            made = made.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            if i and self.add_zero_attn:
                made = functional.pad(made, (0, 0, 0, 1))
            result.append(made)
        return result

    def _mask(
        self, mask: Tensor | None, padding: Tensor | None, queries: Tensor, n_keys: int
    ) -> Tensor | None:
        """Add up the masks, as numbers that are added to scores."""
        if mask is not None:
            mask = self._numbers(mask, queries, n_keys)
            # One for each row and head, or one for all of them.
            mask = mask.unflatten(0, queries.shape[:2]) if mask.dim() == 3 else mask
        if padding is None:
            return mask
        padding = self._numbers(padding, queries, n_keys)[:, None, None]
        return padding if mask is None else mask + padding

    @staticmethod
    def _numbers(mask: Tensor, queries: Tensor, n_keys: int) -> Tensor:
        if mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=queries.dtype).masked_fill(mask, -torch.inf)
        return functional.pad(mask, (0, n_keys - mask.shape[-1]))


@register_layer(nn.MultiheadAttention)
class Attention(Layer):
    """Attention, its projections included."""

    is_one_part = True

    @property
    def n_units(self) -> int:
        """Number of dimensions of its output."""
        return self.module.embed_dim

    def make_flexible(self) -> None:
        """Make it :class:`PrunedAttention`, which can have heads of any number and width."""
        module = self.module
        if type(module) is nn.MultiheadAttention:
            module.scale = module.head_dim**-0.5
            module.__class__ = PrunedAttention
            # Otherwise torch would do the whole layer around it at once, from its parameters.
            module._qkv_same_embed_dim = False

    def counts(self) -> Iterator[Count]:
        """Say what its numbers count."""
        packed = self.module.in_proj_weight is not None
        query = "in_proj_weight" if packed else "q_proj_weight"
        yield Count("embed_dim", "out_proj.weight", 0)
        yield Count("kdim", "in_proj_weight" if packed else "k_proj_weight", 1)
        yield Count("vdim", "in_proj_weight" if packed else "v_proj_weight", 1)
        yield Count("num_heads", query, 0, "head")
        yield Count("head_dim", query, 0, "head dimension")

    def n_applications(self, inputs: Any, output: Any) -> int:
        """Count the positions of the query."""
        return inputs.numel() // self.module.embed_dim


@register_layer(nn.TransformerEncoder)
class AttentionStack(Layer):
    """Several layers of attention, which torch may do at once."""

    def make_flexible(self) -> None:
        """Have each layer done by itself."""
        self.module.use_nested_tensor = False
