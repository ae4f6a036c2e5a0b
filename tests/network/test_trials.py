"""What the trial of units sees, beside norms and in networks that move their channels."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from skprune import UntraceableError
from skprune.network.comparison import same_on, trials_for
from skprune.network.coupling import Coupling, LayerSide
from skprune.network.network import Network
from skprune.network.verification import check_units
from skprune.network.zeroed_units import with_units_at_zero
from skprune.structures import Unit
from tests.helpers import forward


class Chain(nn.Module):
    """``a``, a norm, ``b``, ``mix``, ``head``."""

    def __init__(
        self,
        mix: Callable[[Tensor], Tensor] = torch.relu,
        norm: nn.Module | None = None,
        width: int = 8,
    ) -> None:
        super().__init__()
        self.a = nn.Linear(6, 8)
        self.norm = nn.Identity() if norm is None else norm
        self.b = nn.Linear(8, width)
        self.head = nn.Linear(width, 3)
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mix(self.b(self.norm(self.a(x)).relu())))


def network_of(module: nn.Module, *shape: int) -> Network:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return Network(module.double().eval(), torch.randn(8, *shape).double(), forward)


def rolled(x: Tensor) -> Tensor:
    return x.roll(1, 1)


def flipped(x: Tensor) -> Tensor:
    return x.flip(1)


def shuffled(x: Tensor) -> Tensor:
    return x.view(len(x), 2, -1, *x.shape[2:]).transpose(1, 2).flatten(1, 2)


def halves_swapped(x: Tensor) -> Tensor:
    return torch.cat(x.chunk(2, 1)[::-1], 1)


def test_a_norm_hides_no_other_layer() -> None:
    network = network_of(Chain(rolled, nn.LayerNorm(8)), 6)
    assert set(check_units(network, network.trace()).groups) == {"a"}


class ShuffleBlock(nn.Module):
    """Channels of two groups are shuffled between two grouped convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 1)
        self.norm = nn.GroupNorm(2, 8)
        self.first, self.second = nn.Conv2d(8, 8, 1, groups=2), nn.Conv2d(8, 6, 1, groups=2)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = shuffled(self.first(self.norm(self.stem(x)).relu()))
        return self.head(self.second(x).relu().mean((2, 3)))


def test_channels_that_are_shuffled_beside_a_group_norm_go() -> None:
    network = network_of(ShuffleBlock(), 2, 4, 4)
    coupling = check_units(network, network.trace())
    assert {name: len(units) for name, units in coupling.groups.items()} == {
        "stem": 4,
        "first": 2,
        "second": 3,
    }
    assert_right(network, coupling)


