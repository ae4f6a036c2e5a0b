"""What elements cost, against networks from which they were really removed."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skprune.exceptions import UntraceableError
from skprune.metrics.report import LayerSize, measure
from skprune.network.network import Network
from skprune.structures import NM, STRUCTURES, Block, Elements, Feature, Structure, Unit, Weight
from skprune.structures.weight import SingleWeights, prunable_weights
from tests.helpers import forward
from tests.networks import NETWORKS

QUANTITIES = ["weights", "parameters", "macs", "bytes"]


def network_of(name: str) -> Network:
    example = NETWORKS[name]
    return Network(example.build(), torch.from_numpy(example.inputs(8)), forward)


def measured(network: Network) -> dict[str, LayerSize]:
    return measure(network.module, network.inputs, forward, network.masks)


def draw(elements: Elements, share: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Elements of which any may be left, each layer with what it must keep."""
    scores = {n: torch.rand(size, generator=generator) for n, size in elements.sizes.items()}
    required = elements.must_keep(scores)
    kept = {name: score < share for name, score in scores.items()}
    for name, mask in kept.items():
        mask[scores[name].argmin()] = True
        mask |= required.get(name, torch.zeros_like(mask))
    return kept


# What has no units, or no features that a weight multiplies.
NO_ELEMENTS = [
    ("embedding", "feature"),
    ("embedding_bag", "feature"),
    *((network, "head") for network in NETWORKS if network != "transformer"),
]
CASES = [
    (network, structure)
    for network in NETWORKS
    for structure in STRUCTURES
    if (network, structure) not in NO_ELEMENTS
]


@pytest.mark.parametrize(("network", "structure"), CASES)
@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_a_cost_is_what_removing_the_others_leaves(
    network: str, structure: str, share: float
) -> None:
    whole = network_of(network)
    elements = STRUCTURES[structure]().elements(whole, ())
    kept = draw(elements, share, torch.Generator().manual_seed(0))
    foretold = {quantity: elements.costs(kept, quantity) for quantity in QUANTITIES}
    counts = {name: int(mask.sum()) for name, mask in kept.items()}
    most = {quantity: elements.largest_costs(counts, quantity) for quantity in QUANTITIES}
    elements.keep(kept)
    found = measured(whole)
    for quantity in QUANTITIES:
        real = {name: getattr(size, quantity) for name, size in found.items()}
        assert foretold[quantity] == real
        assert elements.costs(kept, quantity) == real  # afterwards as well
        assert elements.cost(kept, quantity) == sum(real.values())
        assert all(most[quantity][name] >= real[name] for name in real)
    assert elements.cost(kept, "elements") == sum(counts.values())


@pytest.mark.parametrize(("network", "structure"), NO_ELEMENTS)
def test_those_that_are_left_out_have_no_elements(network: str, structure: str) -> None:
    with pytest.raises(UntraceableError):
        STRUCTURES[structure]().elements(network_of(network), ())


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_what_is_protected_or_left_alone_counts_as_a_whole(structure: str) -> None:
    network = network_of("mlp")
    elements = STRUCTURES[structure]().elements(network, ("hidden1",))
    elements.leave_alone([name for name in elements.sizes if name == "output"])
    assert list(elements.sizes) == ["hidden0"]
    kept = {"hidden0": torch.arange(elements.sizes["hidden0"]) < 4}
    # 4 of 48 weights, or 4 of 8 units: 6 inputs each, a bias, and 8 weights of hidden1.
    parameters = 155 - 44 if structure == "weight" else 155 - 4 * (6 + 1 + 8)
    assert elements.cost(kept, "parameters") == parameters
    elements.keep(kept)
    assert sum(size.parameters for size in measured(network).values()) == parameters


def test_only_a_smaller_network_has_fewer_bytes() -> None:
    for structure, expected in (("weight", 155 * 4), ("unit", 155 * 4 - 4 * 15 * 4)):
        elements = STRUCTURES[structure]().elements(network_of("mlp"), ("hidden1", "output"))
        kept = {"hidden0": torch.arange(elements.sizes["hidden0"]) < 4}
        assert elements.cost(kept, "bytes") == expected


@pytest.mark.parametrize(
    ("structure", "network"),
    [(Weight(), "residual"), (Unit(), "concatenation"), (Unit(), "grouped"), (Feature(), "mlp")],
)
def test_where_elements_are_alike_it_does_not_matter_which_are_left(
    structure: Structure, network: str
) -> None:
    elements = structure.elements(network_of(network), ())
    kept = draw(elements, 0.4, torch.Generator().manual_seed(1))
    counts = {name: int(mask.sum()) for name, mask in kept.items()}
    for quantity in QUANTITIES:
        assert elements.largest_costs(counts, quantity) == elements.costs(kept, quantity)


