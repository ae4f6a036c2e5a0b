"""Networks for images and video."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv_bn(n_in: int, n_out: int, size: int = 3, act: type[nn.Module] = nn.ReLU, **options: Any):
    """A convolution that keeps the size (at stride one), batch norm, an activation."""
    conv = nn.Conv2d(n_in, n_out, size, padding=size // 2, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(n_out), act())


def head(width: int, n_classes: int = 3) -> nn.Sequential:
    """Means over all places, and classes."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, n_classes))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 10, 2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(10 * 2 * 2, 12),
        nn.Tanh(),
        nn.Linear(12, 3),
    )


def vgg() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 6),
        conv_bn(6, 6),
        nn.MaxPool2d(2),
        conv_bn(6, 10),
        conv_bn(10, 10),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(10 * 2 * 2, 14),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(14, 12),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(12, 3),
    )


class AlexNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 10, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(40, 16), nn.ReLU(inplace=True), nn.Linear(16, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


def local_response_norm() -> nn.Module:
    """The first AlexNet's norm, which mixes neighbouring channels."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        nn.LocalResponseNorm(3),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(),
        head(8),
    )


class Shortcut(nn.Module):
    """A body, and a way around it."""

    def __init__(self, body: nn.Module, around: nn.Module | None = None, last: Any = None) -> None:
        super().__init__()
        self.body, self.around, self.last = body, around or nn.Identity(), last or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x) + self.around(x))


def basic_block(n_in: int, n_out: int, stride: int = 1, norm: Any = nn.BatchNorm2d) -> nn.Module:
    body = nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
        norm(n_out),
        nn.ReLU(),
        nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False),
        norm(n_out),
    )
    around = None
    if n_in != n_out:
        around = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), norm(n_out))
    return Shortcut(body, around, nn.ReLU())


def resnet_basic() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 8), basic_block(8, 8), basic_block(8, 12, 2), basic_block(12, 12), head(12)
    )


def bottleneck(n_in: int, inner: int, n_out: int, groups: int = 1) -> nn.Module:
    body = nn.Sequential(
        conv_bn(n_in, inner, 1),
        conv_bn(inner, inner, groups=groups),
        nn.Conv2d(inner, n_out, 1, bias=False),
        nn.BatchNorm2d(n_out),
    )
    around = None if n_in == n_out else nn.Conv2d(n_in, n_out, 1)
    return Shortcut(body, around, nn.ReLU())


def resnet_bottleneck() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 8), bottleneck(8, 5, 14), bottleneck(14, 5, 14), bottleneck(14, 6, 16), head(16)
    )


def resnext() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 12), bottleneck(12, 8, 12, groups=2), bottleneck(12, 8, 16, groups=4), head(16)
    )


def preactivation(width: int) -> nn.Module:
    return Shortcut(
        nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width + 2, 3, padding=1),
            nn.BatchNorm2d(width + 2),
            nn.ReLU(),
            nn.Conv2d(width + 2, width, 3, padding=1),
        )
    )


def resnet_preactivation() -> nn.Module:
    stem = nn.Conv2d(3, 8, 3, padding=1)
    return nn.Sequential(
        stem, preactivation(8), preactivation(8), nn.BatchNorm2d(8), nn.ReLU(), head(8)
    )


def resnet_group_norm() -> nn.Module:
    def norm(width: int) -> nn.Module:
        return nn.GroupNorm(2, width)

    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        basic_block(8, 8, norm=norm),
        basic_block(8, 12, 2, norm=norm),
        head(12),
    )


class DenseLayer(nn.Module):
    def __init__(self, n_in: int, inner: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(n_in), nn.Conv2d(n_in, inner, 1, bias=False)
        self.norm2, self.conv2 = (
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv2(self.norm2(self.conv1(self.norm1(x).relu())).relu())
        return torch.cat([x, new], 1)


def densenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        DenseLayer(6, 8, 4),
        DenseLayer(10, 8, 4),
        nn.BatchNorm2d(14),
        nn.ReLU(),
        nn.Conv2d(14, 7, 1),
        nn.AvgPool2d(2),
        DenseLayer(7, 8, 4),
        nn.BatchNorm2d(11),
        nn.ReLU(),
        head(11),
    )


class Parallel(nn.Module):
    """Branches whose channels are put side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def inception_block(n_in: int) -> nn.Module:
    """It puts out 4 + 6 + 4 + 3 channels, and has 5 + 3 inside."""
    return Parallel(
        conv_bn(n_in, 4, 1),
        nn.Sequential(conv_bn(n_in, 5, 1), conv_bn(5, 6)),
        nn.Sequential(conv_bn(n_in, 3, 1), conv_bn(3, 4, 5)),
        nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn(n_in, 3, 1)),
    )


