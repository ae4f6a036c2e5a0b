"""Units are removed, and what is left computes what it did."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skprune.network.network import Network
from tests.helpers import forward, masked_module
from tests.networks import NETWORKS, TRACEABLE, Grouped, LayerNormed

PLAIN = [name for name, example in TRACEABLE.items() if not example.mixes]


def make_network(network: str, seed: int = 0) -> Network:
    example = NETWORKS[network]
    return Network(example.build(seed), torch.from_numpy(example.inputs(16)), forward)


def some_units(network: Network, seed: int) -> Tensor:
    """Units at random, but never a whole group."""
    generator = torch.Generator().manual_seed(seed)
    gone = []
    for units in network.trace().groups.values():
        n = int(torch.randint(1, max(len(units), 2), (), generator=generator))
        gone.append(
            units[torch.randperm(len(units), generator=generator)[: min(n, len(units) - 1)]]
        )
    return torch.cat(gone)


def remove(network: Network, units: Tensor) -> None:
    network.remove_units(network.trace(), units)


def outputs(network: Network, module: nn.Module | None = None) -> Tensor:
    with torch.no_grad():
        return (module or network.module)(network.inputs)


@pytest.mark.parametrize("network", PLAIN)
@pytest.mark.parametrize("seed", range(4))
def test_removal_is_the_network_with_its_weights_at_zero(network: str, seed: int) -> None:
    pruned = make_network(network, seed)
    dense = deepcopy(pruned.module)
    units = some_units(pruned, seed)
    remove(pruned, units)
    expected = outputs(pruned, masked_module(dense, pruned.original_masks()))
    torch.testing.assert_close(outputs(pruned), expected, rtol=1e-5, atol=1e-5)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (pruned.module, dense)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("network", TRACEABLE)
def test_removal_step_by_step_is_removal_at_once(network: str) -> None:
    at_once, step_by_step = make_network(network), make_network(network)
    units = some_units(at_once, 0)
    remove(at_once, units)
    for unit in sorted(units.tolist(), reverse=True):  # so that the numbers of the others stay
        remove(step_by_step, torch.tensor([unit]))
    torch.testing.assert_close(outputs(at_once), outputs(step_by_step))
    one, other = at_once.original_masks(), step_by_step.original_masks()
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


SIZES = {
    "in_features": ("weight", 1),
    "out_features": ("weight", 0),
    "num_features": ("weight", 0),
    "num_channels": ("weight", 0),
    "embedding_dim": ("weight", 1),
    "num_parameters": ("weight", 0),
}


@pytest.mark.parametrize("network", TRACEABLE)
def test_layers_know_their_new_sizes(network: str) -> None:
    pruned = make_network(network)
    remove(pruned, some_units(pruned, 1))
    for layer in pruned.module.modules():
        for size, (tensor, dim) in SIZES.items():
            if hasattr(layer, size):
                assert getattr(layer, size) == getattr(layer, tensor).shape[dim]
        if isinstance(layer, nn.LayerNorm):
            assert layer.normalized_shape == tuple(layer.weight.shape)
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            assert layer.weight.shape[0] == layer.out_channels
            assert layer.weight.shape[1] == layer.in_channels // layer.groups
        if isinstance(layer, nn.ConvTranspose2d):
            assert layer.weight.shape[0] == layer.in_channels
            assert layer.weight.shape[1] == layer.out_channels // layer.groups
        for statistic in ("running_mean", "running_var"):
            if getattr(layer, statistic, None) is not None:
                assert getattr(layer, statistic).shape == layer.weight.shape


def test_a_depthwise_convolution_loses_groups() -> None:
    pruned = make_network("depthwise")
    remove(pruned, pruned.trace().groups["expand"][:2])
    assert pruned.module.depthwise.groups == pruned.module.depthwise.in_channels == 4
    assert tuple(pruned.module.depthwise.weight.shape) == (4, 1, 3, 3)


def test_a_grouped_convolution_keeps_its_groups() -> None:
    pruned = make_network("grouped")
    remove(pruned, torch.cat([units[:1] for units in pruned.trace().groups.values()]))
    layer = pruned.module.grouped
    assert (layer.groups, layer.in_channels, layer.out_channels) == (2, 6, 10)


def test_a_layer_norm_is_that_of_the_units_that_are_left() -> None:
    pruned = make_network("layer_norm")
    dense = deepcopy(pruned.module)
    remove(pruned, pruned.trace().groups["hidden0"][[0, 5]])
    kept = [1, 2, 3, 4, 6, 7]
    small = LayerNormed()
    small.norm = nn.LayerNorm(6)
    small.hidden0.weight = nn.Parameter(dense.hidden0.weight[kept])
    small.hidden0.bias = nn.Parameter(dense.hidden0.bias[kept])
    small.norm.weight = nn.Parameter(dense.norm.weight[kept])
    small.norm.bias = nn.Parameter(dense.norm.bias[kept])
    small.hidden1.weight = nn.Parameter(dense.hidden1.weight[:, kept])
    small.hidden1.bias = dense.hidden1.bias
    small.output = dense.output
    torch.testing.assert_close(outputs(pruned), outputs(pruned, small))


def test_a_group_norm_is_that_of_the_units_that_are_left() -> None:
    pruned = make_network("group_norm")
    dense = deepcopy(pruned.module)
    remove(pruned, pruned.trace().groups["grouped"][:1])
    kept = list(range(1, 12, 2))
    small = Grouped()
    small.conv = dense.conv
    small.grouped = nn.Conv2d(8, 6, 1, groups=2)
    small.grouped.weight = nn.Parameter(dense.grouped.weight[kept])
    small.grouped.bias = nn.Parameter(dense.grouped.bias[kept])
    small.norm = nn.GroupNorm(3, 6)
    small.norm.weight = nn.Parameter(dense.norm.weight[kept])
    small.norm.bias = nn.Parameter(dense.norm.bias[kept])
    small.head.weight = nn.Parameter(dense.head.weight[:, kept])
    small.head.bias = dense.head.bias
    torch.testing.assert_close(outputs(pruned), outputs(pruned, small))


def test_a_group_norm_of_single_channels_loses_groups() -> None:
    class Instance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 6, 3)
            self.norm = nn.GroupNorm(6, 6)
            self.head = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))

    pruned = Network(Instance().eval(), torch.randn(4, 1, 5, 5), forward)
    dense = deepcopy(pruned.module)
    remove(pruned, torch.tensor([1, 4]))
    assert pruned.module.norm.num_groups == 4
    expected = outputs(pruned, masked_module(dense, pruned.original_masks()))
    torch.testing.assert_close(outputs(pruned), expected)


def test_masks_are_cut_with_their_weights() -> None:
    pruned = make_network("residual")
    generator = torch.Generator().manual_seed(0)
    masks = {
        name: torch.rand(weight.shape, generator=generator) < 0.6
        for name, weight in pruned.weights.items()
    }
    pruned.set_masks(masks)
    remove(pruned, some_units(pruned, 2))
    original = pruned.original_masks()
    for name, weight in pruned.weights.items():
        assert pruned.masks[name].shape == weight.shape
        torch.testing.assert_close(weight.detach() != 0, pruned.masks[name])
        assert original[name].sum() == int(pruned.masks[name].sum())
        assert not (original[name] & ~masks[name].numpy()).any()


def test_set_masks_zeroes_what_is_not_kept_and_nothing_else() -> None:
    pruned = make_network("mlp")
    before = {name: weight.detach().clone() for name, weight in pruned.weights.items()}
    mask = torch.ones(8, 8, dtype=torch.bool)
    mask[2, 3:5] = False
    pruned.set_masks({"hidden1.weight": mask})
    expected = before["hidden1.weight"].clone()
    expected[2, 3:5] = 0.0
    torch.testing.assert_close(pruned.weights["hidden1.weight"].detach(), expected)
    torch.testing.assert_close(pruned.weights["hidden0.weight"].detach(), before["hidden0.weight"])
    assert pruned.original_masks()["hidden1.weight"].sum() == 62
    assert pruned.original_masks()["hidden0.weight"].all()


def test_what_is_left_of_the_coupling_is_that_of_the_smaller_network() -> None:
    pruned = make_network("concatenation")
    coupling = pruned.trace()
    units = some_units(pruned, 3)
    pruned.remove_units(coupling, units)
    left, found = coupling.without(units), pruned.trace()
    numbers = torch.cat(list(left.groups.values()))
    assert not torch.isin(numbers, units).any()
    assert left.units.keys() == found.units.keys()
    for layer_side, ids in found.units.items():
        torch.testing.assert_close(torch.where(ids < 0, ids, numbers[ids]), left.units[layer_side])
    assert left.group_of == found.group_of


def test_frozen_parameters_stay_frozen() -> None:
    pruned = make_network("bare_parameter")
    for name in ("hidden.weight", "shift"):
        pruned.module.get_parameter(name).requires_grad_(False)
    remove(pruned, torch.tensor([0, 3]))
    wanted = {name: p.requires_grad for name, p in pruned.module.named_parameters()}
    assert wanted == {
        "shift": False,
        "hidden.weight": False,
        "hidden.bias": True,
        "output.weight": True,
        "output.bias": True,
    }


def test_a_copy_is_independent() -> None:
    pruned = make_network("mlp")
    pruned.set_masks({"hidden1.weight": torch.rand(8, 8) < 0.5})
    copy = pruned.copy()
    before = outputs(pruned)
    remove(copy, torch.tensor([0, 9]))
    torch.testing.assert_close(outputs(pruned), before, rtol=0, atol=0)
    assert pruned.masks["hidden1.weight"].shape == (8, 8)
    assert copy.masks["hidden1.weight"].shape == (7, 7)
    assert pruned.original_masks()["hidden0.weight"].all()
    assert not copy.original_masks()["hidden0.weight"].all()


def test_removing_nothing_changes_nothing() -> None:
    pruned = make_network("mlp")
    weight = pruned.module.hidden0.weight
    remove(pruned, torch.empty(0, dtype=torch.long))
    assert pruned.module.hidden0.weight is weight
