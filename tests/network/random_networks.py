"""Random convolutional networks, plain ones and such as mix their channels."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

MIXING = (
    "flip",
    "roll",
    "slice",
    "chunk",
    "squeeze_excite",
    "shuffle",
    "pixel_shuffle",
    "self_concatenation",
    "shift",
)
PLAIN = ("relu", "tanh", "batch_norm", "residual", "concatenation", "grouped", "depthwise")
NORMS = ("layer_norm", "group_norm")


class SqueezeExcite(nn.Module):
    """Each channel is weighed by what a small network makes of the means of all."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, 3), nn.Linear(3, width)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.up(self.down(x.mean((2, 3))).relu()).sigmoid()[:, :, None, None]


class Branches(nn.Module):
    """Two convolutions side by side, summed or concatenated."""

    def __init__(self, width: int, other: int, *, summed: bool) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(width, width, 1), nn.Conv2d(width, other, 3, padding=1)
        self.summed = summed

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.one(x), self.two(x)
        return one + two if self.summed else torch.cat([one, two], 1)


class Mix(nn.Module):
    """A function of the channels that has no parameters."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def shuffled(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def random_network(seed: int, *, mixing: bool) -> tuple[nn.Module, Tensor]:
    """Make a network in double precision whose parameters all differ, and some inputs of it."""
    draw = np.random.default_rng([seed, mixing])
    torch.manual_seed(seed)
    side, width = 4, int(draw.choice([4, 6, 8]))
    layers: list[nn.Module] = [nn.Conv2d(2, width, 3, padding=1), nn.ReLU()]
    names = [*PLAIN, *MIXING, *MIXING, *NORMS] if mixing else list(PLAIN)
    chosen = draw.choice(names, size=draw.integers(1, 5)).tolist()
    if mixing and not set(chosen) & set(MIXING):
        chosen.append(str(draw.choice(MIXING)))
    for name in chosen:
        if width % 2:
            layers.append(nn.Conv2d(width, 4, 1))
            width = 4
        added, width, side = _layer(name, width, side, draw)
        layers.append(added)
        if draw.random() < 0.5:
            new = int(draw.choice([4, 6, 8]))
            layers += [nn.Conv2d(width, new, 1), nn.ReLU()]
            width = new
    if draw.random() < 0.5:
        layers += [nn.Flatten(), nn.Linear(width * side * side, 6)]
    else:
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 6)]
    layers += [nn.Tanh(), nn.Linear(6, 3)]
    module = nn.Sequential(*layers).double()
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(0.1 + torch.rand_like(tensor))
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    return module.eval(), torch.randn(8, 2, 4, 4, dtype=torch.float64)


def _layer(
    name: str, width: int, side: int, draw: np.random.Generator
) -> tuple[nn.Module, int, int]:
    """Make a layer, and say how many channels and positions it puts out."""
    half = width // 2
    by: int = int(draw.integers(1, width))
    match name:
        case "relu":
            return nn.ReLU(), width, side
        case "tanh":
            return nn.Tanh(), width, side
        case "batch_norm":
            return nn.BatchNorm2d(width), width, side
        case "residual":
            return Branches(width, width, summed=True), width, side
        case "concatenation":
            other = int(draw.choice([2, 4, 6]))
            return Branches(width, other, summed=False), width + other, side
        case "grouped":
            return nn.Conv2d(width, 2 * half, 1, groups=2), 2 * half, side
        case "depthwise":
            return nn.Conv2d(width, width, 3, padding=1, groups=width), width, side
        case "layer_norm":
            inner = nn.LayerNorm(width)
            layers = [Mix(lambda x: x.movedim(1, -1)), inner, Mix(lambda x: x.movedim(-1, 1))]
            return nn.Sequential(*layers), width, side
        case "group_norm":
            return nn.GroupNorm(2, width), width, side
        case "flip":
            return Mix(lambda x: x.flip(1)), width, side
        case "roll":
            return Mix(lambda x: x.roll(by, 1)), width, side
        case "slice":
            return Mix(lambda x: x[:, half:]), width - half, side
        case "chunk":
            part = int(draw.integers(2))
            return Mix(lambda x: x.chunk(2, 1)[part]), half, side
        case "squeeze_excite":
            return SqueezeExcite(width), width, side
        case "shuffle":
            return Mix(shuffled), width, side
        case "pixel_shuffle":
            layers = [nn.Conv2d(width, 4 * 4, 1), nn.PixelShuffle(2), nn.MaxPool2d(2)]
            return nn.Sequential(*layers), 4, side
        case "self_concatenation":
            return Mix(lambda x: torch.cat([x, x.flip(1)], 1)), 2 * width, side
        case "shift":
            return Mix(lambda x: functional.pad(x, (0, 0, 0, 0, 1, 0))[:, :-1]), width, side
    raise AssertionError(name)
