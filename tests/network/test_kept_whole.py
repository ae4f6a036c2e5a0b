"""A layer whose units cannot go keeps them, with a reason; the rest of the network is pruned."""

import re

import pytest
import torch
from torch import Tensor, nn

from skprune import UntraceableError, prune
from skprune.network.dead_units import remove_dead_units
from skprune.network.network import Network
from skprune.network.verification import check_units
from tests.helpers import forward


class Softmaxed(nn.Module):
    """Hidden channels compete with each other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.hidden = nn.Linear(6, 5), nn.Linear(5, 8)
        self.output = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(self.first(x).relu()).softmax(1))


class Heads(nn.Module):
    """Hidden channels are seen as three heads of eight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.hidden = nn.Linear(6, 10), nn.Linear(10, 24)
        self.output = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        hidden = self.hidden(self.first(x).relu()).view(b, n, 3, 8)
        return self.output(hidden.relu().flatten(2)).mean(1)


class Swapped(nn.Module):
    """Two layers that are misread only together: what one loses the other makes up for."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(6, 8)
        self.output = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.first(x).relu(), self.second(x).relu()
        if one.shape[1] < 8 and other.shape[1] < 8:
            one = one * 2
        return self.output(torch.cat([one, other], 1))


def same_as_zeroed(module: nn.Module, pruned: nn.Module, masks: dict, x: Tensor) -> None:
    """Compare with the whole network that has all that is gone at zero."""
    whole = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    for name, mask in masks.items():
        whole[name] *= torch.from_numpy(mask)
        bias = name.removesuffix("weight") + "bias"
        if bias in whole:
            whole[bias] *= torch.from_numpy(mask.any(1))
    expected = torch.func.functional_call(module, whole, (x,))
    torch.testing.assert_close(pruned(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "shape", "kept"), [(Softmaxed, (6,), "hidden"), (Heads, (5, 6), "hidden")]
)
@pytest.mark.parametrize("protected", [False, True])
def test_the_rest_of_the_network_is_pruned(
    kind: type[nn.Module], shape: tuple[int, ...], kept: str, protected: bool
) -> None:
    torch.manual_seed(0)
    module, x = kind().double(), torch.randn(7, *shape).double()
    protect = [kept] if protected else None
    pruned = prune(module, x, structure="unit", sparsity=0.5, protect=protect)
    assert pruned.module.hidden.out_features == module.hidden.out_features
    assert pruned.module.first.out_features == module.first.out_features // 2
    more = torch.randn(9, *shape).double()
    same_as_zeroed(module, pruned.module, pruned.masks, more)


@pytest.mark.parametrize(
    ("kind", "shape", "reason"),
    [
        (Softmaxed, (6,), r"softmax runs over them"),
        (Heads, (5, 6), r"fails.*RuntimeError: shape .* is invalid for input of size"),
    ],
)
def test_the_reason_is_kept(kind: type[nn.Module], shape: tuple[int, ...], reason: str) -> None:
    torch.manual_seed(0)
    network = Network(kind().eval(), torch.randn(8, *shape), forward)
    coupling = check_units(network, network.trace())
    assert set(coupling.groups) == set(coupling.group_of) == {"first"}
    assert torch.cat(list(coupling.groups.values())).tolist() == list(
        range(len(coupling.groups["first"]))
    )
    assert set(coupling.kept_whole) == {"hidden", "output"}
    assert re.search(reason, coupling.kept_whole["hidden"])


def test_layers_that_are_misread_only_together() -> None:
    torch.manual_seed(0)
    network = Network(Swapped().eval(), torch.randn(8, 6), forward)
    coupling = check_units(network, network.trace())
    assert set(coupling.groups) == {"first"}
    assert set(coupling.kept_whole) == {"second", "output"}


def test_nothing_left_to_remove_is_an_error_with_all_reasons() -> None:
    torch.manual_seed(0)
    module, x = Heads(), torch.randn(7, 5, 6)
    with pytest.raises(
        UntraceableError,
        match=r"Heads has no units that can be removed.*'hidden' keeps.*Use structure='weight'",
    ):
        prune(module, x, structure="unit", sparsity=0.5, protect=["first"])


def test_weights_of_such_a_network_are_pruned() -> None:
    torch.manual_seed(0)
    module, x = Heads().double(), torch.randn(7, 5, 6).double()
    with torch.no_grad():
        module.hidden.bias[:7] = 0
    network = Network(module.eval(), x, forward)
    mask = torch.ones(24, 10, dtype=torch.bool)
    mask[:7] = False
    network.set_masks({"hidden.weight": mask})
    assert remove_dead_units(network).module.hidden.out_features == 24


class BothDirections(nn.Module):
    """The outputs of a bidirectional layer are read by one whose units may go."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(6, 8, bidirectional=True, batch_first=True)
        self.hidden, self.output = nn.Linear(16, 10), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(self.rnn(x)[0][:, -1]).relu())


class Decoder(nn.Module):
    """One projection makes queries, keys and values, as in GPT-2."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.qkv = nn.Embedding(20, 12), nn.Linear(12, 36)
        self.mixed, self.output = nn.Linear(12, 12), nn.Linear(12, 20)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.table(codes)
        q, k, v = (
            part.view(*part.shape[:2], 3, -1).transpose(1, 2)
            for part in self.qkv(x).split(12, dim=2)
        )
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.output(x + self.mixed(attended.transpose(1, 2).flatten(2)))


@pytest.mark.parametrize("kind", [BothDirections, Decoder])
def test_recurrent_and_attention_networks_are_pruned_or_refused_in_words(
    kind: type[nn.Module],
) -> None:
    torch.manual_seed(0)
    module = kind()
    x = torch.randn(7, 5, 6) if kind is BothDirections else torch.randint(20, (7, 5))
    message = refusal(module, x)
    assert not re.search("TypeError|NoneType|operand", message)
    assert not message or "Use structure='weight'" in message


def refusal(module: nn.Module, x: Tensor) -> str:
    """Prune units; give the message if that is refused."""
    before = sum(parameter.numel() for parameter in module.parameters())
    try:
        pruned = prune(module, x, structure="unit", sparsity=0.3).module
    except UntraceableError as error:
        return str(error)
    assert sum(parameter.numel() for parameter in pruned.parameters()) < before
    return ""
