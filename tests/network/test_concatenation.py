"""Units beside parts of a concatenation that the graph does not see, and flattened sequences."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skprune.network.network import Network, apply_masks
from skprune.network.verification import check_units


class Dense(nn.Module):
    """Each layer sees the inputs and all layers before it."""

    groups: Mapping[str, int] = {"a": 6, "b": 8}

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 6), nn.Linear(10, 8), nn.Linear(18, 2)

    def forward(self, x: Tensor) -> Tensor:
        first = torch.cat([x, self.a(x).relu()], 1)
        return self.out(torch.cat([first, self.b(first).relu()], 1))

    @staticmethod
    def inputs() -> Any:
        return torch.randn(5, 4)


class Entities(nn.Module):
    """Tables of categories beside numbers."""

    groups: Mapping[str, int] = {"one": 3, "two": 5, "hidden": 6}

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Embedding(9, 3), nn.Embedding(7, 5)
        self.hidden, self.out = nn.Linear(10, 6), nn.Linear(6, 2)

    def forward(self, c: Tensor, x: Tensor) -> Tensor:
        parts = [self.one(c[:, 0]), x, self.two(c[:, 1])]
        return self.out(self.hidden(torch.cat(parts, 1)).relu())

    @staticmethod
    def inputs() -> Any:
        return {"c": torch.randint(0, 7, (5, 2)), "x": torch.randn(5, 2)}


class Words(nn.Module):
    """The words of a sentence one after the other."""

    groups: Mapping[str, int] = {"words": 4, "hidden": 6}

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)
        self.hidden, self.out = nn.Linear(12, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(self.words(x).tanh().flatten(1)).relu())

    @staticmethod
    def inputs() -> Any:
        return torch.randint(0, 9, (5, 3))


class Steps(Words):
    """A linear layer for each step of a sequence, and all steps one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Linear(3, 4)

    @staticmethod
    def inputs() -> Any:
        return torch.randn(5, 3, 3)


class Twice(nn.Module):
    """The same units on both sides of the inputs."""

    groups: Mapping[str, int] = {"a": 5}

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(4, 5), nn.Linear(14, 2)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x).relu()
        return self.out(torch.concat([a, x, a], dim=-1))

    @staticmethod
    def inputs() -> Any:
        return torch.randn(5, 4)


class Features(nn.Module):
    """Sequences whose features are put together."""

    groups: Mapping[str, int] = {"a": 5, "b": 3, "c": 4}

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(4, 3)
        self.c, self.out = nn.Linear(8, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.a(x), self.b(x)], -1)
        return self.out(self.c(both).relu()).mean(1)

    @staticmethod
    def inputs() -> Any:
        return torch.randn(5, 7, 4)


def call(module: nn.Module, inputs: Any) -> Tensor:
    return module(**inputs) if isinstance(inputs, dict) else module(inputs)


@pytest.mark.parametrize("cls", [Dense, Entities, Words, Steps, Twice, Features])
def test_without_half_of_the_units_it_computes_what_it_does_with_their_weights_at_zero(
    cls: Any,
) -> None:
    torch.manual_seed(0)
    module, inputs = cls().eval(), cls.inputs()
    masked = Network(deepcopy(module), inputs, call)
    network = Network(module, inputs, call)
    coupling = network.trace()
    assert {name: len(units) for name, units in coupling.groups.items()} == cls.groups
    assert check_units(network, coupling) is coupling
    gone = [units[torch.randperm(len(units))[::2]] for units in coupling.groups.values()]
    network.remove_units(coupling, torch.cat(gone))
    masks = {name: torch.from_numpy(mask) for name, mask in network.original_masks().items()}
    apply_masks(masked.weights, masks)
    torch.testing.assert_close(call(module, inputs), call(masked.module, inputs))
