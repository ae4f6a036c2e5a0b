"""Networks for tables and recommendation, MLPs in all their forms."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

N_FEATURES = 6


def perceptron(*between: Callable[[int], nn.Module], bias: bool = True) -> nn.Module:
    """Layers of 10 and 8 neurons, each followed by the same things."""
    layers: list[nn.Module] = []
    for n_in, n_out in ((N_FEATURES, 10), (10, 8)):
        layers += [nn.Linear(n_in, n_out, bias=bias), *(make(n_out) for make in between)]
    return nn.Sequential(*layers, nn.Linear(8, 3))


def plain(act: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: perceptron(lambda _: act())


def batch_normed() -> nn.Module:
    return perceptron(nn.BatchNorm1d, lambda _: nn.ReLU(), lambda _: nn.Dropout(), bias=False)


def layer_normed() -> nn.Module:
    return perceptron(nn.LayerNorm, lambda _: nn.ReLU())


def layer_normed_plainly() -> nn.Module:
    return perceptron(lambda n: nn.LayerNorm(n, elementwise_affine=False), lambda _: nn.SiLU())


def rms_normed() -> nn.Module:
    return perceptron(nn.RMSNorm, lambda _: nn.GELU())


def prelu_each() -> nn.Module:
    return perceptron(nn.PReLU)


def self_normalizing() -> nn.Module:
    return perceptron(lambda _: nn.SELU(), lambda _: nn.AlphaDropout(0.1))


def linear() -> nn.Module:
    return nn.Linear(N_FEATURES, 3)


class Residual(nn.Module):
    """Blocks with a way around them."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.out = nn.Linear(N_FEATURES, 9), nn.Linear(9, 3)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.BatchNorm1d(9), nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 9))
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for block in self.blocks:
            x = x + block(x)
        return self.out(x.relu())


class SkipConcatenation(nn.Module):
    """Each layer sees the features and all that came before."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(6, 8), nn.Linear(14, 7), nn.Linear(21, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, self.one(x).relu()], 1)
        return self.out(torch.cat([x, self.two(x).tanh()], 1))


class Highway(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.out = nn.Linear(N_FEATURES, 9), nn.Linear(9, 3)
        self.change = nn.ModuleList(nn.Linear(9, 9) for _ in range(2))
        self.carry = nn.ModuleList(nn.Linear(9, 9) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for change, carry in zip(self.change, self.carry, strict=True):
            gate = carry(x).sigmoid()
            x = gate * change(x).relu() + (1 - gate) * x
        return self.out(x)


class Maxout(nn.Module):
    """The largest of three pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces, self.out = nn.Linear(N_FEATURES, 8 * 3), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.pieces(x).view(len(x), -1, 3).amax(-1))


