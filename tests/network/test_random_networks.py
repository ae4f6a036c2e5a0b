"""Random networks without units compute what they do with the units' weights at zero."""

from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from skprune import UntraceableError
from skprune.network.dead_units import remove_dead_units
from skprune.network.layers import weight_parameters
from skprune.network.network import Network
from skprune.structures import Unit
from tests.helpers import forward
from tests.network.random_networks import random_network


def outcome(seed: int, *, mixing: bool) -> str:
    """Remove random units; say whether it was refused, and raise an error on any mismatch."""
    module, inputs = random_network(seed, mixing=mixing)
    network = Network(deepcopy(module), inputs, forward)
    others = torch.randn(32, *inputs.shape[1:], dtype=torch.float64)
    draw = np.random.default_rng(seed)
    try:
        elements = Unit().elements(network, ())
        for _ in range(2):
            scores = {
                name: torch.from_numpy(draw.random(size)).masked_fill(
                    ~elements.kept[name], -torch.inf
                )
                for name, size in elements.sizes.items()
            }
            required = elements.must_keep(scores)
            kept = {}
            for name, score in scores.items():
                if name in required:
                    score = score.masked_fill(required[name], torch.inf)
                n_keep = draw.integers(elements.min_kept[name], elements.kept[name].sum() + 1)
                place = score.argsort(descending=True)[:n_keep]
                kept[name] = torch.zeros(len(score), dtype=torch.bool)
                kept[name][place] = score[place] > -torch.inf
            elements.keep(kept)
    except UntraceableError:
        return "refused"
    torch.testing.assert_close(
        network.module(others), with_zeros(module, network)(others), rtol=1e-9, atol=1e-9
    )
    assert all(0 not in p.shape for p in network.module.parameters())
    return "equal"


def with_zeros(module: nn.Module, network: Network) -> nn.Module:
    """The whole network, with all that is gone from the other at zero."""
    masked = deepcopy(module)
    parameters = dict(masked.named_parameters())
    with torch.no_grad():
        for name, mask in network.original_masks().items():
            parameters[name].mul_(torch.from_numpy(mask))
        for name, kept in network._kept.items():
            parameter = parameters.get(name)
            if parameter is not None and parameter.dim() == 1:
                gone = torch.ones(len(parameter), dtype=torch.bool)
                gone[kept[0]] = False
                parameter[gone] = 0
    for name, norm in list(masked.named_modules()):
        if isinstance(norm, (nn.LayerNorm, nn.GroupNorm)):
            kept = network._kept[f"{name}.weight"][0]
            masked.set_submodule(name, NormOfTheRest(norm, kept.tolist()))
    return masked


class NormOfTheRest(nn.Module):
    """A norm over the channels that are left of it, by its definition."""

    def __init__(self, norm: nn.LayerNorm | nn.GroupNorm, kept: list[int]) -> None:
        super().__init__()
        self.norm, self.kept = norm, kept

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        out, norm = torch.zeros_like(x), self.norm
        if isinstance(norm, nn.LayerNorm):
            rest = x[..., self.kept]
            variance, mean = torch.var_mean(rest, -1, correction=0, keepdim=True)
            value = (rest - mean) / (variance + norm.eps).sqrt()
            out[..., self.kept] = value * norm.weight[self.kept] + norm.bias[self.kept]
            return out
        for group in torch.arange(x.shape[1]).chunk(norm.num_groups):
            mine = [channel for channel in self.kept if channel in group]
            for row, of_row in zip(out, x, strict=True):
                variance, mean = torch.var_mean(of_row[mine], correction=0)
                for channel in mine:
                    value = (of_row[channel] - mean) / (variance + norm.eps).sqrt()
                    row[channel] = value * norm.weight[channel] + norm.bias[channel]
        return out


def dead_outcome(seed: int, *, mixing: bool) -> str:
    """Mask random weights; what comes of it has to compute the same."""
    module, inputs = random_network(seed, mixing=mixing)
    network = Network(module, inputs, forward)
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for name, weight in weight_parameters(module).items():
        masks[name] = torch.rand(weight.shape, generator=generator) < 0.5
        lines = torch.rand(len(weight), generator=generator) < 0.4
        masks[name][lines] = False
    network.set_masks(masks)
    others = torch.randn(32, *inputs.shape[1:], dtype=torch.float64)
    smaller = remove_dead_units(network)
    torch.testing.assert_close(smaller.module(others), module(others), rtol=1e-7, atol=1e-7)
    return "whole" if smaller is network else "smaller"


@given(seed=st.integers(1000, 10**6), mixing=st.booleans())
@settings(max_examples=50)
def test_a_network_is_refused_or_right(seed: int, mixing: bool) -> None:
    outcome(seed, mixing=mixing)
    dead_outcome(seed, mixing=mixing)


def outcomes(seeds: range, *, mixing: bool) -> Counter[str]:
    found: Counter[str] = Counter()
    for seed in seeds:
        found[outcome(seed, mixing=mixing)] += 1
        found[dead_outcome(seed, mixing=mixing)] += 1
    return found


@pytest.mark.parametrize("mixing", [False, True], ids=["plain", "mixing"])
def test_what_is_not_refused_is_equal(mixing: bool) -> None:
    found = outcomes(range(15), mixing=mixing)
    assert found["equal"] > (3 if mixing else 10)
    assert found["smaller"] > 2


@pytest.mark.slow
@pytest.mark.parametrize("mixing", [False, True], ids=["plain", "mixing"])
def test_nor_in_many_networks(mixing: bool) -> None:
    found = outcomes(range(15, 150), mixing=mixing)
    assert found["equal"] > (30 if mixing else 100)
