"""Random networks for sequences: sums, concatenations, gates, norms, recurrence and attention."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

BLOCKS = (
    "linear",
    "residual",
    "concatenation",
    "gate",
    "glu",
    "layer_norm",
    "rms_norm",
    "convolution",
    "weight_norm",
    "lstm",
    "gru",
    "bidirectional",
    "multihead",
    "attention",
    "fused_attention",
    "grouped_attention",
    "mixing",
)


class Wrapped(nn.Module):
    """Layers around what a layer gives: a sum, a concatenation, a gate."""

    def __init__(self, how: str, width: int, inner: int) -> None:
        super().__init__()
        self.how = how
        out = {"concatenation": inner, "glu": 2 * inner}.get(how, width)
        self.one, self.two = nn.Linear(width, inner), nn.Linear(inner, out)

    def forward(self, x: Tensor) -> Tensor:
        made = self.two(self.one(x).tanh())
        match self.how:
            case "residual":
                return x + made
            case "concatenation":
                return torch.cat([x, made], -1)
            case "gate":
                return x * made.sigmoid()
            case "glu":
                return functional.glu(made, -1)
        raise AssertionError(self.how)


class Convolved(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.transpose(1, 2)).relu().transpose(1, 2)


class Recurring(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], width: int, out: int, **options: bool) -> None:
        super().__init__()
        self.rnn = kind(width, out, batch_first=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]


class MultiHead(nn.Module):
    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, n_heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(x, x, x, need_weights=False)[0]


class Attention(nn.Module):
    """Attention written out, with one projection or three, and heads that share keys or not."""

    def __init__(self, width: int, n_heads: int, n_keys: int, *, fused: bool) -> None:
        super().__init__()
        self.n_heads, self.n_keys, self.fused = n_heads, n_keys, fused
        wide, narrow = 4 * n_heads, 4 * n_keys
        if fused:
            self.project = nn.Linear(width, 3 * wide)
        else:
            self.query = nn.Linear(width, wide)
            self.key, self.value = nn.Linear(width, narrow), nn.Linear(width, narrow)
        self.back = nn.Linear(wide, width)

    def forward(self, x: Tensor) -> Tensor:
        if self.fused:
            parts = self.project(x).chunk(3, -1)
        else:
            parts = (self.query(x), self.key(x), self.value(x))
        counts = (self.n_heads, self.n_keys, self.n_keys)
        query, key, value = (
            part.unflatten(-1, (count, -1)).transpose(1, 2)
            for part, count in zip(parts, counts, strict=True)
        )
        if self.n_keys < self.n_heads:
            key, value = (
                part.repeat_interleave(self.n_heads // self.n_keys, 1) for part in (key, value)
            )
        seen = functional.scaled_dot_product_attention(query, key, value)
        return x + self.back(seen.transpose(1, 2).flatten(2))


class Mixing(nn.Module):
    """A layer over the steps of a sequence, for each channel."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(length, 7), nn.Linear(7, length)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.up(x.transpose(1, 2)).relu()).transpose(1, 2)


class Last(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(width, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(x).relu().mean(1))


def random_sequence_network(seed: int, n_blocks: int, length: int = 5) -> nn.Module:
    """Make a network that reads rows of `length` steps of four numbers."""
    draw = np.random.default_rng(seed)
    width = int(draw.choice([6, 8, 12]))
    layers: list[nn.Module] = [nn.Linear(4, width)]
    for name in draw.choice(BLOCKS, size=n_blocks).tolist():
        if width > 20:
            layers.append(nn.Linear(width, 8))
            width = 8
        layer, width = _block(name, width, length, draw)
        layers.append(layer)
    return nn.Sequential(*layers, Last(width))


def _block(name: str, width: int, length: int, draw: np.random.Generator) -> tuple[nn.Module, int]:
    """Make a block, and say how many channels it puts out."""
    new = int(draw.choice([6, 8, 12]))
    match name:
        case "linear":
            return nn.Sequential(nn.Linear(width, new), nn.GELU()), new
        case "residual" | "gate":
            return Wrapped(name, width, new), width
        case "concatenation":
            return Wrapped(name, width, new), width + new
        case "glu":
            return Wrapped(name, width, new), new
        case "layer_norm":
            return nn.LayerNorm(width), width
        case "rms_norm":
            return nn.RMSNorm(width), width
        case "convolution":
            return Convolved(width, new), new
        case "weight_norm":
            return parametrizations.weight_norm(nn.Linear(width, new)), new
        case "lstm" | "gru":
            return Recurring(nn.LSTM if name == "lstm" else nn.GRU, width, new), new
        case "bidirectional":
            return Recurring(nn.GRU, width, 5, bidirectional=True), 10
        case "multihead":
            return MultiHead(width, 2), width
        case "attention" | "fused_attention":
            return Attention(width, 3, 3, fused=name == "fused_attention"), width
        case "grouped_attention":
            return Attention(width, 4, 2, fused=False), width
        case "mixing":
            return Mixing(length), width
    raise AssertionError(name)