def inception() -> nn.Module:
    return nn.Sequential(conv_bn(3, 6), inception_block(6), inception_block(17), head(17))


class GoogLeNet(nn.Module):
    """It has an auxiliary head, which only training runs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = conv_bn(3, 6), inception_block(6), inception_block(17)
        self.head, self.auxiliary = head(17), nn.Sequential(nn.Conv2d(17, 7, 1), nn.ReLU(), head(7))

    def forward(self, x: Tensor) -> Any:
        x = self.one(self.stem(x))
        out = self.head(self.two(x))
        return (out, self.auxiliary(x)) if self.training else out


def fire(n_in: int) -> nn.Module:
    """It puts out 5 + 6 channels, and has 4 inside."""
    squeeze = nn.Sequential(nn.Conv2d(n_in, 4, 1), nn.ReLU())
    expand = Parallel(nn.Conv2d(4, 5, 1), nn.Conv2d(4, 6, 3, padding=1))
    return nn.Sequential(squeeze, expand, nn.ReLU())


def squeezenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), fire(8), nn.MaxPool2d(2), fire(11), head(11)
    )


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.deep, self.norm = (
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.LayerNorm(width),
        )
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.deep(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(functional.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


def convnext() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 2, stride=2),
        LayerNorm2d(8),
        ConvNeXtBlock(8, 16),
        LayerNorm2d(8),
        nn.Conv2d(8, 12, 2, stride=2),
        ConvNeXtBlock(12, 18),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(12),
        nn.Linear(12, 3),
    )


class Res2Net(nn.Module):
    """The channels of a block are split, and each part is added to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 5
        self.stem, self.enter = conv_bn(3, 9), conv_bn(9, 15, 1)
        self.convs = nn.ModuleList(conv_bn(5, 5) for _ in range(2))
        self.leave, self.head = nn.Conv2d(15, 9, 1), head(9)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        first, *others = torch.split(self.enter(x), self.width, 1)
        parts = [first]
        for part, conv in zip(others, self.convs, strict=True):
            parts.append(conv(part + parts[-1]))
        return self.head((x + self.leave(torch.cat(parts, 1))).relu())


def network_in_network() -> nn.Module:
    def block(n_in: int, n_out: int) -> list[nn.Module]:
        layers = [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
        return [*layers, nn.Conv2d(n_out, n_out, 1), nn.ReLU()]

    return nn.Sequential(
        *block(3, 6),
        nn.MaxPool2d(2),
        *block(6, 8),
        nn.Conv2d(8, 3, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


class SiameseConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(conv_bn(3, 6), conv_bn(6, 8, stride=2), nn.Flatten())
        self.embed, self.out = nn.Linear(8 * 4 * 4, 10), nn.Linear(10, 1)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.out((self.embed(self.tower(one)) - self.embed(self.tower(other))).abs())


class CoordinateConv(nn.Module):
    """It tells its convolutions where they are."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(5, 8, 3), nn.Conv2d(10, 7, 3), head(7)

    def with_places(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        across = torch.linspace(-1, 1, w, dtype=x.dtype).expand(n, 1, h, w)
        down = torch.linspace(-1, 1, h, dtype=x.dtype).view(-1, 1).expand(n, 1, h, w)
        return torch.cat([x, across, down], 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(self.with_places(x)).relu()
        return self.head(self.two(self.with_places(x)).relu())


class SpatialTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.place = nn.Sequential(nn.Flatten(), nn.Linear(20, 9), nn.ReLU(), nn.Linear(9, 6))
        self.body = nn.Sequential(conv_bn(3, 7), head(7))

    def forward(self, x: Tensor) -> Tensor:
        theta = self.place(self.look(x)).view(-1, 2, 3)
        grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
        return self.body(functional.grid_sample(x, grid, align_corners=False))


class SelectiveKernel(nn.Module):
    """Which of two kernels counts is decided channel by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = conv_bn(3, 8), conv_bn(3, 8, 5)
        self.squeeze, self.choose, self.head = nn.Linear(8, 5), nn.Linear(5, 16), head(8)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.stack([self.small(x), self.large(x)], 1)
        means = self.squeeze(both.sum(1).mean((2, 3))).relu()
        weights = self.choose(means).view(len(x), 2, -1).softmax(1)
        return self.head((both * weights[..., None, None]).sum(1))


def video() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(2, 6, 3, padding=1),
        nn.BatchNorm3d(6),
        nn.ReLU(),
        nn.MaxPool3d((1, 2, 2)),
        nn.Conv3d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
