"""Units that masked weights have left without a purpose go, and no output changes."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skprune.network.dead_units import remove_dead_units
from skprune.network.network import Network
from tests.helpers import fit_untrained, forward, same_state, snapshot
from tests.networks import NETWORKS, Example, Perceptron, Recurrent


class Convolutions(nn.Module):
    def __init__(self, second: nn.Module, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.second = second
        self.output = nn.Linear(5, 3)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.activation(self.first(x))).relu()
        return self.output(x.mean((2, 3)))


def masked(module: nn.Module, inputs: Tensor, zeros: Mapping[str, tuple[Any, ...]]) -> Network:
    """A network that is pruned at the given places of its weights."""
    network = Network(module.eval(), inputs, forward)
    masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in network.weights.items()}
    for name, place in zeros.items():
        masks[f"{name}.weight"][place] = False
    network.set_masks(masks)
    return network


def shrink(network: Network, protected: tuple[str, ...] = ()) -> Network:
    """Remove the dead units; the outputs stay, on rows that were not looked at too."""
    before = snapshot(network.module)
    smaller = remove_dead_units(network, protected)
    assert same_state(before, snapshot(network.module))
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn((50, *network.inputs.shape[1:]), generator=generator)
    if not network.inputs.is_floating_point():
        inputs = torch.randint(9, (50, *network.inputs.shape[1:]), generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(
            smaller.module.eval()(inputs), network.module(inputs), rtol=1e-5, atol=1e-5
        )
    for name, weight in smaller.weights.items():
        assert smaller.masks[name].shape == weight.shape
    return smaller


def perceptron(
    zeros: Mapping[str, tuple[Any, ...]],
    activation: type[nn.Module] = nn.Sigmoid,
    *,
    bias: bool = True,
) -> Network:
    module = NETWORKS["mlp"].build(activation=activation, bias=bias)
    return masked(module, torch.randn(8, 6, generator=torch.Generator().manual_seed(0)), zeros)


def convolutions(
    second: nn.Module,
    activation: Callable[[Tensor], Tensor] = torch.sigmoid,
    zeros: Mapping[str, tuple[Any, ...]] | None = None,
) -> Network:
    torch.manual_seed(0)
    inputs = torch.randn(8, 2, 6, 6)
    return masked(Convolutions(second, activation), inputs, zeros or {"first": (slice(0, 2),)})


def test_a_unit_that_no_weight_leaves_goes() -> None:
    smaller = shrink(perceptron({"hidden1": (slice(None), [1, 4])}))
    assert smaller.module.hidden0.out_features == smaller.module.hidden1.in_features == 6


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.Tanh, nn.ReLU, nn.GELU])
def test_a_unit_that_no_weight_enters_goes_and_leaves_its_constant(
    activation: type[nn.Module],
) -> None:
    network = perceptron({"hidden0": ([0, 3, 5],)}, activation)
    smaller = shrink(network)
    assert smaller.module.hidden0.out_features == 5
    old = network.module
    constant = activation()(old.hidden0.bias[[0, 3, 5]])
    expected = old.hidden1.bias + old.hidden1.weight[:, [0, 3, 5]] @ constant
    torch.testing.assert_close(smaller.module.hidden1.bias, expected)


def test_a_layer_without_a_bias_gets_one_for_the_constant() -> None:
    network = perceptron({"hidden0": ([0, 3],)}, bias=False)
    assert network.module.hidden1.bias is None
    smaller = shrink(network)
    assert smaller.module.hidden0.out_features == 6
    assert smaller.module.hidden1.bias.requires_grad
    assert smaller.module.output.bias is None


def test_no_bias_is_made_for_a_constant_of_zero() -> None:
    network = perceptron({"hidden0": ([0, 3],)}, nn.ReLU, bias=False)
    with torch.no_grad():
        network.module.hidden0.bias.fill_(-0.5)
    smaller = shrink(network)
    assert smaller.module.hidden0.out_features == 6
    assert smaller.module.hidden1.bias is None


def test_one_removal_leads_to_another() -> None:
    """Nothing leaves most of the second layer; then nothing leaves most of the first."""
    network = perceptron({"output": (slice(None), slice(1, None)), "hidden1": (0, slice(1, None))})
    smaller = shrink(network)
    assert smaller.module.hidden1.out_features == 1
    assert smaller.module.hidden0.out_features == 1


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.ReLU])
@pytest.mark.parametrize(
    ("layer", "widths"), [("hidden0", (1, 8)), ("hidden1", (1, 1)), ("output", (8, 1))]
)
def test_a_layer_keeps_its_last_unit(
    layer: str, widths: tuple[int, int], activation: type[nn.Module]
) -> None:
    """A whole layer is empty: one unit stays, and its constant does not count twice."""
    smaller = shrink(perceptron({layer: (slice(None),)}, activation)).module
    assert (smaller.hidden0.out_features, smaller.hidden1.out_features) == widths


def test_batch_norm_is_part_of_the_constant() -> None:
    module = NETWORKS["conv_batch_norm"].build(activation=nn.Tanh, padding=0)
    inputs = torch.from_numpy(NETWORKS["conv_batch_norm"].inputs(8))
    zeros = {"conv1": ([0],), "conv2": ([1, 2],), "linear1": ([3, 4, 5],)}
    smaller = shrink(masked(module, inputs, zeros)).module
    widths = (smaller.conv1, smaller.conv2, smaller.linear1)
    assert [layer.weight.shape[0] for layer in widths] == [3, 4, 5]
    assert smaller.norm1.num_features == 3


CONSUMERS = {
    "valid": nn.Conv2d(4, 5, 3),
    "strided": nn.Conv2d(4, 5, 3, stride=2),
    "grouped": nn.Conv2d(4, 5, 1, bias=False),
    "circular": nn.Conv2d(4, 5, 3, padding=1, padding_mode="circular"),
    "reflected": nn.Conv2d(4, 5, 3, padding="same", padding_mode="reflect"),
}


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_constants_pass_convolutions_that_see_them_everywhere(consumer: str) -> None:
    smaller = shrink(convolutions(deepcopy(CONSUMERS[consumer])))
    assert smaller.module.first.out_channels == smaller.module.second.in_channels == 2


PADDED = {
    "padded": nn.Conv2d(4, 5, 3, padding=1),
    "same": nn.Conv2d(4, 5, 3, padding="same"),
    "transposed": nn.ConvTranspose2d(4, 5, 2),
}


@pytest.mark.parametrize("consumer", PADDED)
def test_constants_stay_where_a_border_would_show_the_difference(consumer: str) -> None:
    smaller = shrink(convolutions(deepcopy(PADDED[consumer])))
    assert smaller.module.first.out_channels == 4


@pytest.mark.parametrize("consumer", PADDED)
def test_constants_of_zero_go_in_spite_of_borders(consumer: str) -> None:
    network = convolutions(deepcopy(PADDED[consumer]), torch.relu)
    with torch.no_grad():
        network.module.first.bias[:2] = -0.1
    assert shrink(network).module.first.out_channels == 2


@pytest.mark.parametrize("consumer", [*CONSUMERS, *PADDED])
def test_channels_that_no_weight_leaves_go_in_spite_of_borders(consumer: str) -> None:
    second = deepcopy({**CONSUMERS, **PADDED}[consumer])
    place = ([1, 2],) if consumer == "transposed" else (slice(None), [1, 2])
    smaller = shrink(convolutions(second, zeros={"second": place}))
    assert smaller.module.first.out_channels == 2


def test_constants_pass_a_grouped_convolution_within_their_group() -> None:
    network = convolutions(nn.Conv2d(4, 5, 3))
    network.module.second = nn.Conv2d(4, 6, 3, groups=2)
    network.module.output = nn.Linear(6, 3)
    network = masked(network.module, network.inputs, {"first": ([1, 3],)})
    smaller = shrink(network)  # channels 1 and 3 are one unit: the second of both groups
    assert smaller.module.first.out_channels == 2
    assert smaller.module.second.groups == 2


def test_half_a_unit_of_a_grouped_convolution_is_not_dead() -> None:
    network = convolutions(nn.Conv2d(4, 5, 3))
    network.module.second = nn.Conv2d(4, 6, 3, groups=2)
    network.module.output = nn.Linear(6, 3)
    smaller = shrink(masked(network.module, network.inputs, {"first": ([1],)}))
    assert smaller.module.first.out_channels == 4


def test_a_sum_is_dead_where_nothing_enters_it_from_anywhere() -> None:
    module = NETWORKS["residual"].build()
    inputs = torch.from_numpy(NETWORKS["residual"].inputs(8))
    alive = shrink(masked(deepcopy(module), inputs, {"stem": ([0, 1],)}))
    assert alive.module.stem.out_channels == 4
    with torch.no_grad():  # zero enters the padded conv1, so that it may go
        module.stem.bias[:2] = -0.1
    smaller = shrink(masked(module, inputs, {"stem": ([0, 1],), "conv2": ([0, 1],)}))
    assert smaller.module.stem.out_channels == smaller.module.conv2.out_channels == 2


def test_units_under_a_layer_norm_stay() -> None:
    module = NETWORKS["layer_norm"].build()
    inputs = torch.randn(8, 6)
    zeros = {
        "hidden0": ([0, 1],),
        "hidden1": (slice(None), [5]),
        "output": (slice(None), [2]),
    }
    smaller = shrink(masked(module, inputs, zeros)).module
    assert (smaller.hidden0.out_features, smaller.hidden1.out_features) == (8, 4)


def test_constants_that_a_bare_parameter_adds_to_stay() -> None:
    module = NETWORKS["bare_parameter"].build()
    network = masked(module, torch.randn(8, 6), {"hidden": ([0, 1],), "output": (slice(None), [7])})
    assert shrink(network).module.shift.shape == (1, 7)


def test_constants_stay_where_a_layer_is_reached_twice() -> None:
    module = NETWORKS["reached_twice"].build()
    zeros = {
        "enter": ([0],),
        "again": (torch.zeros(8, 8, dtype=torch.bool),),
        "output": (slice(None), [3]),
    }
    zeros["again"][0][0] = zeros["again"][0][:, 3] = True
    smaller = shrink(masked(module, torch.randn(8, 6), zeros)).module
    assert smaller.enter.out_features == 7  # nothing leaves the unit 3, and 0 is not constant


def test_columns_of_an_embedding_go() -> None:
    module = NETWORKS["embedding"].build()
    inputs = torch.from_numpy(NETWORKS["embedding"].inputs(8))
    smaller = shrink(masked(module, inputs, {"table": (slice(None), [0, 2])}))
    assert smaller.module.table.embedding_dim == smaller.module.hidden.in_features == 4


def test_protected_layers_keep_dead_units() -> None:
    zeros = {"hidden0": ([0],), "hidden1": ([0, 1],)}
    smaller = shrink(perceptron(zeros), ("hidden0",))
    assert smaller.module.hidden0.out_features == 8
    assert smaller.module.hidden1.out_features == 6


def test_outputs_without_weights_stay() -> None:
    smaller = shrink(perceptron({"output": ([0, 2],)}))
    assert smaller.module.output.out_features == 3


def test_a_network_that_cannot_be_followed_is_given_back() -> None:
    class OutOfSight(Perceptron):
        def forward(self, x: Tensor) -> Tensor:
            hidden = torch.from_numpy(self.hidden0(x).relu().detach().numpy())
            return self.output(self.hidden1(hidden).softmax(1))

    network = masked(OutOfSight(), torch.randn(4, 6), {"hidden1": (slice(None), [0])})
    assert remove_dead_units(network) is network


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_dead_hidden_units_of_recurrent_layers_go(kind: type[nn.RNNBase]) -> None:
    module = Recurrent(kind)
    inputs = torch.randn(4, 5, 4)
    network = Network(module.eval(), inputs, forward)
    masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in network.weights.items()}
    masks["hidden.weight"][:, :2] = masks["rnn.weight_hh_l0"][:, :2] = False
    masks["embed.weight"][1] = masks["rnn.weight_ih_l0"][:, 1] = False
    network.set_masks(masks)
    smaller = shrink(network)
    assert smaller.module.rnn.hidden_size == 4
    assert smaller.module.embed.out_features == smaller.module.rnn.input_size == 4


def test_a_network_whose_graph_misleads_is_given_back() -> None:
    class SoftMax(Perceptron):
        def forward(self, x: Tensor) -> Tensor:
            return self.output(self.hidden1(self.hidden0(x).softmax(1)))

    network = masked(SoftMax(), torch.randn(8, 6), {"hidden0": ([0, 1],)})
    assert remove_dead_units(network) is network


def test_a_network_that_a_dead_unit_still_matters_to_is_given_back() -> None:
    """What is subtracted is the largest unit, which is the one that no weight leaves."""

    class Below(Perceptron):
        def forward(self, x: Tensor) -> Tensor:
            x = self.hidden0(x)
            return self.output(self.hidden1(x - x.amax(1, keepdim=True)))

    module = Below()
    with torch.no_grad():
        module.hidden0.bias[2] = 100.0
    network = masked(module, torch.randn(8, 6), {"hidden1": (slice(None), [2])})
    assert remove_dead_units(network) is network


def test_a_network_without_dead_units_stays_whole() -> None:
    network = perceptron({"hidden0": (0, slice(3))})
    smaller = shrink(network)
    assert same_state(snapshot(network.module), snapshot(smaller.module))


@pytest.mark.parametrize("seed", range(30))
def test_no_output_changes_whatever_the_masks(seed: int) -> None:
    """Nearly everything is masked, so that constants are all over the place."""
    generator = torch.Generator().manual_seed(seed)
    names = ["mlp", "conv_batch_norm", "residual", "concatenation", "depthwise", "grouped"]
    example = NETWORKS[names[seed % len(names)]]
    network = Network(example.build(seed), torch.from_numpy(example.inputs(8)), forward)
    network.set_masks(
        {
            name: torch.rand(weight.shape, generator=generator) < 0.03
            for name, weight in network.weights.items()
        }
    )
    smaller = shrink(network)
    count = sum(weight.numel() for weight in smaller.weights.values())
    assert count < sum(weight.numel() for weight in network.weights.values())


class Gated(nn.Module):
    """Lets its hidden units through for some inputs only, which no weight of theirs shows."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(x).sigmoid() * (x[:, :1] < 2))


