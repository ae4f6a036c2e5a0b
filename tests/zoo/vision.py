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


class GhostNet(nn.Module):
    """Half of the channels are made from the other half, one from one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.cheap = conv_bn(3, 8), conv_bn(8, 8, groups=8)
        self.last, self.head = conv_bn(16, 10, 1), head(10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(self.last(torch.cat([x, self.cheap(x)], 1)))


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


class CrossStage(nn.Module):
    """Half of the channels go around a block (CSP, as in YOLO)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 12, act=nn.SiLU)
        self.body = Shortcut(nn.Sequential(conv_bn(6, 5, act=nn.SiLU), conv_bn(5, 6, act=nn.SiLU)))
        self.merge = conv_bn(12, 10, 1, act=nn.SiLU)
        self.boxes, self.classes = nn.Conv2d(10, 4, 1), nn.Conv2d(10, 3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        left, right = self.stem(x).chunk(2, 1)
        x = self.merge(torch.cat([left, self.body(right)], 1))
        return {"boxes": self.boxes(x), "classes": self.classes(x)}


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.middle = conv_bn(3, 6), conv_bn(6, 8), conv_bn(8, 12)
        self.up2, self.join2 = nn.ConvTranspose2d(12, 8, 2, stride=2), conv_bn(16, 9)
        self.up1, self.join1 = nn.ConvTranspose2d(9, 6, 2, stride=2), conv_bn(12, 7)
        self.out = nn.Conv2d(7, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(functional.max_pool2d(one, 2))
        x = self.middle(functional.max_pool2d(two, 2))
        x = self.join2(torch.cat([self.up2(x), two], 1))
        return self.out(self.join1(torch.cat([self.up1(x), one], 1)))


class FullyConvolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(conv_bn(3, 6, stride=2), conv_bn(6, 9, stride=2))
        self.score = nn.Conv2d(9, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.score(self.encoder(x))
        return functional.interpolate(
            scores, size=x.shape[-2:], mode="bilinear", align_corners=False
        )


class Pyramid(nn.Module):
    """A feature pyramid: one set of weights predicts at all its levels."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = conv_bn(3, 6), conv_bn(6, 8, stride=2)
        self.side1, self.side2 = nn.Conv2d(6, 10, 1), nn.Conv2d(8, 10, 1)
        self.smooth, self.predict = nn.Conv2d(10, 7, 3, padding=1), nn.Conv2d(7, 2, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        one = self.one(x)
        low = self.side2(self.two(one))
        high = self.side1(one) + functional.interpolate(low, scale_factor=2.0, mode="nearest")
        return [self.predict(self.smooth(level).relu()) for level in (high, low)]


def conv_autoencoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 5, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 7, 2, stride=2),
        nn.BatchNorm2d(7),
        nn.ReLU(),
        nn.ConvTranspose2d(7, 3, 2, stride=2),
        nn.Sigmoid(),
    )


class Generator(nn.Module):
    """A DCGAN generator: neurons become the channels of a small image."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = 9
        self.enter = nn.Linear(5, 9 * 4)
        self.body = nn.Sequential(
            nn.BatchNorm2d(9),
            nn.ReLU(),
            nn.ConvTranspose2d(9, 6, 4, stride=2, padding=1),
            nn.BatchNorm2d(6),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(6, 3, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.body(self.enter(z).view(-1, self.channels, 2, 2))


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


def super_resolution() -> nn.Module:
    """ESPCN twice over: pixels are shuffled inside as well as at the end."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(8, 5 * 4, 3, padding=1),
        nn.PixelShuffle(2),
        nn.Tanh(),
        nn.Conv2d(5, 3 * 4, 3, padding=1),
        nn.PixelShuffle(2),
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


def style_transfer() -> nn.Module:
    return nn.Sequential(
        nn.ReflectionPad2d(1),
        nn.Conv2d(3, 6, 3),
        nn.InstanceNorm2d(6, affine=True),
        nn.ReLU(),
        Shortcut(
            nn.Sequential(
                nn.ReflectionPad2d(1),
                nn.Conv2d(6, 8, 3),
                nn.InstanceNorm2d(8),
                nn.ReLU(),
                nn.Conv2d(8, 6, 3, padding=1),
            )
        ),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(6, 3, 3, padding=1),
    )


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
