"""Weights that are no layer's own, or are computed from others."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations


class BarePair(nn.Module):
    """Weights without layers."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.bias = nn.Parameter(torch.zeros(6, 10)), nn.Parameter(torch.zeros(10))
        self.down = nn.Parameter(torch.zeros(10, 3))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.up + self.bias).relu() @ self.down


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1, self.b1 = nn.Parameter(torch.zeros(10, 6)), nn.Parameter(torch.zeros(10))
        self.w2, self.w3 = nn.Parameter(torch.zeros(8, 10)), nn.Parameter(torch.zeros(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.linear(x, self.w1, self.b1).relu()
        return functional.linear(functional.linear(x, self.w2).tanh(), self.w3)


class Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.mix = nn.Parameter(torch.zeros(6, 10)), nn.Parameter(torch.zeros(10, 8))
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.einsum("bi,ij->bj", x, self.up).relu()
        return self.out(torch.einsum("bj,jk->bk", x, self.mix).tanh())


class EinsumHeads(nn.Module):
    """Attention whose heads are a dimension of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Parameter(torch.zeros(6, 3, 4)) for _ in range(3))
        self.back, self.out = nn.Parameter(torch.zeros(3, 4, 8)), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            torch.einsum("bti,ihd->bhtd", x, w) for w in (self.query, self.key, self.value)
        )
        weights = (torch.einsum("bhtd,bhsd->bhts", query, key) / 2).softmax(-1)
        seen = torch.einsum("bhts,bhsd->bhtd", weights, value)
        return self.out(torch.einsum("bhtd,hdo->bto", seen, self.back).relu().mean(1))


class Parameters(nn.Module):
    """Layers in a ParameterList and a ParameterDict."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (6, 10, 8)
        self.weights = nn.ParameterList(torch.zeros(n, m) for n, m in pairwise(sizes))
        self.biases = nn.ParameterDict({f"b{n}": torch.zeros(n) for n in sizes[1:]})
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights:
            x = (x @ weight + self.biases[f"b{weight.shape[1]}"]).relu()
        return self.out(x)


class ParameterStack(nn.Module):
    """A ParameterList whose biases go by their place."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([torch.zeros(10, 6), torch.zeros(8, 10)])
        self.biases = nn.ParameterList([torch.zeros(10), torch.zeros(8)])
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        for weight, bias in zip(self.weights, self.biases, strict=True):
            x = functional.linear(x, weight, bias).relu()
        return self.out(x)


class LowRank(nn.Module):
    """A weight that is a product of two (as LoRA adds one)."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = nn.Linear(6, 10), nn.Linear(10, 3)
        self.left, self.right = nn.Parameter(torch.zeros(10, 4)), nn.Parameter(torch.zeros(4, 6))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.one.weight + self.left @ self.right
        return self.out(functional.linear(x, weight, self.one.bias).relu())


def weight_norm() -> nn.Module:
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(6, 10)),
        nn.ReLU(),
        parametrizations.weight_norm(nn.Linear(10, 8)),
        nn.ReLU(),
        nn.Linear(8, 3),
    )


def spectral_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        parametrizations.spectral_norm(nn.Conv2d(6, 8, 3)),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 3),
    )


class StandardizedConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        mean, spread = w.mean((1, 2, 3), keepdim=True), w.std((1, 2, 3), keepdim=True)
        return functional.conv2d(x, (w - mean) / (spread + 1e-5), self.bias)


def weight_standardization() -> nn.Module:
    return nn.Sequential(
        StandardizedConv(3, 6, 3),
        nn.ReLU(),
        StandardizedConv(6, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 3),
    )


class Complex(nn.Module):
    """Complex weights in the middle (Fourier layers)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.out = nn.Linear(4, 8), nn.Linear(8, 3)
        self.weight = nn.Parameter(torch.zeros(8, 8, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        waves = torch.fft.rfft(x, dim=1) @ self.weight
        return self.out(x + torch.fft.irfft(waves, n=x.shape[1], dim=1).relu()).mean(1)


class HyperNetwork(nn.Module):
    """A network writes the weights of another."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 7
        self.enter, self.write = nn.Linear(2, 8), nn.Linear(8, 4 * 7)
        self.out = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.write(self.enter(x[:, :2]).relu()).view(len(x), self.width, 4)
        return self.out(torch.einsum("bi,bji->bj", x[:, 2:], weight).relu())
