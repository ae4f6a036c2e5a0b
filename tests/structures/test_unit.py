"""Units as elements."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skprune import Strategy, UntraceableError, prune
from skprune.network.network import Network
from skprune.pruning.choice import nonzero
from skprune.strategies import STRATEGIES
from skprune.structures import Elements, Unit
from tests.helpers import forward, run_loop
from tests.networks import NETWORKS, TRACEABLE, Example


def elements_of(network: str, protected: tuple[str, ...] = ()) -> Elements:
    example = NETWORKS[network]
    inputs = torch.from_numpy(example.inputs(8))
    return Unit().elements(Network(example.build(), inputs, forward), protected)


@pytest.mark.parametrize("network", TRACEABLE)
def test_the_elements_are_the_units_of_each_group(network: str) -> None:
    elements = elements_of(network)
    assert elements.sizes == TRACEABLE[network].groups
    assert elements.n_elements == elements.n_kept == sum(elements.sizes.values())
    for name, shape in elements.shapes.items():
        layer = elements.network.module.get_submodule(name.partition(":")[0])
        parameters = layer.parameters()
        assert shape == next(weight.shape for weight in parameters if weight.dim() >= 2)


def test_joined_layers_are_aliases() -> None:
    assert elements_of("residual").coupled_to == {"stem": "stem", "conv2": "stem", "conv1": "conv1"}


def test_what_is_not_kept_is_removed_at_once() -> None:
    elements = elements_of("residual")
    stem = elements.network.module.stem.weight.detach().clone()
    elements.keep(
        {
            "stem": torch.tensor([True, False, True, True]),
            "conv1": torch.tensor([True, False, False, True, False]),
        }
    )
    module = elements.network.module
    assert (module.stem.out_channels, module.conv1.out_channels) == (3, 2)
    torch.testing.assert_close(module.stem.weight.detach(), stem[[0, 2, 3]])
    assert elements.n_kept == 5
    assert elements.sizes == {"stem": 4, "conv1": 5}
    elements.keep(
        {
            "stem": torch.tensor([False, False, False, True]),
            "conv1": torch.tensor([True, False, False, True, False]),
        }
    )
    torch.testing.assert_close(module.stem.weight.detach(), stem[[3]])
    assert module.conv1.out_channels == 2


def test_the_total_of_a_unit_that_is_gone_is_zero() -> None:
    elements = elements_of("conv_batch_norm")
    kept = {name: torch.arange(size) % 2 == 0 for name, size in elements.sizes.items()}
    elements.keep(kept)
    ones = {name: torch.ones_like(weight) for name, weight in elements.network.weights.items()}
    totals = elements.sum_by_element(ones)
    # Of 2, 3 and 4 units that are left: what enters each, and what leaves it.
    assert totals["conv1"].tolist() == [2 * 9 + 3 * 9, 0] * 2
    assert totals["conv2"].tolist() == [2 * 9 + 9 * 4, 0] * 3
    assert totals["linear1"].tolist() == [9 * 3 + 3, 0] * 4


def test_totals_follow_the_units_that_are_left() -> None:
    elements = elements_of("concatenation")
    weights = {name: weight.detach().abs() for name, weight in elements.network.weights.items()}
    before = elements.sum_by_element(weights)
    kept = {name: torch.ones(size, dtype=torch.bool) for name, size in elements.sizes.items()}
    kept["merge"][2:4] = False
    elements.keep(kept)
    now = {name: weight.detach().abs() for name, weight in elements.network.weights.items()}
    after = elements.sum_by_element(now)
    assert after["merge"][2:4].tolist() == [0.0, 0.0]
    torch.testing.assert_close(after["merge"][[0, 1, 4, 5]], before["merge"][[0, 1, 4, 5]])
    assert (after["left"] < before["left"]).all()


@pytest.mark.parametrize("network", TRACEABLE)
@pytest.mark.parametrize("strategy", ["gradual_magnitude", "iterative_magnitude"])
def test_every_group_can_be_pruned_to_its_last_unit_step_by_step(
    network: str, strategy: str
) -> None:
    groups = TRACEABLE[network].groups
    sparsity = 1 - len(groups) / sum(groups.values())
    run = run_loop(TRACEABLE[network].build(), TRACEABLE[network], strategy, "unit", sparsity)
    assert run.counts == dict.fromkeys(groups, 1)
    with torch.no_grad():
        assert torch.isfinite(run.network.module(run.network.inputs)).all()


def test_groups_that_are_down_to_one_unit_do_not_confuse_the_others() -> None:
    """A grouped convolution with one channel a group is a depthwise one; it stays one unit."""

    class GroupedThenWide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 3)
            self.grouped = nn.Conv2d(4, 6, 1, groups=2)
            self.norm = nn.GroupNorm(2, 6)
            self.hidden = nn.Linear(6, 40)
            self.output = nn.Linear(40, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(self.grouped(self.conv(x).relu())).relu()
            return self.output(self.hidden(x.mean((2, 3))).relu())

    example = Example(GroupedThenWide, (2, 5, 5), {"conv": 2, "grouped": 3, "hidden": 40})
    strategy = Strategy("random", "uniform", "cubic")
    run = run_loop(example.build(), example, strategy, "unit", 0.8)
    assert run.elements.sizes == example.groups
    assert sum(run.counts.values()) == 9
    assert any(sum(kept["grouped"]) == 1 < sum(kept["hidden"]) - 2 for kept in run.kept[:-1])


def test_a_network_without_such_units_is_an_error_that_says_why() -> None:
    linear = Network(nn.Linear(6, 3), torch.randn(4, 6), forward)
    with pytest.raises(
        UntraceableError,
        match=r"Linear has no units that can be removed: .* since they are outputs of the network",
    ):
        Unit().elements(linear, ())
    with pytest.raises(UntraceableError, match=r"Perceptron has no units that can be removed"):
        elements_of("mlp", ("hidden0", "hidden1"))


# Rounded numbers of units.


def test_units_are_rounded_up_to_what_hardware_likes() -> None:
    run = run_loop(
        nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 3)),
        NETWORKS["mlp"],
        Strategy(allocation="uniform"),
        Unit(round_to=8),
        0.5,
    )
    # 35 of 70 are 20 and 15 where they are not rounded. 24 + 16 were too many; 16 + 16 are not.
    assert run.counts == {"0": 16, "2": 16}


def test_all_units_of_a_layer_are_no_multiple_and_stay() -> None:
    module = nn.Sequential(
        nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3)
    )
    run = run_loop(module, NETWORKS["mlp"], "magnitude", Unit(round_to=8), 1 - 13 / 21)
    assert run.counts == {"0": 5, "2": 8}


@pytest.mark.parametrize(
    ("layers", "sparsity", "expected"),
    [
        ({"hidden0": 0.6, "hidden1": 0.1}, None, {"hidden0": 4, "hidden1": 8}),
        ({"hidden0": 0.6}, 0.3, {"hidden0": 4, "hidden1": 6}),
    ],
)
def test_what_is_fixed_by_name_is_rounded_up(
    layers: dict[str, float], sparsity: float | None, expected: dict[str, int]
) -> None:
    """Of 8 units, 0.6 leaves 3, and 0.1 leaves 7."""
    example = NETWORKS["mlp"]
    strategy = Strategy(allocation=layers)
    run = run_loop(example.build(), example, strategy, Unit(round_to=2), sparsity)
    assert run.counts == expected


def test_what_a_regularizer_leaves_is_rounded_up() -> None:
    example = NETWORKS["mlp"]
    module = example.build()
    with torch.no_grad():
        for units, before, after in (
            ([0, 1, 2], module.hidden0, module.hidden1),
            ([3, 4], module.hidden1, module.output),
        ):
            for parameter in (before.weight, before.bias):
                parameter[units] = 0
            after.weight[:, units] = 0
    elements = Unit(round_to=4).elements(
        Network(module, torch.from_numpy(example.inputs(8)), forward), ()
    )
    kept = nonzero(elements)
    # Five and six are left.
    assert {name: int(mask.sum()) for name, mask in kept.items()} == {"hidden0": 8, "hidden1": 8}
    elements = Unit(round_to=3).elements(elements.network, ())
    kept = nonzero(elements)
    assert {name: int(mask.sum()) for name, mask in kept.items()} == {"hidden0": 6, "hidden1": 6}
    assert kept["hidden0"][3:].all()
    assert torch.equal(kept["hidden1"], ~torch.isin(torch.arange(8), torch.tensor([3, 4])))


@pytest.mark.parametrize("round_to", [0, 2.0, "8"])
def test_units_are_rounded_to_whole_numbers(round_to: Any) -> None:
    with pytest.raises(ValueError, match="'round_to' parameter of Unit must be"):
        Unit(round_to=round_to).validated()


def test_groups_that_an_allocation_leaves_alone_are_in_the_report() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    strategy = Strategy(allocation={"0": 0.5})
    inputs = torch.randn(5, 4)
    pruned = prune(module, inputs, structure="unit", strategy=strategy, sparsity=None)
    found = {group.name: (group.before, group.after) for group in pruned.report.groups}
    assert found == {"0": (8, 4), "2": (6, 6)}


def test_a_layer_whose_heads_go_keeps_no_units() -> None:
    layer = nn.TransformerEncoderLayer(8, 4, 16, dropout=0.0, batch_first=True)
    module = nn.Sequential(nn.Linear(6, 8), nn.TransformerEncoder(layer, 1), nn.Linear(8, 3)).eval()
    pruned = prune(module, torch.randn(7, 5, 6), structure=Unit(kinds=["head"]), sparsity=0.5)
    (group,) = pruned.report.groups
    assert (group.kind, group.before, group.after) == ("head", 4, 2)
    assert group.layers == ("1.layers.0.self_attn",)
    assert "1.layers.0.self_attn" not in pruned.report.groups.kept_whole


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_prunes_heads_or_says_why_not(strategy: str) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 4, 16, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 1)
    module = nn.Sequential(nn.Linear(6, 8), encoder, nn.Flatten(), nn.Linear(40, 3))
    X, y = torch.randn(32, 5, 6), torch.randint(3, (32,))
    how = STRATEGIES[strategy]()
    refused = how.regrowth is not None or how.importance == "layer_obs"
    from_start = how.start != "trained" or how.recovery == "rewind"
    with pytest.raises(ValueError, match="Use") if refused else nullcontext():
        pruned = prune(
            module,
            X[:8],
            strategy=strategy,
            structure="head",
            sparsity=0.5,
            data=(X, y),
            loss=nn.CrossEntropyLoss(),
            epochs=6 if from_start else 0,
            fine_tune_epochs=4,
            random_state=0,
        )
        assert [(group.before, group.after) for group in pruned.report.groups] == [(4, 2)]
