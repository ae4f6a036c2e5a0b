"""Small networks of every kind that the tests prune, each with inputs to feed it.

``groups`` says by hand which units can be removed: how many of each coupled group, by the name of
the group's first layer. ``mixes`` marks networks whose units pass through a layer norm or a group
norm, where the compact network is the definition of the pruned one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.network.layers import Layer, register_layer

N_OUTPUTS = 3


class Perceptron(nn.Module):
    def __init__(self, activation: type[nn.Module] = nn.ReLU, bias: bool = True) -> None:
        super().__init__()
        self.hidden0 = nn.Linear(6, 8)
        self.hidden1 = nn.Linear(8, 8, bias=bias)
        self.output = nn.Linear(8, N_OUTPUTS, bias=bias)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.hidden0(x))
        return self.output(self.activation(self.hidden1(x)))


class ConvBatchNorm(nn.Module):
    """Ends in Flatten and Linear, so that a channel goes with a block of columns."""

    def __init__(self, activation: type[nn.Module] = nn.ReLU, padding: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=padding, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=padding)
        self.norm2 = nn.BatchNorm2d(6)
        side = (6 - 4 * (1 - padding)) // 2
        self.linear1 = nn.Linear(6 * side * side, 8)
        self.norm3 = nn.BatchNorm1d(8)
        self.linear2 = nn.Linear(8, N_OUTPUTS)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.norm1(self.conv1(x)))
        x = nn.functional.max_pool2d(self.activation(self.norm2(self.conv2(x))), 2)
        x = self.activation(self.norm3(self.linear1(x.flatten(1))))
        return self.linear2(x)


class Residual(nn.Module):
    """A sum: the channels of ``stem`` and ``conv2`` go together."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.conv1 = nn.Conv2d(4, 5, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(5)
        self.conv2 = nn.Conv2d(5, 4, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = (x + self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))).relu()
        return self.head(x.mean((2, 3)))


class Concatenation(nn.Module):
    """Two branches and what they branch from, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.left = nn.Conv2d(4, 3, 1)
        self.right = nn.Conv2d(4, 5, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.merge = nn.Conv2d(12, 6, 1)
        self.head = nn.Linear(6, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = torch.cat([self.left(x).relu(), x, self.right(x).relu()], 1)
        return self.head(self.merge(self.norm(x)).relu().mean((2, 3)))


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(2, 6, 1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.pointwise = nn.Conv2d(6, 5, 1)
        self.head = nn.Linear(5, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu6(self.norm(self.depthwise(self.expand(x).relu())))
        return self.head(self.pointwise(x).relu().mean((2, 3)))


class Grouped(nn.Module):
    """Channels at equal places in each group of a convolution go together."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 3)
        self.grouped = nn.Conv2d(8, 12, 1, groups=2)
        self.norm = nn.GroupNorm(3, 12)
        self.head = nn.Linear(12, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.grouped(self.conv(x).relu())).relu()
        return self.head(x.mean((2, 3)))


class GroupedPlain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 3)
        self.grouped = nn.Conv2d(8, 12, 1, groups=2)
        self.head = nn.Linear(12, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.grouped(self.conv(x).relu()).relu().mean((2, 3)))


class Conv1dFlatten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 5, 3, stride=2)
        self.hidden = nn.Linear(5 * 3, 6)
        self.output = nn.Linear(6, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(self.conv(x).relu().flatten(1)).relu())


class Conv3dFlatten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 4, 2)
        self.norm = nn.BatchNorm3d(4)
        self.output = nn.Linear(4 * 8, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.norm(self.conv(x)).relu().flatten(1))


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 5, 2, stride=2)
        self.norm = nn.BatchNorm2d(5)
        self.last = nn.Conv2d(5, N_OUTPUTS, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.up(self.down(x).relu())).relu()).mean((2, 3))


class GroupedTransposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 3)
        self.up = nn.ConvTranspose2d(8, 6, 2, groups=2)
        self.head = nn.Linear(6, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.up(self.conv(x).relu()).relu().mean((2, 3)))


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 6)
        self.hidden = nn.Linear(6, 5)
        self.output = nn.Linear(5, N_OUTPUTS)

    def forward(self, ids: Tensor) -> Tensor:
        return self.output(self.hidden(self.table(ids)).relu().mean(1))


