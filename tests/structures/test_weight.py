"""Single weights as elements."""

import pytest
import torch
from torch import nn

from skprune.network.network import Network
from skprune.structures import STRUCTURES, Elements, Weight
from tests.helpers import STRUCTURES_OF_ANY, forward
from tests.networks import N_OUTPUTS, NETWORKS


def elements_of(
    network: str, protected: tuple[str, ...] = (), module: nn.Module | None = None
) -> Elements:
    example = NETWORKS[network]
    inputs = torch.from_numpy(example.inputs(4))
    return Weight().elements(Network(module or example.build(), inputs, forward), protected)


def test_the_elements_are_the_weights_of_each_layer() -> None:
    elements = elements_of("conv_batch_norm")
    assert elements.sizes == {
        "conv1": 4 * 2 * 9,
        "conv2": 6 * 4 * 9,
        "linear1": 8 * 54,
        "linear2": N_OUTPUTS * 8,
    }
    assert elements.shapes["conv2"] == (6, 4, 3, 3)
    assert elements.n_elements == elements.n_kept == sum(elements.sizes.values())
    assert elements.sparsity == 0.0


@pytest.mark.parametrize(
    ("network", "names"),
    [
        ("gru", ["embed", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "hidden", "output"]),
        (
            "transformer",
            [
                "embed",
                "encoder.self_attn.in_proj_weight",
                "encoder.self_attn.out_proj",
                "encoder.linear1",
                "encoder.linear2",
                "head",
            ],
        ),
        ("bare_parameter", ["shift", "hidden", "output"]),
        ("embedding", ["table", "hidden", "output"]),
        ("reached_twice", ["enter", "again", "output"]),
    ],
)
def test_layers_go_by_the_names_that_users_know(network: str, names: list[str]) -> None:
    assert list(elements_of(network).sizes) == names


def test_a_tied_weight_counts_once() -> None:
    module = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 9, bias=False))
    module[1].weight = module[0].weight
    assert elements_of("embedding", module=module).sizes == {"0": 54}


@pytest.mark.parametrize(
    ("network", "protected", "left"),
    [
        ("mlp", ("hidden1",), ["hidden0", "output"]),
        ("mlp", ("hidden1.weight", "output"), ["hidden0"]),
        ("bare_parameter", ("shift",), ["hidden", "output"]),
        ("gru", ("rnn",), ["embed", "hidden", "output"]),
        ("gru", ("rnn.weight_hh_l0", "embed"), ["rnn.weight_ih_l0", "hidden", "output"]),
    ],
)
def test_protected_layers_and_parameters_are_not_among_them(
    network: str, protected: tuple[str, ...], left: list[str]
) -> None:
    assert list(elements_of(network, protected).sizes) == left


def test_what_is_not_kept_is_zero_and_masked() -> None:
    elements = elements_of("mlp", ("output",))
    before = {name: w.detach().clone() for name, w in elements.network.weights.items()}
    kept = {name: torch.arange(size) % 3 > 0 for name, size in elements.sizes.items()}
    elements.keep(kept)
    for name, mask in kept.items():
        weight = elements.network.weights[f"{name}.weight"].detach()
        expected = before[f"{name}.weight"].flatten() * mask
        torch.testing.assert_close(weight.flatten(), expected)
        assert torch.equal(elements.network.masks[f"{name}.weight"].flatten(), mask)
        assert torch.equal(elements.kept[name], mask)
    assert elements.n_kept == sum(int(mask.sum()) for mask in kept.values())
    assert elements.sparsity == 1 - elements.n_kept / elements.n_elements
    assert "output.weight" not in elements.network.masks


def test_the_total_of_a_weight_is_its_own_score() -> None:
    elements = elements_of("mlp")
    scores = {name: torch.rand(w.shape) for name, w in elements.network.weights.items()}
    for name, total in elements.sum_by_element(scores).items():
        torch.testing.assert_close(total, scores[f"{name}.weight"].flatten())


@pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
def test_layers_that_are_left_alone_do_not_count(structure: str) -> None:
    example = NETWORKS["conv_batch_norm"]
    network = Network(example.build(), torch.from_numpy(example.inputs(4)), forward)
    elements = STRUCTURES[structure]().elements(network, ())
    first, *rest = list(elements.sizes)
    n_elements, size = elements.n_elements, elements.sizes[first]
    elements.leave_alone([first])
    assert list(elements.sizes) == list(elements.shapes) == list(elements.kept) == rest
    assert elements.n_elements == n_elements - size
    scores = {name: torch.rand(w.shape) for name, w in network.weights.items()}
    assert list(elements.sum_by_element(scores)) == rest