def test_a_constant_that_is_none_for_other_inputs_is_not_folded() -> None:
    torch.manual_seed(0)
    # No row opens the gate, here or in any data that the network has seen.
    network = Network(Gated().eval(), torch.zeros(8, 4), lambda m, x: m(x))
    mask = torch.ones(6, 4, dtype=torch.bool)
    mask[0] = False
    leaving = torch.ones(2, 6, dtype=torch.bool)
    leaving[:, 3] = False
    network.set_masks({"hidden.weight": mask, "out.weight": leaving})
    smaller = remove_dead_units(network)
    # The unit that nothing leaves goes all the same.
    assert smaller.module.hidden.out_features == 5
    others = torch.linspace(-4, 4, 40).reshape(10, 4)
    torch.testing.assert_close(smaller.module(others), network.module(others))


def test_what_cannot_be_cut_does_not_keep_the_rest() -> None:
    class Softmaxed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.c(self.b(self.a(x).relu()).softmax(1))

    torch.manual_seed(0)
    network = Network(Softmaxed().eval(), torch.randn(8, 4), lambda m, x: m(x))
    mask = torch.ones(6, 4, dtype=torch.bool)
    mask[:3] = False
    network.set_masks({"a.weight": mask})
    smaller = remove_dead_units(network)
    assert [smaller.module.a.out_features, smaller.module.b.out_features] == [3, 5]
    others = torch.randn(10, 4)
    torch.testing.assert_close(smaller.module(others), network.module(others))