class EmbeddedBag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(9, 6)
        self.hidden = nn.Linear(6, 5)
        self.output = nn.Linear(5, N_OUTPUTS)

    def forward(self, ids: Tensor) -> Tensor:
        return self.output(self.hidden(self.table(ids)).relu())


class LayerNormed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden0 = nn.Linear(6, 8)
        self.norm = nn.LayerNorm(8)
        self.hidden1 = nn.Linear(8, 5)
        self.output = nn.Linear(5, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.gelu(self.norm(self.hidden0(x)))
        return self.output(self.hidden1(x).relu())


class ParametricReLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden0 = nn.Linear(6, 8)
        self.slope0 = nn.PReLU(8)
        self.hidden1 = nn.Linear(8, 5)
        self.slope1 = nn.PReLU()
        self.output = nn.Linear(5, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.slope1(self.hidden1(self.slope0(self.hidden0(x)))))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 10, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x)).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase] = nn.GRU, bidirectional: bool = False) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 5)
        self.rnn = kind(5, 6, batch_first=True, bidirectional=bidirectional)
        self.hidden = nn.Linear(12 if bidirectional else 6, 5)
        self.output = nn.Linear(5, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        states = self.rnn(self.embed(x).relu())[0]
        return self.output(self.hidden(states.mean(1)).relu())


class GatedRecurrent(Recurrent):
    def __init__(self) -> None:
        super().__init__(nn.GRU)


class LongShortTerm(Recurrent):
    def __init__(self) -> None:
        super().__init__(nn.LSTM, bidirectional=True)


class ReachedTwice(nn.Module):
    """One layer, applied twice: its units feed itself."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(6, 8)
        self.again = nn.Linear(8, 8)
        self.output = nn.Linear(8, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x).relu()
        return self.output(self.again(self.again(x).relu()).relu())


class TiedWeights(nn.Module):
    """Two layers with one weight: what enters and leaves them goes together."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(6, 8)
        self.one = nn.Linear(8, 8)
        self.two = nn.Linear(8, 8)
        self.two.weight = self.one.weight
        self.hidden = nn.Linear(8, 5)
        self.output = nn.Linear(5, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.one(self.enter(x).relu()).relu()).relu()
        return self.output(self.hidden(x).relu())


class BareParameter(nn.Module):
    """Parameters that belong to no layer: a shift of each unit, and a product."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 8)
        self.shift = nn.Parameter(torch.linspace(-0.5, 0.5, 8).reshape(1, 8))
        self.output = nn.Linear(8, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.output((self.hidden(x).relu() + self.shift).sigmoid())


class Gained(nn.Module):
    """A layer that is nobody's but these tests': a product, and a gain for each output."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.n_inputs, self.n_outputs = n_inputs, n_outputs
        self.table = nn.Parameter(torch.randn(n_inputs, n_outputs) / n_inputs**0.5)
        self.gain = nn.Parameter(torch.ones(n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.table * self.gain


class Scaled(nn.Module):
    """A scale for each channel, which it passes on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


@register_layer(Gained)
class GainedLayer(Layer):
    out_axes, out_widths = {"table": 1, "gain": 0}, ("n_outputs",)
    in_axes, in_widths = {"table": 0}, ("n_inputs",)
    has_weights = True
    channels_last = True
    reads_features = True


@register_layer(Scaled)
class ScaledLayer(Layer):
    out_axes, out_widths = {"scale": 0}, ("width",)


class OwnLayers(nn.Module):
    """Layers of a user's own, before and after layers of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = Gained(6, 8)
        self.scaled = Scaled(8)
        self.middle = nn.Linear(8, 5)
        self.again = Gained(5, 7)
        self.output = nn.Linear(7, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.middle(self.scaled(self.enter(x).relu())).relu()
        return self.output(self.again(x).relu())


@dataclass(frozen=True)
class Example:
    module: type[nn.Module]
    shape: tuple[int, ...]
    groups: Mapping[str, int] = field(default_factory=dict)
    n_tokens: int = 0
    mixes: bool = False

    def inputs(self, n_rows: int, seed: int = 0) -> np.ndarray:
        """Rows to feed the network: real numbers, or tokens for an embedding to look up."""
        rng = np.random.default_rng(seed)
        if self.n_tokens:
            return rng.integers(self.n_tokens, size=(n_rows, *self.shape))
        return rng.standard_normal((n_rows, *self.shape), dtype=np.float32)

    def build(self, seed: int = 0, **options: Any) -> nn.Module:
        """Make the network, lively, with no bias or statistic at the value it is initialized to."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            module = self.module(**options)
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
                if tensor.dim() > 1:
                    tensor.data.mul_(2.0)
                elif name.endswith(("weight", "running_var")):
                    tensor.data.uniform_(0.5, 1.5)
                elif tensor.dim() == 1:
                    tensor.data.uniform_(0.1, 0.5).mul_(torch.randn_like(tensor).sign())
        return module.eval()


NETWORKS = {
    "mlp": Example(Perceptron, (6,), {"hidden0": 8, "hidden1": 8}),
    "conv_batch_norm": Example(ConvBatchNorm, (2, 6, 6), {"conv1": 4, "conv2": 6, "linear1": 8}),
    "residual": Example(Residual, (2, 5, 5), {"stem": 4, "conv1": 5}),
    "concatenation": Example(
        Concatenation, (2, 5, 5), {"stem": 4, "left": 3, "right": 5, "merge": 6}
    ),
    "depthwise": Example(Depthwise, (2, 5, 5), {"expand": 6, "pointwise": 5}),
    "grouped": Example(GroupedPlain, (2, 5, 5), {"conv": 4, "grouped": 6}),
    "group_norm": Example(Grouped, (2, 5, 5), {"conv": 4, "grouped": 2}, mixes=True),
    "conv1d": Example(Conv1dFlatten, (2, 8), {"conv": 5, "hidden": 6}),
    "conv3d": Example(Conv3dFlatten, (1, 3, 3, 3), {"conv": 4}),
    "transposed": Example(Transposed, (2, 6, 6), {"down": 4, "up": 5}),
    "grouped_transposed": Example(GroupedTransposed, (2, 5, 5), {"conv": 4, "up": 3}),
    "embedding": Example(Embedded, (4,), {"table": 6, "hidden": 5}, n_tokens=9),
    "embedding_bag": Example(EmbeddedBag, (4,), {"table": 6, "hidden": 5}, n_tokens=9),
    "layer_norm": Example(LayerNormed, (6,), {"hidden0": 8, "hidden1": 5}, mixes=True),
    "prelu": Example(ParametricReLU, (6,), {"hidden0": 8, "hidden1": 5}),
    "transformer": Example(
        Transformer,
        (5, 4),
        {
            "embed": 8,
            "encoder.linear1": 10,
            "encoder.self_attn:heads": 2,
            "encoder.self_attn:head_dims": 4,
        },
        mixes=True,
    ),
    "reached_twice": Example(ReachedTwice, (6,), {"enter": 8}),
    "tied_weights": Example(TiedWeights, (6,), {"enter": 8, "hidden": 5}),
    "bare_parameter": Example(BareParameter, (6,), {"hidden": 8}),
    "own_layers": Example(OwnLayers, (6,), {"enter": 8, "middle": 5, "again": 7}),
    "gru": Example(GatedRecurrent, (5, 4), {"embed": 5, "hidden": 5, "rnn": 6}),
    "lstm": Example(LongShortTerm, (5, 4), {"embed": 5, "hidden": 5, "rnn": 6}),
}

# Those whose units can be removed.
TRACEABLE = {name: example for name, example in NETWORKS.items() if example.groups}

# Those that all strategies and structures are tried on: batch norm, a residual sum,
# a concatenation, a depthwise convolution.
LAW_NETWORKS = ["conv_batch_norm", "residual", "concatenation", "depthwise"]
