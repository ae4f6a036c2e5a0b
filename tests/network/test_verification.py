"""Networks that use their units in a way that their graph does not show."""

import pytest
import torch
from torch import Tensor, nn

from skprune import PrunedRegressor, Strategy, UntraceableError
from skprune.network.comparison import outputs_of, same_outputs
from skprune.network.network import Network
from skprune.network.verification import check_units
from skprune.structures import Unit
from tests.helpers import fit_untrained, forward, same_state, snapshot
from tests.networks import TRACEABLE, Example


class TwoLayers(nn.Module):
    """``first`` is used as its graph shows; what ``second`` makes goes through ``mix``."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 5)
        self.second = nn.Linear(5, 8)
        self.output = nn.Linear(8, 3)

    def mix(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.mix(self.second(self.first(x).relu())))


class SoftMax(TwoLayers):
    def mix(self, x: Tensor) -> Tensor:
        return x.softmax(1)


class Roll(TwoLayers):
    def mix(self, x: Tensor) -> Tensor:
        return x.roll(1, 1)


class FixedWidth(TwoLayers):
    def mix(self, x: Tensor) -> Tensor:
        return x * torch.linspace(1, 2, 8)


class AtPlaces(TwoLayers):
    """The place of a channel is read from numbers that are made anew, as many as there are."""

    def mix(self, x: Tensor) -> Tensor:
        return x * torch.linspace(1, 2, x.shape[1])


class Counted(TwoLayers):
    """How many channels there are is a number in the computation."""

    def mix(self, x: Tensor) -> Tensor:
        return x / x.shape[1]


class Shift(TwoLayers):
    def mix(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (1, 0))[:, :-1]


def network_of(module: nn.Module) -> Network:
    torch.manual_seed(0)
    return Network(module.eval(), torch.randn(8, 6), forward)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (SoftMax, "softmax runs over them"),
        (Roll, "they are shifted by a number of places"),
        (FixedWidth, "they meet something that has a size of its own"),
        (AtPlaces, "they meet something that has a size of its own"),
        (Shift, "they are picked by their numbers"),
    ],
)
def test_a_layer_whose_units_are_told_apart_by_place_keeps_them(
    module: type[nn.Module], reason: str
) -> None:
    coupling = network_of(module()).trace()
    assert set(coupling.groups) == {"first"}
    assert coupling.kept_whole["second"].startswith(reason)


def test_only_the_layer_that_was_misread_is_refused() -> None:
    network = network_of(Counted())
    coupling = network.trace()
    assert set(coupling.groups) == {"first", "second"}
    removable = check_units(network, coupling)
    assert set(removable.groups) == {"first"}
    assert removable.kept_whole["second"].startswith("without some of its units the network")


def test_a_network_that_is_read_well_passes() -> None:
    network = network_of(TwoLayers())
    assert check_units(network, network.trace()) is network.trace()


@pytest.mark.parametrize("module", [SoftMax, Counted])
def test_an_estimator_prunes_the_rest_of_such_a_network(module: type[nn.Module]) -> None:
    example = Example(module, (6,))
    for protect in (None, ["second"]):
        estimator = fit_untrained(
            "PrunedRegressor", module(), example, structure="unit", sparsity=0.4, protect=protect
        )
        assert isinstance(estimator, PrunedRegressor)
        assert estimator.module_.first.out_features == 3
        assert estimator.module_.second.out_features == 8


@pytest.mark.parametrize("module", [SoftMax, Roll, FixedWidth, Shift, Counted])
def test_masked_weights_of_such_a_network_leave_it_whole(module: type[nn.Module]) -> None:
    """No unit is removed where a trial shows that it would change the outputs."""
    example, network = Example(module, (6,)), module()
    estimator = fit_untrained("PrunedRegressor", network, example, sparsity=0.9)
    assert estimator.module_.second.out_features == 8


@pytest.mark.parametrize("network", TRACEABLE)
def test_checking_leaves_the_network_as_it_is(network: str) -> None:
    example = TRACEABLE[network]
    checked = Network(example.build().train(), torch.from_numpy(example.inputs(8)), forward)
    before = snapshot(checked.module)
    assert check_units(checked, checked.trace()) is checked.trace()
    assert same_state(before, snapshot(checked.module))
    assert checked.module.training


@pytest.mark.parametrize("network", TRACEABLE)
def test_mixing_norms_are_found(network: str) -> None:
    example = TRACEABLE[network]
    checked = Network(example.build(), torch.from_numpy(example.inputs(4)), forward)
    normed = {"layer_norm": {"hidden0"}, "group_norm": {"grouped"}, "transformer": {"embed"}}
    assert checked.trace().mixing == normed.get(network, set())


def test_outputs_are_those_of_evaluation_mode() -> None:
    network = network_of(nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5), nn.BatchNorm1d(5)))
    network.module.train()
    one, other = outputs_of(network), outputs_of(network)
    assert torch.equal(one[0], other[0])
    assert network.module.training
    assert torch.equal(network.module[2].running_mean, torch.zeros(5))


def test_same_outputs_are_equal_up_to_rounding_alone() -> None:
    outputs = [torch.randn(4, 3), torch.zeros(2)]
    assert same_outputs(outputs, [outputs[0] * (1 + 1e-5), outputs[1]])
    assert not same_outputs(outputs, [outputs[0] * 1.1, outputs[1]])
    assert not same_outputs(outputs, [outputs[0], outputs[1] + 1e-3])
    assert not same_outputs(outputs, [outputs[0][:3], outputs[1]])


class NarrowAtTwo(TwoLayers):
    """What is lost shows only when most units are gone, which no trial of a few tells."""

    def mix(self, x: Tensor) -> Tensor:
        return x * 2 if x.shape[1] <= 2 else x


def test_what_was_removed_is_compared_before_it_is_trained_on() -> None:
    network = network_of(NarrowAtTwo())
    elements = Unit().elements(network, ())
    few = {name: torch.arange(size) < 4 for name, size in elements.sizes.items()}
    elements.keep(few)
    fewer = {name: torch.arange(size) < 2 for name, size in elements.sizes.items()}
    with pytest.raises(UntraceableError, match=r"without those that were to go.*\['second'\]"):
        elements.keep(fewer)


class DoublyNormed(NarrowAtTwo):
    """The same behind a layer that passes through a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(5)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.mix(self.second(self.norm(self.first(x)).relu())))


