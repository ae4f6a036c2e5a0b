"""What people write that a tracer does not expect."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


class Between(nn.Module):
    """Two hidden layers of 10 and 8, and something between them."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(6, width), nn.Linear(width, 8), nn.Linear(8, 3)

    def between(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.two(self.between(self.one(x).relu())).relu())


class Flip(Between):
    def between(self, x: Tensor) -> Tensor:
        return x.flip(1)


class FlipAdded(Between):
    """Each unit is added to the one that mirrors it."""

    def between(self, x: Tensor) -> Tensor:
        return x + x.flip(-1)


class Roll(Between):
    def between(self, x: Tensor) -> Tensor:
        return x.roll(1, 1)


class NormThenRoll(Between):
    """A norm over other channels must not hide the roll."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.norm(self.one(x)).relu())
        return self.out(x.roll(1, 1))


class Sliced(Between):
    """The number of units is written into forward."""

    def between(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, :4], x[:, 4:].tanh()], 1)


class ViewWritten(nn.Module):
    """Three heads, which forward knows by number."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(6, 12), nn.Linear(12, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x).view(len(x), 3, 4)
        x = x * x.mean(1, keepdim=True).sigmoid()
        return self.out(self.two(x.reshape(len(x), 12)).relu())


class ViewFree(nn.Module):
    """Three groups of units, as many as there are."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(6, 12), nn.Linear(12, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x).view(len(x), 3, -1)
        x = x * x.mean(1, keepdim=True).sigmoid()
        return self.out(self.two(x.flatten(1)).relu())


class Sorted(Between):
    def between(self, x: Tensor) -> Tensor:
        return x.sort(1).values


class SoftmaxOverUnits(Between):
    def between(self, x: Tensor) -> Tensor:
        return x.softmax(1)


class MeanOverUnits(Between):
    def between(self, x: Tensor) -> Tensor:
        return x - x.mean(1, keepdim=True)


class CumulativeSum(Between):
    def between(self, x: Tensor) -> Tensor:
        return x.cumsum(1)


class Shifted(Between):
    """Each unit is moved to the place of the next."""

    def between(self, x: Tensor) -> Tensor:
        return functional.pad(x, (1, 0))[:, :-1]


class Normalized(Between):
    """Of length one: what is zero does not count."""

    def between(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=1)


class Cosine(nn.Module):
    """Classes by the angle to a vector of each."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 9), nn.Linear(9, 7)
        self.classes = nn.Parameter(torch.zeros(3, 7))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.normalize(self.two(self.one(x).relu()), dim=-1)
        return 10 * functional.linear(x, functional.normalize(self.classes, dim=-1))


class Distances(nn.Module):
    """Prototypes: distances to them are put out."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 9), nn.Linear(9, 7)
        self.prototypes = nn.Parameter(torch.zeros(4, 7))

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.one(x).relu())
        return (x[:, None] - self.prototypes).square().sum(-1)


class EverythingPutOut(Between):
    """The hidden units are an output as well."""

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        hidden = self.one(x).relu()
        return self.out(self.two(hidden).relu()), {"hidden": hidden}


class BranchOnData(Between):
    """One of two layers, by what the rows sum to."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(10, 8)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.one(x).relu()
        layer = self.two if x.sum() > 0 else self.other
        return self.out(layer(hidden).relu())


class RareBranch(Between):
    """A layer that only rows far out see."""

    def __init__(self) -> None:
        super().__init__()
        self.far = nn.Linear(10, 8)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.one(x).relu()
        y = self.two(hidden)
        if x.abs().max() > 20:
            y = y + self.far(hidden)
        return self.out(y.relu())


class AuxiliaryHead(Between):
    """Only training has the second output."""

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Any:
        hidden = self.one(x).relu()
        out = self.out(self.two(hidden).relu())
        return (out, self.auxiliary(hidden)) if self.training else out


class UnusedLayer(Between):
    def __init__(self) -> None:
        super().__init__()
        self.forgotten = nn.Linear(10, 5)


class SharedLayer(nn.Module):
    """One layer three times over."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.again, self.out = nn.Linear(6, 9), nn.Linear(9, 9), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x).relu()
        for _ in range(3):
            x = self.again(x).relu()
        return self.out(x)


class FixedProjection(Between):
    """Random directions that are no parameters (Fourier features)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("directions", torch.linspace(-1, 1, 30).view(6, 5))
        self.one = nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x @ self.directions
        return super().forward(torch.cat([x.sin(), x.cos()], 1))


class BufferScale(Between):
    """A buffer with a number for each unit."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 10))

    def between(self, x: Tensor) -> Tensor:
        return x * self.scale


class ThroughNumpy(Between):
    """Nobody can follow this."""

    def between(self, x: Tensor) -> Tensor:
        return torch.from_numpy(np.tanh(x.detach().numpy()))


class Checkpointed(Between):
    """Activations are computed again instead of kept."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint(lambda x: self.one(x).relu(), x, use_reentrant=False)
        return self.out(self.two(hidden).relu())


class InPlace(Between):
    """Writes into what it has."""

    def between(self, x: Tensor) -> Tensor:
        x = x.clone()
        x.mul_(2).add_(1)
        return x.clamp_(max=3)


class WithHooks(Between):
    """A hook doubles what a layer puts out."""

    def __init__(self) -> None:
        super().__init__()
        self.two.register_forward_hook(lambda module, given, out: 2 * out)


class ConvThenSequence(nn.Module):
    """Channels and rows of an image become the features of a series (as for reading text)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.rnn = nn.Conv2d(3, 6, 3, padding=1), nn.GRU(6 * 8, 7, batch_first=True)
        self.out = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).relu().permute(0, 3, 1, 2).flatten(2)
        return self.out(self.rnn(x)[0])


class StackedCopies(Between):
    """Each unit twice, as itself and turned around."""

    def __init__(self) -> None:
        super().__init__()
        self.two = nn.Linear(20, 8)

    def between(self, x: Tensor) -> Tensor:
        return torch.cat([x, -x], 1)


class Interleaved(Between):
    """Each unit three times in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.two = nn.Linear(30, 8)

    def between(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(3, 1)


class OuterProduct(Between):
    """All products of two hidden units."""

    def __init__(self) -> None:
        super().__init__()
        self.other, self.two = nn.Linear(6, 5), nn.Linear(50, 8)

    def forward(self, x: Tensor) -> Tensor:
        pairs = self.one(x).relu()[:, :, None] * self.other(x).relu()[:, None]
        return self.out(self.two(pairs.flatten(1)).relu())


class FastWeights(nn.Module):
    """Keyword inputs, one of which may be missing."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 8), nn.Linear(4, 8)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor, hint: Tensor | None = None) -> Tensor:
        hidden = self.one(x)
        if hint is not None:
            hidden = hidden + self.two(hint)
        return self.out(hidden.relu())


class Lazy(nn.Module):
    """Sizes come with the first rows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.LazyConv2d(6, 3), nn.LazyBatchNorm2d()
        self.hidden, self.out = nn.LazyLinear(9), nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(self.norm(self.conv(x)).relu().flatten(1)).relu())


class LearntScale(Between):
    """A number for each unit, one for all, and one that is added."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.zeros(10)), nn.Parameter(torch.zeros(1, 10))
        self.all = nn.Parameter(torch.zeros(()))

    def between(self, x: Tensor) -> Tensor:
        return x * self.scale * self.all + self.shift
