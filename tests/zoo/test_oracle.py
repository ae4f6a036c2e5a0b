"""The oracle sees what is wrong."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from skprune import prune
from tests.zoo import outcome
from tests.zoo.outcome import outcome_of
from tests.zoo.row import Row, floats
from tests.zoo.tabular import layer_normed, perceptron
from tests.zoo.vision import resnet_group_norm

ROW = Row("mlp", layer_normed, floats(6), {"neuron": 10 + 8})


def with_mistake(monkeypatch: pytest.MonkeyPatch, mistake: Callable[[Any], Any]) -> None:
    def wrong(*args: Any, **options: Any) -> Any:
        return mistake(prune(*args, **options))

    monkeypatch.setattr(outcome, "prune", wrong)


def test_what_is_right_is_right() -> None:
    assert outcome_of(ROW).what == "all"
    assert outcome_of(replace(ROW, units={"neuron": 19})).what == "some"
    assert outcome_of(replace(ROW, units={"neuron": 17})).what == "miscounted"


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "1.weight", "1.bias", "6.weight", "6.bias"])
def test_a_number_that_is_a_little_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def shift(pruned: Any) -> Any:
        with torch.no_grad():
            pruned.module.get_parameter(name).mul_(1 + 1e-6)
        return pruned

    with_mistake(monkeypatch, shift)
    assert outcome_of(ROW).what == "wrong"


def test_units_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def turn(pruned: Any) -> Any:
        with torch.no_grad():
            weight = pruned.module[6].weight
            weight.copy_(weight.flip(1))
        return pruned

    with_mistake(monkeypatch, turn)
    assert outcome_of(ROW).what == "wrong"


def test_a_norm_over_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def pad(pruned: Any) -> Any:
        norm, n = pruned.module[1], 10

        def forward(x: torch.Tensor) -> torch.Tensor:
            padded = nn.functional.pad(x, (0, n - x.shape[1]))
            out = nn.functional.layer_norm(padded, [n])[:, : x.shape[1]]
            return out * norm.weight + norm.bias

        norm.forward = forward
        return pruned

    with_mistake(monkeypatch, pad)
    assert outcome_of(ROW).what == "wrong"


def test_masks_that_say_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def lie(pruned: Any) -> Any:
        masks = {name: np.roll(mask, 1, axis=0) for name, mask in pruned.masks.items()}
        return SimpleNamespace(module=pruned.module, kept=pruned.kept, masks=masks)

    with_mistake(monkeypatch, lie)
    assert outcome_of(replace(ROW, build=lambda: perceptron(lambda _: nn.ReLU()))).what == "wrong"


def test_a_network_that_keeps_its_units(monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(pruned: Any) -> Any:
        kept = {name: np.ones_like(mask) for name, mask in pruned.kept.items()}
        return SimpleNamespace(module=pruned.module, kept=kept, masks=pruned.masks)

    with_mistake(monkeypatch, whole)
    assert outcome_of(ROW).what == "wrong"


def test_group_norms_over_the_rest() -> None:
    image = floats(3, 8, 8)
    row = Row("resnet", resnet_group_norm, image, {"channel": 4 + 4 + 6 + 6})
    assert outcome_of(row).what == "all"
