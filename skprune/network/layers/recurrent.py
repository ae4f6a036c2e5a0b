"""Recurrent layers."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from skprune.network.layers.base import Layer
from skprune.network.layers.registry import register_layer

__all__ = ["Recurrent"]


@register_layer(nn.RNNBase)
class Recurrent(Layer):
    """A recurrent layer, whose units stay."""

    is_recurrent = True
    reads_features = True

    @property
    def n_units(self) -> int:
        """Number of hidden units."""
        return self.module.hidden_size

    def n_applications(self, inputs: Any, output: Any) -> int:
        """Count the steps."""
        data = inputs.data if isinstance(inputs, nn.utils.rnn.PackedSequence) else inputs
        return data.numel() // self.module.input_size

    def features(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the input weights of the first layer, in both directions if it has them."""
        names = ("weight_ih_l0", "weight_ih_l0_reverse")
        for name in names[: 1 + self.module.bidirectional]:
            weight = getattr(self.module, name)
            channel = torch.arange(weight.shape[1], device=weight.device)
            yield weight, channel.expand(weight.shape)
