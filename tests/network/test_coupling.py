"""Which channels can only go together."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skprune import UntraceableError
from skprune.network.coupling import Coupling, LayerSide
from skprune.network.network import Network
from skprune.network.tracing import trace_units
from skprune.network.verification import removable_units
from tests.helpers import fit_untrained, forward, same_state, snapshot
from tests.networks import NETWORKS, TRACEABLE, Recurrent


def trace(module: nn.Module, inputs: Any, protected: tuple[str, ...] = ()) -> Coupling:
    return trace_units(module, inputs, forward, protected)


def trace_example(network: str, protected: tuple[str, ...] = ()) -> Coupling:
    example = NETWORKS[network]
    return trace(example.build(), torch.from_numpy(example.inputs(4)), protected)


@pytest.mark.parametrize("network", TRACEABLE)
def test_the_units_are_those_that_were_counted_by_hand(network: str) -> None:
    coupling = trace_example(network)
    assert {name: len(units) for name, units in coupling.groups.items()} == (
        TRACEABLE[network].groups
    )
    numbers = torch.cat(list(coupling.groups.values()))
    assert numbers.tolist() == list(range(len(numbers)))
    for ids in coupling.units.values():
        assert set(ids.flatten().tolist()) <= {-1, *numbers.tolist()}


@pytest.mark.parametrize(
    ("network", "joined"),
    [
        ("residual", {"stem": "stem", "conv2": "stem", "conv1": "conv1"}),
        ("concatenation", {"stem": "stem", "left": "left", "right": "right", "merge": "merge"}),
        ("depthwise", {"expand": "expand", "pointwise": "pointwise"}),
        ("reached_twice", {"enter": "enter", "again": "enter"}),
        (
            "transformer",
            {
                "embed": "embed",
                "encoder.linear1": "encoder.linear1",
                "encoder.linear2": "embed",
                "encoder.self_attn": "encoder.self_attn:head_dims",
                "encoder.self_attn.out_proj": "embed",
            },
        ),
        ("tied_weights", {"enter": "enter", "one": "enter", "two": "enter", "hidden": "hidden"}),
    ],
)
def test_joined_layers_go_by_the_name_of_the_first(network: str, joined: dict[str, str]) -> None:
    assert trace_example(network).group_of == joined


def test_a_concatenation_lays_units_side_by_side() -> None:
    coupling = trace_example("concatenation")
    groups = [coupling.groups[name] for name in ("left", "stem", "right")]
    for layer_side in (LayerSide("norm", "out"), LayerSide("merge", "in")):
        torch.testing.assert_close(coupling.units[layer_side], torch.cat(groups))


def test_a_flattened_channel_is_a_block_of_columns() -> None:
    coupling = trace_example("conv_batch_norm")
    torch.testing.assert_close(
        coupling.units[LayerSide("linear1", "in")], coupling.groups["conv2"].repeat_interleave(9)
    )


@pytest.mark.parametrize(("network", "length"), [("conv1d", 3), ("conv3d", 8)])
def test_signals_and_volumes_are_flattened_too(network: str, length: int) -> None:
    coupling = trace_example(network)
    name = "hidden" if network == "conv1d" else "output"
    torch.testing.assert_close(
        coupling.units[LayerSide(name, "in")], coupling.groups["conv"].repeat_interleave(length)
    )


@pytest.mark.parametrize(
    ("conv", "shape"),
    [(nn.Conv1d, (2, 9)), (nn.Conv2d, (2, 4, 4)), (nn.Conv3d, (2, 3, 3, 3))],
)
def test_channels_are_flattened_beside_a_layer_that_sees_a_sequence(
    conv: type[nn.Module], shape: tuple[int, ...]
) -> None:
    class TwoBranches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv(2, 4, 2)
            self.flat = nn.Linear(4 * 8 if conv is not nn.Conv2d else 4 * 9, 5)
            self.sequence = nn.Linear(int(np.prod(shape[1:])), 6)
            self.output = nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            sequence = self.sequence(x.flatten(2)).relu().mean(1)
            return self.flat(self.conv(x).relu().flatten(1)) + self.output(sequence)

    coupling = trace(TwoBranches().eval(), torch.randn(4, *shape))
    assert {name: len(u) for name, u in coupling.groups.items()} == {"conv": 4, "sequence": 6}
    width = len(coupling.units[LayerSide("flat", "in")]) // 4
    torch.testing.assert_close(
        coupling.units[LayerSide("flat", "in")], coupling.groups["conv"].repeat_interleave(width)
    )


def test_equal_places_of_the_groups_of_a_convolution_are_one_unit() -> None:
    coupling = trace_example("grouped")
    torch.testing.assert_close(
        coupling.units[LayerSide("conv", "out")], coupling.groups["conv"].repeat(2)
    )
    torch.testing.assert_close(
        coupling.units[LayerSide("grouped", "out")], coupling.groups["grouped"].repeat(2)
    )


def test_one_channel_per_group_does_not_make_a_convolution_depthwise() -> None:
    module = nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1, groups=4), nn.Flatten(), nn.Linear(36, 3)
    )
    coupling = trace(module.eval(), torch.randn(4, 2, 5, 5))
    assert {name: len(units) for name, units in coupling.groups.items()} == {"0": 2, "2": 1}
    torch.testing.assert_close(coupling.units[LayerSide("2", "in")], coupling.groups["0"].repeat(4))


def test_the_groups_of_a_group_norm_keep_equal_widths() -> None:
    """Of 12 channels, 2 groups of 6 and 3 groups of 4 leave two units, of every other channel."""
    coupling = trace_example("group_norm")
    for layer_side in (
        LayerSide("grouped", "out"),
        LayerSide("norm", "out"),
        LayerSide("head", "in"),
    ):
        torch.testing.assert_close(coupling.units[layer_side], coupling.groups["grouped"].repeat(6))


def test_a_bare_parameter_goes_with_the_units_that_it_meets() -> None:
    coupling = trace_example("bare_parameter")
    torch.testing.assert_close(coupling.units[LayerSide("shift", 1)], coupling.groups["hidden"])


@pytest.mark.parametrize("network", TRACEABLE)
def test_units_of_the_output_are_not_among_them(network: str) -> None:
    coupling = trace_example(network)
    last = list(NETWORKS[network].build().named_children())[-1][0]
    last = "output" if network == "prelu" else last
    assert last not in coupling.group_of
    assert (coupling.units.get(LayerSide(last, "out"), torch.tensor([-1])) == -1).all()


@pytest.mark.parametrize("network", TRACEABLE)
def test_protected_layers_keep_their_units_and_others_do_not(network: str) -> None:
    groups = TRACEABLE[network].groups
    for layer in {name.partition(":")[0] for name in groups}:
        coupling = trace_example(network, (layer,))
        assert {n: len(units) for n, units in coupling.groups.items()} == {
            n: size for n, size in groups.items() if n.partition(":")[0] != layer
        }


def test_protecting_one_of_a_coupled_group_protects_all() -> None:
    assert set(trace_example("residual", ("conv2",)).groups) == {"conv1"}


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_hidden_units_are_those_of_all_gates(kind: type[nn.RNNBase], bidirectional: bool) -> None:
    coupling = trace(Recurrent(kind, bidirectional), torch.randn(4, 5, 4))
    hidden = coupling.groups["rnn"]
    n_gates = {nn.RNN: 1, nn.LSTM: 4, nn.GRU: 3}[kind]
    places = coupling.units
    torch.testing.assert_close(places[LayerSide("rnn.weight_ih_l0", 0)], hidden.repeat(n_gates))
    torch.testing.assert_close(places[LayerSide("rnn.bias_hh_l0", 0)], hidden.repeat(n_gates))
    torch.testing.assert_close(places[LayerSide("rnn.weight_hh_l0", 1)], hidden)
    torch.testing.assert_close(places[LayerSide("rnn.weight_ih_l0", 1)], coupling.groups["embed"])
    n_ways = 1 + bidirectional
    torch.testing.assert_close(places[LayerSide("hidden", "in")], hidden.repeat(n_ways))
    assert coupling.kinds == {"embed": "neuron", "rnn": "hidden unit", "hidden": "neuron"}


def test_a_row_of_attention_belongs_to_a_head_and_to_a_dimension() -> None:
    coupling = trace_example("transformer")
    heads = coupling.groups["encoder.self_attn:heads"]
    dims = coupling.groups["encoder.self_attn:head_dims"]
    expected = torch.stack([heads.repeat_interleave(4), dims.repeat(2)], 1)
    for place, count in (
        (LayerSide("encoder.self_attn.in_proj_weight", 0), 3),
        (LayerSide("encoder.self_attn.in_proj_bias", 0), 3),
        (LayerSide("encoder.self_attn.out_proj", "in"), 1),
    ):
        torch.testing.assert_close(coupling.units[place], expected.repeat(count, 1))
    assert coupling.kinds["encoder.self_attn:heads"] == "head"
    assert coupling.kinds["encoder.self_attn:head_dims"] == "head dimension"


@pytest.mark.parametrize("network", TRACEABLE)
def test_tracing_leaves_the_module_as_it_is(network: str) -> None:
    example = NETWORKS[network]
    module = example.build().train()
    for parameter in list(module.parameters())[::2]:
        parameter.requires_grad_(False)
    before = snapshot(module)
    wanted = [parameter.requires_grad for parameter in module.parameters()]
    trace(module, torch.from_numpy(example.inputs(4)))
    assert same_state(before, snapshot(module))
    assert [parameter.requires_grad for parameter in module.parameters()] == wanted
    assert all(part.training for part in module.modules())
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize(
    "pack",
    [
        lambda a, b: (a, b),
        lambda a, b: [a, b],
        lambda a, b: {"a": a, "b": b},
        lambda a, b: (a, {"rest": [b]}),
        lambda a, b: (a, b, a.argmax(1)),
    ],
)
def test_all_outputs_keep_their_units(pack: Callable[[Tensor, Tensor], Any]) -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(6, 5)
            self.middle = nn.Linear(5, 4)
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Any:
            middle = self.middle(self.hidden(x).relu())
            return pack(self.head(middle.relu()), middle)

    assert set(trace(TwoHeads(), torch.randn(3, 6)).groups) == {"hidden"}


def test_inputs_may_be_a_mapping() -> None:
    class TwoInputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left = nn.Linear(3, 4)
            self.right = nn.Linear(2, 4)
            self.output = nn.Linear(4, 2)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.output((self.left(a) * self.right(b)).relu())

    inputs = {"a": torch.randn(3, 3), "b": torch.randn(3, 2)}
    coupling = trace_units(TwoInputs(), inputs, lambda module, given: module(**given))
    assert coupling.group_of == {"left": "left", "right": "left"}
    assert len(coupling.groups["left"]) == 4


def test_a_layer_that_is_not_reached_has_no_units() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(6, 5)
            self.unused = nn.Linear(6, 7)
            self.output = nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.output(self.hidden(x).relu())

    assert set(trace(Unused(), torch.randn(3, 6)).groups) == {"hidden"}


@pytest.mark.parametrize(
    "norm",
    [
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.spectral_norm,
    ],
)
def test_units_of_a_layer_whose_weight_is_computed_go(
    norm: Callable[[nn.Module], nn.Module],
) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), norm(nn.Linear(8, 5)), nn.Linear(5, 3))
    x = torch.randn(4, 6)
    network = Network(module.eval(), x, forward)
    coupling = removable_units(network)
    assert {name: len(units) for name, units in coupling.groups.items()} == {"0": 8, "2": 5}
    network.remove_units(coupling, torch.tensor([1, 4, 8, 10]))
    layer = network.module[2]
    assert (layer.in_features, layer.out_features) == (6, 3)
    assert network.module(x).shape == (4, 3)
    assert layer.weight.shape == (3, 6)


def test_masks_hold_for_a_weight_that_is_computed() -> None:
    """A weight of ``spectral_norm`` is zero where the one that it is computed from is."""
    module = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3)
    )
    estimator = fit_untrained("PrunedRegressor", module, NETWORKS["mlp"], sparsity=0.5)
    mask = estimator.masks_["0.parametrizations.weight.original"]
    weight = estimator.module_[0].weight.detach().numpy()
    assert 0 < mask.mean() < 1
    assert not weight[~mask].any()


def test_weight_norm_is_an_error_that_says_so() -> None:
    norm = nn.utils.parametrizations.weight_norm
    module = nn.Sequential(norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(ValueError, match=r"layer '0' is computed by weight_norm.*protect=\['0'\]"):
        fit_untrained("PrunedRegressor", module, NETWORKS["mlp"])
    estimator = fit_untrained("PrunedRegressor", module, NETWORKS["mlp"], protect=["0"])
    assert estimator.masks_["2.weight"].mean() < 1


def test_a_forward_that_fails_is_an_error_that_says_why() -> None:
    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("not today")

    with pytest.raises(UntraceableError, match=r"\(RuntimeError: not today\)"):
        trace(Stubborn(), torch.randn(3, 6))


def test_units_go_with_the_rows_of_a_bare_matrix() -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(6, 8)
            self.matrix = nn.Parameter(torch.randn(8, 3))
            self.output = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.output((self.hidden(x).relu() @ self.matrix).relu())

    coupling = trace(Product(), torch.randn(4, 6))
    assert {name: len(units) for name, units in coupling.groups.items()} == {
        "hidden": 8,
        "matrix": 3,
    }
    torch.testing.assert_close(coupling.units[LayerSide("matrix", 0)], coupling.groups["hidden"])
    torch.testing.assert_close(coupling.units[LayerSide("output", "in")], coupling.groups["matrix"])
