"""A type of layer of a user's own, and a network that has some."""

from typing import Any

import torch
from torch import Tensor, nn

from skprune.network import Layer, register_layer
from tests.networks import N_OUTPUTS


class Gain(nn.Module):
    """A product with a matrix, and a gain for each output."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.n_inputs, self.n_outputs = n_inputs, n_outputs
        self.weight = nn.Parameter(torch.randn(n_outputs, n_inputs) / n_inputs**0.5)
        self.gain = nn.Parameter(torch.ones(n_outputs))

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(input, self.weight) * self.gain


@register_layer(Gain)
class GainLayer(Layer):
    out_axes, out_widths = {"weight": 0, "gain": 0}, ("n_outputs",)
    in_axes, in_widths = {"weight": 1}, ("n_inputs",)
    has_weights = True
    channels_last = True
    reads_features = True
    has_input_rows = True

    def input_rows(self, inputs: Tensor) -> Tensor:
        return inputs.reshape(1, -1, inputs.shape[-1])


class Gains(nn.Module):
    """Layers of the new type before, after and between layers of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = Gain(6, 8)
        self.middle = nn.Linear(8, 5)
        self.again = Gain(5, 7)
        self.output = nn.Linear(7, N_OUTPUTS)

    def forward(self, x: Any) -> Tensor:
        x = self.middle(self.enter(x).relu()).relu()
        return self.output(self.again(x).relu())