def test_inputs_of_whole_numbers_are_disturbed_within_their_columns() -> None:
    """Numbers that name rows of a table may not leave it."""

    class Tables(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Embedding(3, 4), nn.Embedding(50, 4)
            self.hidden, self.out = nn.Linear(8, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            both = torch.cat([self.one(x[:, 0]), self.two(x[:, 1])], 1)
            return self.out(self.hidden(both).sigmoid())

    torch.manual_seed(0)
    ids = torch.stack([torch.arange(8) % 3, torch.arange(8) * 7], 1)
    network = Network(Tables().eval(), ids, lambda m, x: m(x))
    mask = torch.ones(6, 8, dtype=torch.bool)
    mask[:2] = False
    network.set_masks({"hidden.weight": mask})
    smaller = remove_dead_units(network)
    assert smaller.module.hidden.out_features == 4
    torch.testing.assert_close(smaller.module(ids), network.module(ids))


class Half(nn.Module):
    """The numbers of channels that are used are written into it."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(6, 8), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x).relu()[:, 1:5])


class HalfOfThem(Half):
    """As a head of means and variances whose mean is used: both keep equal widths."""

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x).relu().chunk(2, 1)[0])


@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.95])
def test_a_network_that_fails_without_its_dead_units_keeps_them(sparsity: float) -> None:
    estimator = fit_untrained("PrunedRegressor", Half(), Example(Half, (6,)), sparsity=sparsity)
    assert estimator.module_.hidden.out_features == 8


@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.95])
def test_dead_units_go_with_their_places_in_the_other_half(sparsity: float) -> None:
    example, network = Example(HalfOfThem, (6,)), HalfOfThem()
    estimator = fit_untrained("PrunedRegressor", network, example, sparsity=sparsity)
    module = estimator.module_
    assert module.hidden.out_features == 2 * module.output.in_features
    if sparsity == 0.95:
        assert module.output.in_features < 4
