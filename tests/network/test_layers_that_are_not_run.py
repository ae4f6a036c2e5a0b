"""Layers that the traced rows do not run go on working: they are run, or what feeds them stays."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import Tensor, nn

from skprune import PrunedClassifier, UntraceableError, prune
from skprune.network.dead_units import remove_dead_units
from skprune.network.network import Network
from skprune.network.verification import check_units
from tests.helpers import forward


class OnLargeValues(nn.Module):
    """Another head for rows with large values."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 8)
        self.head, self.other = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.a(x).relu()
        if x.abs().max() > 50:
            return self.other(hidden)
        return self.head(self.b(hidden).relu())


class OnManyRows(OnLargeValues):
    """Another head for batches that no trace is as large as."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.a(x).relu()
        return self.other(hidden) if len(x) > 100 else self.head(self.b(hidden).relu())


class Auxiliary(OnLargeValues):
    """An auxiliary head, which only training uses."""

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        hidden = self.a(x).relu()
        outputs = self.head(self.b(hidden).relu())
        return (outputs, self.other(hidden)) if self.training else outputs


class OtherStart(nn.Module):
    """The layer that is not run comes first, and feeds one that is."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.other = nn.Linear(6, 8), nn.Linear(6, 8)
        self.b, self.head = nn.Linear(8, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.other(x) if len(x) > 100 else self.a(x)
        return self.head(self.b(hidden.relu()).relu())


def lively(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return module.double().eval()


def groups_of(module: nn.Module) -> tuple[set[str], dict[str, str]]:
    network = Network(module, torch.randn(8, 6).double(), forward)
    coupling = check_units(network, network.trace())
    return set(coupling.groups), coupling.kept_whole


@pytest.mark.parametrize("kind", [OnLargeValues, Auxiliary])
def test_what_feeds_a_layer_that_runs_elsewhere_goes_with_it(kind: type[nn.Module]) -> None:
    groups, kept_whole = groups_of(lively(kind()))
    assert groups == {"a", "b"}
    assert set(kept_whole) == {"head", "other"}


@pytest.mark.parametrize(("kind", "left"), [(OnManyRows, set()), (OtherStart, {"b"})])
def test_what_may_feed_a_layer_that_never_runs_stays(kind: type[nn.Module], left: set[str]) -> None:
    groups, kept_whole = groups_of(lively(kind()))
    assert groups == left
    assert "'other'" in kept_whole["a"]
    assert "does not run" in kept_whole["a"] or "do not run" in kept_whole["a"]


@pytest.mark.parametrize("structure", ["unit", "weight"])
@pytest.mark.parametrize("kind", [OnLargeValues, Auxiliary, OtherStart])
def test_the_pruned_network_goes_on_working(kind: type[nn.Module], structure: str) -> None:
    module = lively(kind())
    x = torch.randn(8, 6).double().clamp(-2, 2)
    pruned = prune(module, x, structure=structure, sparsity=0.5 if structure == "unit" else 0.9)
    whole = deepcopy(module)
    for name, mask in pruned.masks.items():
        with torch.no_grad():
            whole.get_parameter(name).mul_(torch.from_numpy(mask))
            if structure == "unit":
                bias = name.removesuffix("weight") + "bias"
                whole.get_parameter(bias).mul_(torch.from_numpy(mask.any(1)))
    for rows in (x, 100 * x, torch.randn(120, 6).double()):
        torch.testing.assert_close(pruned.module(rows), whole(rows))
        ours, expected = pruned.module.train()(rows), whole.train()(rows)
        torch.testing.assert_close(ours, expected)
        pruned.module.eval(), whole.eval()


def test_nothing_but_what_feeds_it_is_an_error_that_names_the_layer() -> None:
    x = torch.randn(8, 6).double()
    with pytest.raises(UntraceableError, match=r"'other'.*rows that run it"):
        prune(lively(OnManyRows()), x, structure="unit", sparsity=0.5)


class AuxiliaryNet(NeuralNetClassifier):
    """Trains both heads."""

    def get_loss(self, y_pred, y_true, *args, **kwargs):  # type: ignore[no-untyped-def]
        outputs = y_pred if isinstance(y_pred, tuple) else (y_pred,)
        return sum(
            super(AuxiliaryNet, self).get_loss(output, y_true, *args, **kwargs)
            for output in outputs
        )


@pytest.mark.parametrize("structure", ["unit", "weight"])
def test_an_auxiliary_head_is_trained_on(structure: str) -> None:
    torch.manual_seed(0)
    X = np.random.default_rng(0).standard_normal((40, 6), dtype=np.float32)
    y = np.arange(40) % 3
    net = AuxiliaryNet(Auxiliary, criterion=nn.CrossEntropyLoss, max_epochs=1, verbose=0)
    estimator = PrunedClassifier(net, structure=structure, sparsity=0.6, fine_tune_epochs=1)
    estimator.fit(X, y).partial_fit(X, y)
    assert estimator.module_.other.in_features == estimator.module_.a.out_features


def test_layers_that_are_used_by_their_weight_alone_are_run() -> None:
    class ByWeight(OnLargeValues):
        def forward(self, x: Tensor) -> Tensor:
            hidden = nn.functional.linear(x, self.other.weight[:, :6])
            return self.head(self.b(self.a(x).relu()).relu()) + hidden

    assert groups_of(lively(ByWeight()))[0] == {"a", "b"}


def test_dead_units_that_feed_such_a_layer_stay() -> None:
    module = lively(OnManyRows())
    network = Network(module, torch.randn(8, 6).double(), forward)
    masks = {"b.weight": torch.ones(8, 8, dtype=torch.bool)}
    masks["b.weight"][:, :3] = False
    network.set_masks(masks)
    smaller = remove_dead_units(network)
    rows = torch.randn(120, 6).double()
    torch.testing.assert_close(smaller.module(rows), module(rows))
