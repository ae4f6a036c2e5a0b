"""Networks that see an image as patches, or places that look at each other."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.vision import conv_bn, head


class NonLocal(nn.Module):
    """Each place looks at all the others."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 8)
        self.query, self.key, self.value = (nn.Conv2d(8, n, 1) for n in (5, 5, 6))
        self.back, self.head = nn.Conv2d(6, 8, 1), head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        query, key, value = (
            self.query(x).flatten(2),
            self.key(x).flatten(2),
            self.value(x).flatten(2),
        )
        weights = (query.transpose(1, 2) @ key).softmax(-1)
        seen = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return self.head(x + self.back(seen))


class SelfAttention(nn.Module):
    """Queries, keys and values from one layer, as timm's ViT has it."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads, self.head_width = n_heads, width // n_heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        qkv = self.qkv(x).reshape(n, t, 3, self.n_heads, self.head_width)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        seen = functional.scaled_dot_product_attention(query, key, value)
        return self.out(seen.transpose(1, 2).reshape(n, t, -1))


def mlp(n_in: int, inner: int, n_out: int | None = None) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, inner), nn.GELU(), nn.Linear(inner, n_out or n_in))


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, stride=4)
        self.first = nn.Parameter(torch.zeros(1, 1, 12))
        self.places = nn.Parameter(torch.zeros(1, 5, 12))
        self.blocks = nn.ModuleList(
            nn.ModuleList([nn.LayerNorm(12), SelfAttention(12, 4), nn.LayerNorm(12), mlp(12, 18)])
            for _ in range(2)
        )
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.places
        for norm1, attention, norm2, inner in self.blocks:
            x = x + attention(norm1(x))
            x = x + inner(norm2(x))
        return self.head(self.norm(x)[:, 0])


class SwinBlock(nn.Module):
    """Attention in windows that are shifted, with a bias for each head and distance."""

    def __init__(self, width: int, n_heads: int, side: int, shift: int) -> None:
        super().__init__()
        self.n_heads, self.side, self.shift = n_heads, side, shift
        self.norm, self.norm2, self.mlp = nn.LayerNorm(width), nn.LayerNorm(width), mlp(width, 14)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros((2 * side - 1) ** 2, n_heads))
        at = torch.stack(torch.meshgrid(*[torch.arange(side)] * 2, indexing="ij")).flatten(1)
        distance = at[:, :, None] - at[:, None] + side - 1
        self.register_buffer("index", distance[0] * (2 * side - 1) + distance[1])

    def attend(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        s = self.side
        x = x.roll((-self.shift, -self.shift), (1, 2))
        x = x.view(n, h // s, s, w // s, s, c).transpose(2, 3).reshape(-1, s * s, c)
        query, key, value = (
            self.qkv(x).view(len(x), s * s, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        )
        bias = self.bias[self.index.flatten()].view(s * s, s * s, -1).permute(2, 0, 1)
        weights = (query @ key.transpose(-1, -2) / 2 + bias).softmax(-1)
        x = self.out((weights @ value).transpose(1, 2).flatten(2))
        x = x.view(n, h // s, w // s, s, s, -1).transpose(2, 3).reshape(n, h, w, -1)
        return x.roll((self.shift, self.shift), (1, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.norm(x))
        return x + self.mlp(self.norm2(x))


class Swin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 2, stride=2)
        self.blocks = nn.Sequential(SwinBlock(12, 3, 2, 0), SwinBlock(12, 3, 2, 1))
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.patches(x).permute(0, 2, 3, 1)).mean((1, 2)))


class MixerBlock(nn.Module):
    def __init__(self, n_patches: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens, self.channels = mlp(n_patches, 7), mlp(width, 15)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.patches, self.blocks = nn.Conv2d(3, 10, 4, stride=4), nn.Sequential(*blocks)
        self.norm, self.head = nn.LayerNorm(10), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.patches(x).flatten(2).transpose(1, 2))
        return self.head(self.norm(x).mean(1))


def mlp_mixer() -> nn.Module:
    return Mixer(MixerBlock(4, 10), MixerBlock(4, 10))


class GatedMLPBlock(nn.Module):
    """Half of the channels gate the other half, mixed over places."""

    def __init__(self, n_patches: int, width: int, inner: int) -> None:
        super().__init__()
        self.norm, self.enter = nn.LayerNorm(width), nn.Linear(width, 2 * inner)
        self.gate_norm, self.spatial = nn.LayerNorm(inner), nn.Linear(n_patches, n_patches)
        self.leave = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        left, right = functional.gelu(self.enter(self.norm(x))).chunk(2, -1)
        gate = self.spatial(self.gate_norm(right).transpose(1, 2)).transpose(1, 2)
        return x + self.leave(left * gate)


def gated_mlp() -> nn.Module:
    return Mixer(GatedMLPBlock(4, 10, 9), GatedMLPBlock(4, 10, 9))
