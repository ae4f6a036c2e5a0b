"""Networks that put out images, maps or boxes, or find them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.vision import Shortcut, conv_bn


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