def test_beside_a_norm_the_others_are_compared() -> None:
    network = network_of(DoublyNormed())
    assert network.trace().mixing == {"first"}
    elements = Unit().elements(network, ())
    fewer = {name: torch.arange(size) < 2 for name, size in elements.sizes.items()}
    with pytest.raises(UntraceableError, match=r"\['second'\]"):
        elements.keep(fewer)


class Concatenated(nn.Module):
    """Units of ``b`` meet those of ``a`` in the groups of a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(2, 8, 1), nn.Conv1d(2, 4, 1)
        self.c, self.output = nn.Conv1d(12, 6, 1, groups=2), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.a(x), self.b(x)], 1).relu()
        return self.output(self.c(both).relu().mean(2))


@pytest.mark.parametrize("allocation", ["erk", "uniform", "global"])
def test_no_layer_loses_its_last_unit(allocation: str) -> None:
    example = Example(Concatenated, (2, 5))
    for seed in range(6):
        torch.manual_seed(seed)
        estimator = fit_untrained(
            "PrunedRegressor",
            Concatenated(),
            example,
            structure="unit",
            sparsity=0.7,
            strategy=Strategy(allocation=allocation),
        )
        assert estimator.sparsity_ == 1 - 3 / 9  # 0.7 of 9 units are 6
        assert min(estimator.module_.a.out_channels, estimator.module_.b.out_channels) >= 1