class NormedChannels(nn.Module):
    """Channels that are joined by a sum go through two norms of a kind."""

    def __init__(self, norm: Callable[[], nn.Module], *, last: bool) -> None:
        super().__init__()
        self.stem, self.branch = nn.Conv2d(2, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm1, self.norm2 = norm(), norm()
        self.head = nn.Linear(8, 3)
        self.last = last

    def normed(self, norm: nn.Module, x: Tensor) -> Tensor:
        return norm(x.movedim(1, -1)).movedim(-1, 1) if self.last else norm(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = x + self.branch(self.normed(self.norm1, x)).relu()
        return self.head(self.normed(self.norm2, x).mean((2, 3)))


NORMS = {
    "layer norm": (lambda: nn.LayerNorm(8), True),
    "group norm": (lambda: nn.GroupNorm(2, 8), False),
    "group norm of single channels": (lambda: nn.GroupNorm(8, 8), False),
    "group norm of all channels": (lambda: nn.GroupNorm(1, 8, affine=False), False),
}


@pytest.mark.parametrize("name", NORMS)
def test_units_in_norms_go(name: str) -> None:
    norm, last = NORMS[name]
    network = network_of(NormedChannels(norm, last=last), 2, 4, 4)
    assert set(check_units(network, network.trace()).groups) == {"stem"}


class MisnormedAtTwo(NormedChannels):
    """With two channels left it computes something else, which no trial of others tells."""

    def normed(self, norm: nn.Module, x: Tensor) -> Tensor:
        return super().normed(norm, x) * (2 if x.shape[1] == 2 else 1)


@pytest.mark.parametrize("name", ["layer norm", "group norm of all channels"])
def test_a_removal_in_a_norm_is_compared(name: str) -> None:
    norm, last = NORMS[name]
    network = network_of(MisnormedAtTwo(norm, last=last), 2, 4, 4)
    elements = Unit().elements(network, ())
    (size,) = elements.sizes.values()
    kept = {"stem": torch.arange(size) < size // 4}
    with pytest.raises(UntraceableError, match=r"without those that were to go.*\['stem'\]"):
        elements.keep(kept)


def assert_right(network: Network, coupling: Coupling) -> None:
    """Remove units at random, and compare with the network that has them at zero."""
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        gone = torch.cat(
            [
                units[torch.randperm(len(units), generator=generator)[: len(units) - 1 - seed % 2]]
                for units in coupling.groups.values()
            ]
        )
        cut = network.copy()
        cut.remove_units(coupling, gone)
        assert same_on(cut, with_units_at_zero(network, coupling, gone), trials_for(network))


@pytest.mark.parametrize("mix", [rolled, flipped, halves_swapped, shuffled])
@pytest.mark.parametrize("width", [2, 3, 4, 5, 7, 8, 9, 12])
@pytest.mark.parametrize("norm", [None, nn.LayerNorm(8)], ids=["plain", "norm"])
def test_units_that_are_moved_go_where_that_is_right(
    mix: Callable[[Tensor], Tensor], width: int, norm: nn.Module | None
) -> None:
    """Halves can be swapped, and shuffled, as long as both lose equal places."""
    if mix is shuffled and width % 2:
        return
    network = network_of(Chain(mix, norm, width), 6)
    coupling = check_units(network, network.trace())
    expected = {
        rolled: 0,
        flipped: width,
        halves_swapped: 0 if width % 2 else width // 2,
        shuffled: width // 2 if width > 2 else 0,
    }[mix]
    assert len(coupling.groups.get("b", ())) == expected
    assert_right(network, coupling)


def by_definition(norm: nn.Module, row: Tensor, kept: Tensor) -> Tensor:
    """A norm of one row (channels first) over the channels that are left; zero elsewhere."""
    out, groups = torch.zeros_like(row), getattr(norm, "num_groups", 1)
    for group in torch.arange(len(row)).chunk(groups):
        left = [c for c in group.tolist() if kept[c]]
        places = [(p,) for p in range(row[0].numel())] if groups == 1 else [range(row[0].numel())]
        for part in places if left else []:
            values = torch.stack([row[c].flatten()[p] for c in left for p in part])
            mean, deviation = values.mean(), (values.var(correction=0) + norm.eps).sqrt()
            for c in left:
                for p in part:
                    value = (row[c].flatten()[p] - mean) / deviation
                    out[c].view(-1)[p] = value * norm.weight[c] + norm.bias[c]
    return out


@pytest.mark.parametrize("norm", [nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.GroupNorm(8, 8)])
def test_norms_compute_over_what_is_left(norm: nn.Module) -> None:
    is_layer_norm = isinstance(norm, nn.LayerNorm)
    module = NormedChannels(lambda: norm, last=is_layer_norm)
    network = network_of(module, 2, 4, 4)
    coupling = network.trace()
    gone = torch.tensor([1, 2] if len(coupling.groups["stem"]) == 4 else [0, 1, 5])
    kept = ~torch.isin(coupling.units[LayerSide("norm1", "out")], gone)
    zeroed = with_units_at_zero(network, coupling, gone)
    x = torch.randn(3, 8, 2, 3).double()
    expected = torch.stack([by_definition(norm, row, kept) for row in x])
    torch.testing.assert_close(zeroed.module.normed(zeroed.module.norm1, x), expected)


class Scaled(Chain):
    """What ``b`` makes is scaled down, as blocks of deep networks are when training begins."""

    def __init__(self, scale: float) -> None:
        super().__init__(rolled)
        self.scale = nn.Parameter(torch.full((3,), scale))
        self.beside = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.beside(x) + self.scale * super().forward(x)


@pytest.mark.parametrize("scale", [0.0, 1e-6])
def test_what_has_no_effect_yet_is_seen(scale: float) -> None:
    torch.manual_seed(0)
    network = Network(Scaled(scale).eval(), torch.randn(8, 6), forward)
    before = {name: p.clone() for name, p in network.module.named_parameters()}
    assert set(check_units(network, network.trace()).groups) == {"a"}
    assert all(torch.equal(p, before[name]) for name, p in network.module.named_parameters())


def test_a_network_that_fails_with_other_parameters_is_tried_with_its_own() -> None:
    class Strict(Chain):
        def forward(self, x: Tensor) -> Tensor:
            assert self.a.bias.abs().max() < 1e-3
            return super().forward(x)

    module = Strict(rolled)
    nn.init.zeros_(module.a.bias)
    network = Network(module.eval(), torch.randn(8, 6), forward)
    assert set(check_units(network, network.trace()).groups) == {"a"}
