"""Convolutional networks for small machines: depthwise, squeezed, shuffled."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.vision import Shortcut, conv_bn, head


def mobilenet_v1() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 6),
        conv_bn(6, 6, groups=6),
        conv_bn(6, 10, 1),
        conv_bn(10, 10, groups=10, stride=2),
        conv_bn(10, 12, 1),
        head(12),
    )


class SqueezeExcite(nn.Module):
    def __init__(self, width: int, inner: int, gate: type[nn.Module] = nn.Sigmoid) -> None:
        super().__init__()
        self.down, self.up, self.gate = (
            nn.Conv2d(width, inner, 1),
            nn.Conv2d(inner, width, 1),
            gate(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.up(self.down(x.mean((2, 3), keepdim=True)).relu()))


def inverted(n_in: int, inner: int, n_out: int, act: Any = nn.ReLU6, squeeze: int = 0) -> nn.Module:
    layers = [conv_bn(n_in, inner, 1, act), conv_bn(inner, inner, 3, act, groups=inner)]
    if squeeze:
        layers.append(SqueezeExcite(inner, squeeze, nn.Hardsigmoid))
    body = nn.Sequential(*layers, nn.Conv2d(inner, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
    return Shortcut(body) if n_in == n_out else body


def mobilenet_v2() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 6), inverted(6, 12, 6), inverted(6, 12, 8), inverted(8, 16, 8), head(8)
    )


def mobilenet_v3() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 6, act=nn.Hardswish),
        inverted(6, 10, 6, nn.Hardswish, squeeze=4),
        inverted(6, 12, 8, nn.Hardswish, squeeze=4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 14),
        nn.Hardswish(),
        nn.Dropout(),
        nn.Linear(14, 3),
    )


def efficientnet() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 6, act=nn.SiLU),
        inverted(6, 10, 6, nn.SiLU, squeeze=3),
        inverted(6, 10, 9, nn.SiLU, squeeze=3),
        conv_bn(9, 12, 1, nn.SiLU),
        head(12),
    )


def shuffled(x: Tensor, groups: int) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class ShuffleNetV1(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 12)
        self.down, self.deep = conv_bn(12, 8, 1, groups=2), conv_bn(8, 8, groups=8)
        self.up, self.head = nn.Conv2d(8, 12, 1, groups=2), head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head((x + self.up(self.deep(shuffled(self.down(x), 2)))).relu())


class ShuffleNetV2(nn.Module):
    def __init__(self, norm: Any = nn.BatchNorm2d) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), norm(16), nn.ReLU())
        self.branch = nn.Sequential(
            nn.Conv2d(8, 10, 1),
            norm(10),
            nn.ReLU(),
            nn.Conv2d(10, 10, 3, padding=1, groups=10),
            nn.Conv2d(10, 8, 1),
            norm(8),
            nn.ReLU(),
        )
        self.last, self.head = nn.Conv2d(16, 12, 1), head(12)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.stem(x).chunk(2, 1)
        x = shuffled(torch.cat([left, self.branch(right)], 1), 2)
        return self.head(self.last(x).relu())


def shufflenet_group_norm() -> nn.Module:
    return ShuffleNetV2(lambda width: nn.GroupNorm(2, width))


class GhostNet(nn.Module):
    """Half of the channels are made from the other half, one from one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.cheap = conv_bn(3, 8), conv_bn(8, 8, groups=8)
        self.last, self.head = conv_bn(16, 10, 1), head(10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(self.last(torch.cat([x, self.cheap(x)], 1)))