def test_blocks_at_the_edge_are_smaller() -> None:
    module = nn.Sequential(nn.Linear(10, 6))
    elements = Block((4, 4)).elements(Network(module, torch.zeros(2, 10), forward), ())
    assert elements.sizes == {"0": 6}
    # Of 4 x 4, 4 x 4, 4 x 2, 2 x 4, 2 x 4, 2 x 2.
    assert elements.largest_costs({"0": 3}, "weights") == {"0": 16 + 16 + 8}
    edge = {"0": torch.tensor([False, False, True, False, False, True])}
    assert elements.cost(edge, "weights") == 8 + 4
    assert elements.uneven_layer("weights") == "0"
    assert elements.uneven_layer("elements") is None
    even = Block((3, 5)).elements(Network(module, torch.zeros(2, 10), forward), ())
    assert even.uneven_layer("weights") is None


class Uneven(nn.Module):
    """Six units in one group: two of them are read by a second layer, and cost more."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(3, 6)
        self.left = nn.Linear(3, 4)
        self.right = nn.Linear(3, 2)
        self.head = nn.Linear(6, 2)
        self.side = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        right = self.right(x)
        both = torch.cat([self.left(x), right], 1) + self.wide(x)
        return self.head(both.relu()) + self.side(right)


def test_units_of_a_group_need_not_cost_the_same() -> None:
    network = Network(Uneven().eval(), torch.randn(4, 3), forward)
    elements = Unit().elements(network, ())
    assert elements.sizes == {"wide": 6}
    per_unit = [3 + 3 + 2] * 4 + [3 + 3 + 2 + 2] * 2
    for units in ([0, 4], [0, 1, 4], [3, 4, 5]):
        kept = {"wide": torch.isin(torch.arange(6), torch.tensor(units))}
        assert elements.cost(kept, "weights") == sum(per_unit[unit] for unit in units)
    for count, most in ((2, 20), (3, 28), (4, 36)):
        assert sum(elements.largest_costs({"wide": count}, "weights").values()) >= most
    elements.keep(kept)
    assert sum(size.weights for size in measured(network).values()) == 8 + 10 + 10


def test_tied_weights_are_stored_once_and_multiplied_twice() -> None:
    elements = Weight().elements(network_of("tied_weights"), ())
    kept = {name: torch.ones(size, dtype=torch.bool) for name, size in elements.sizes.items()}
    whole = {quantity: elements.cost(kept, quantity) for quantity in QUANTITIES}
    kept["one"][:10] = False
    assert whole["weights"] - elements.cost(kept, "weights") == 10
    assert whole["macs"] - elements.cost(kept, "macs") == 20


class _Rows(SingleWeights):
    """Rows of matrices, of which the base class alone knows what they cost."""

    entries_left = Elements.entries_left
    most_entries_left = Elements.most_entries_left
    uneven_layer = Elements.uneven_layer

    def __init__(self, network: Network) -> None:
        super().__init__(network, prunable_weights(network, ()))
        self._widths = {layer: shape[1] for layer, shape in self.shapes.items()}
        self.sizes = {layer: shape[0] for layer, shape in self.shapes.items()}
        self.kept = {n: torch.ones(size, dtype=torch.bool) for n, size in self.sizes.items()}

    def sum_by_element(self, scores: Any) -> dict[str, Tensor]:
        return {layer: scores[f"{layer}.weight"].sum(1) for layer in self.sizes}

    def expand_to_weights(self, values: Any) -> dict[str, Tensor]:
        return {
            f"{layer}.weight": value[:, None].expand(-1, self._widths[layer])
            for layer, value in values.items()
        }


def test_a_structure_of_ones_own_needs_to_say_nothing_of_costs() -> None:
    network = network_of("mlp")
    elements = _Rows(network)
    kept = draw(elements, 0.5, torch.Generator().manual_seed(2))
    foretold = {quantity: elements.costs(kept, quantity) for quantity in QUANTITIES}
    counts = {name: int(mask.sum()) for name, mask in kept.items()}
    assert elements.largest_costs(counts, "macs") == foretold["macs"]
    assert elements.uneven_layer("macs") is None
    elements.keep(kept)
    for quantity in QUANTITIES:
        real = {name: getattr(size, quantity) for name, size in measured(network).items()}
        assert foretold[quantity] == real


def test_what_has_gone_before_does_not_change_what_the_original_costs() -> None:
    network = network_of("residual")
    elements = Unit().elements(network, ())
    whole = {name: torch.ones(size, dtype=torch.bool) for name, size in elements.sizes.items()}
    elements.keep({name: torch.arange(size) < 2 for name, size in elements.sizes.items()})
    before = measured(network_of("residual"))
    for quantity in QUANTITIES:
        assert elements.cost(whole, quantity) == sum(getattr(s, quantity) for s in before.values())


def test_n_of_m_has_a_cost_of_its_own() -> None:
    elements = NM(1, 2).elements(network_of("mlp"), ())
    scores = {name: torch.rand(size) for name, size in elements.sizes.items()}
    assert elements.cost(deepcopy(elements.must_keep(scores)), "weights") == 136 // 2