class Gated(nn.Module):
    """A gated linear unit, and one written out."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.value, self.gate = nn.Linear(6, 16), nn.Linear(8, 9), nn.Linear(8, 9)
        self.out = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.glu(self.one(x), -1)
        return self.out(self.value(x) * self.gate(x).sigmoid())


def autoencoder() -> nn.Module:
    sizes = (6, 10, 4, 9, 6)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ELU()]
    return nn.Sequential(*layers[:-1])


class TiedAutoencoder(nn.Module):
    """The decoder has the encoder's weights, turned."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 10), nn.Linear(10, 5)
        self.bias2, self.bias1 = nn.Parameter(torch.zeros(10)), nn.Parameter(torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        code = self.two(self.one(x).relu()).relu()
        x = functional.linear(code, self.two.weight.t(), self.bias2).relu()
        return functional.linear(x, self.one.weight.t(), self.bias1)


class Variational(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.mean, self.spread = nn.Linear(6, 9), nn.Linear(9, 4), nn.Linear(9, 4)
        self.decoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.enter(x).relu()
        code = mean = self.mean(x)
        spread = self.spread(x)
        if self.training:
            code = mean + torch.randn_like(mean) * (spread / 2).exp()
        return self.decoder(code), mean, spread


class WideAndDeep(nn.Module):
    """Numbers and categories by name."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(n, 4) for n in (5, 7))
        self.deep = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 7), nn.ReLU())
        self.wide, self.out = nn.Linear(4, 1), nn.Linear(7, 1)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        looked_up = [table(codes[:, i]) for i, table in enumerate(self.tables)]
        x = self.deep(torch.cat([numbers, *looked_up], 1))
        return self.wide(numbers) + self.out(x)


class DeepFM(nn.Module):
    """A factorization machine and an MLP on the same embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.table = nn.Embedding(20, 1), nn.Embedding(20, 6)
        self.deep = nn.Sequential(nn.Linear(3 * 6, 10), nn.ReLU(), nn.Linear(10, 1))

    def forward(self, codes: Tensor) -> Tensor:
        x = self.table(codes)
        pairs = (x.sum(1) ** 2 - (x**2).sum(1)).sum(1, keepdim=True) / 2
        return self.linear(codes).sum(1) + pairs + self.deep(x.flatten(1))


class CrossNetwork(nn.Module):
    """DCN-v2: crosses of features beside an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(6, 4) for _ in range(2))
        self.crosses = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.deep = nn.Sequential(nn.Linear(8, 10), nn.ReLU())
        self.out = nn.Linear(18, 1)

    def forward(self, codes: Tensor) -> Tensor:
        first = x = torch.cat([table(codes[:, i]) for i, table in enumerate(self.tables)], 1)
        for cross in self.crosses:
            x = first * cross(x) + x
        return self.out(torch.cat([x, self.deep(first)], 1))


class TwoTowers(nn.Module):
    """The score of a user and an item is a product of what towers make of them."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(9, 6), nn.Embedding(12, 5)
        self.user, self.item = (
            nn.Sequential(nn.Linear(n, 8), nn.ReLU(), nn.Linear(8, 7)) for n in (6, 5)
        )

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (self.user(self.users(user)) * self.item(self.items(item))).sum(-1)


class FTTransformer(nn.Module):
    """Each feature is a token."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(6, 12)), nn.Parameter(torch.zeros(6, 12))
        self.first = nn.Parameter(torch.zeros(12))
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(12) for _ in range(3))
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
        self.enter, self.leave, self.out = nn.Linear(12, 20), nn.Linear(10, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(-1) * self.weight + self.bias
        x = torch.cat([self.first.expand(len(x), 1, -1), x], 1)
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        value, gate = self.enter(self.norm2(x)).chunk(2, -1)
        x = x + self.leave(value * gate.relu())
        return self.out(self.norm3(x[:, 0]).relu())


class AutoInt(nn.Module):
    """Attention between embedded features, without a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.n_heads = nn.Embedding(20, 6), 2
        self.query, self.key, self.value, self.around = (
            nn.Linear(6, 8, bias=False) for _ in range(4)
        )
        self.out = nn.Linear(3 * 8, 1)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.table(codes)
        query, key, value = (
            torch.stack(layer(x).chunk(self.n_heads, -1))
            for layer in (self.query, self.key, self.value)
        )
        seen = torch.einsum(
            "hbij,hbjd->hbid", torch.einsum("hbid,hbjd->hbij", query, key).softmax(-1), value
        )
        seen = torch.cat(list(seen), -1)
        return self.out((seen + self.around(x)).relu().flatten(1))


class GatedBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(n_in, 2 * n_out, bias=False), nn.BatchNorm1d(2 * n_out)

    def forward(self, x: Tensor) -> Tensor:
        return functional.glu(self.norm(self.linear(x)))


class TabNet(nn.Module):
    """Steps that look at other features each, by masks that they make themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.n_decide = 6
        self.norm, self.shared = nn.BatchNorm1d(6), GatedBlock(6, 10)
        self.own = nn.ModuleList(GatedBlock(10, 10) for _ in range(3))
        self.masks = nn.ModuleList(nn.Linear(4, 6, bias=False) for _ in range(2))
        self.out = nn.Linear(6, 3)

    def step(self, x: Tensor, own: nn.Module) -> tuple[Tensor, Tensor]:
        x = self.shared(x)
        x = (x + own(x)) * 0.5**0.5
        return x[:, : self.n_decide].relu(), x[:, self.n_decide :]

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        _, looked = self.step(x, self.own[0])
        prior, total = torch.ones_like(x), 0.0
        for own, attend in zip(self.own[1:], self.masks, strict=True):
            mask = (attend(looked) * prior).softmax(-1)
            prior = prior * (1.3 - mask)
            decided, looked = self.step(mask * x, own)
            total = total + decided
        return self.out(total)


class MixtureOfExperts(nn.Module):
    """All experts answer, and a gate weighs them."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7)) for _ in range(3)
        )
        self.gate = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
        self.out = nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        answers = torch.stack([expert(x) for expert in self.experts], 1)
        return self.out((answers * self.gate(x).softmax(-1).unsqueeze(-1)).sum(1))


class SparseExperts(nn.Module):
    """Two of four experts answer for each row; their weights are one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Parameter(torch.zeros(4, 6, 9)), nn.Parameter(torch.zeros(4, 9, 7))
        self.gate, self.out = nn.Linear(6, 4), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        best, chosen = self.gate(x).topk(2, -1)
        hidden = torch.einsum("bi,bkih->bkh", x, self.up[chosen]).relu()
        answers = torch.einsum("bkh,bkho->bko", hidden, self.down[chosen])
        return self.out((answers * best.softmax(-1).unsqueeze(-1)).sum(1))


class RoutedExperts(nn.Module):
    """Rows are sent to the expert that the gate likes best: the graph depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.gate, self.out = nn.Linear(6, 9), nn.Linear(9, 2), nn.Linear(9, 3)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 9)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x).relu()
        weights = self.gate(x).softmax(-1)
        best = weights.argmax(-1)
        answers = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            rows = (best == i).nonzero().flatten()
            if len(rows):
                answers[rows] = expert(x[rows]) * weights[rows, i, None]
        return self.out(x + answers)


class ManyTasks(nn.Module):
    """MMoE: each task has its own gate over the same experts."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(6, 8) for _ in range(3))
        self.gates = nn.ModuleList(nn.Linear(6, 3) for _ in range(2))
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 1)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        answers = torch.stack([expert(x).relu() for expert in self.experts], 1)
        weights = [gate(x).softmax(-1).unsqueeze(1) for gate in self.gates]
        return [head((w @ answers).squeeze(1)) for w, head in zip(weights, self.heads, strict=True)]


class NeuralAdditive(nn.Module):
    """A small network for each feature, whose answers are added up."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))
            for _ in range(6)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = [part(x[:, i : i + 1]) for i, part in enumerate(self.parts)]
        return torch.cat(parts, 1).sum(1)


class DeepSets(nn.Module):
    """The order of what is in a set does not matter."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 8))
        self.all = nn.Sequential(nn.Linear(16, 7), nn.ReLU(), nn.Linear(7, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.each(x)
        return self.all(torch.cat([x.sum(1), x.amax(1)], 1))


class Coupling(nn.Module):
    """RealNVP: half of the features move the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(3, 9), nn.Tanh(), nn.Linear(9, 6)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        volume = 0.0
        for net in self.nets:
            left, right = x.chunk(2, -1)
            scale, shift = net(left).chunk(2, -1)
            volume = volume + scale.sum(-1)
            x = torch.cat([right * scale.tanh().exp() + shift, left], -1)
        return x, volume


class GraphConvolution(nn.Module):
    """Nodes hear from their neighbours, twice; the graph is an input."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(4, 8), nn.Linear(8, 7), nn.Linear(7, 3)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        x = (edges @ self.one(nodes)).relu()
        return self.out((edges @ self.two(x)).relu().mean(1))


class Bilinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 7), nn.Linear(6, 5)
        self.both, self.out = nn.Bilinear(7, 5, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.both(self.one(x).relu(), self.two(x).relu()).tanh())
