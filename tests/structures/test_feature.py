"""Features of the input: what reads them, and that nothing else does."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from skprune import PrunedClassifier, Strategy, UntraceableError
from skprune.network.network import Network
from skprune.structures import Elements, Feature
from tests.helpers import (
    ESTIMATORS,
    forward,
    make_data,
    make_net,
    raw_outputs,
    run_loop,
    snapshot,
)
from tests.networks import N_OUTPUTS, NETWORKS, Example, Recurrent


def elements_of(
    module: nn.Module, shape: tuple[int, ...] = (6,), protected: tuple[str, ...] = ()
) -> Elements:
    inputs = torch.from_numpy(Example(nn.Identity, shape).inputs(8))
    return Feature().elements(Network(module.eval(), inputs, forward), protected)


class Branches(nn.Module):
    """Two layers read the input, one of them behind what works on each column by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.left = nn.Linear(6, 4)
        self.right = nn.Linear(6, 3)
        self.output = nn.Linear(7, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        left = self.left(nn.functional.dropout(self.norm(x), 0.5, self.training))
        return self.output(torch.cat([left, self.right(x)], 1).relu())


class Flattened(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(12, 6)
        self.output = nn.Linear(6, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x.flatten(1)).relu())


class GroupsOfChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 2, groups=2)
        self.head = nn.Linear(6, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu().mean((2, 3)))


class Upward(GroupsOfChannels):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(4, 6, 2)


class States(Recurrent):
    """Reads the input by a recurrent layer, in both directions."""

    def __init__(self) -> None:
        super().__init__(nn.LSTM, bidirectional=True)
        self.embed = nn.Identity()
        self.rnn = nn.LSTM(5, 6, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(self.rnn(x)[0].mean(1)).relu())


# A network; the layer that its features go by; how many there are, along which axis of X; and the
# weights that read them, each with the dimension of its inputs. No axis: X is read flattened.
READERS = {
    "mlp": (NETWORKS["mlp"], "hidden0", 6, 1, {"hidden0.weight": 1}),
    "convolution": (NETWORKS["residual"], "stem", 2, 1, {"stem.weight": 1}),
    "steps": (NETWORKS["transformer"], "embed", 4, 2, {"embed.weight": 1}),
    "branches": (Example(Branches, (6,)), "left", 6, 1, {"left.weight": 1, "right.weight": 1}),
    "flattened": (Example(Flattened, (3, 4)), "hidden", 12, None, {"hidden.weight": 1}),
    "transposed": (Example(Upward, (4, 3, 3)), "conv", 4, 1, {"conv.weight": 0}),
    "recurrent": (
        Example(States, (5, 5)),
        "rnn.weight_ih_l0",
        5,
        2,
        {"rnn.weight_ih_l0": 1, "rnn.weight_ih_l0_reverse": 1},
    ),
}
every_reader = pytest.mark.parametrize(
    ("example", "layer", "n_features", "axis", "dims"), READERS.values(), ids=READERS
)


@every_reader
def test_a_feature_goes_with_all_that_reads_it(
    example: Example, layer: str, n_features: int, axis: int | None, dims: dict[str, int]
) -> None:
    module = example.build()
    elements = elements_of(module, example.shape)
    assert elements.sizes == {layer: n_features}
    weights = dict(module.named_parameters())
    assert elements.shapes == {layer: tuple(weights[next(iter(dims))].shape)}
    scores = {name: torch.rand(weight.shape) for name, weight in weights.items()}
    total = elements.sum_by_element(scores)[layer]
    for i in range(n_features):
        expected = sum(float(scores[name].select(dim, i).sum()) for name, dim in dims.items())
        assert float(total[i]) == pytest.approx(expected, rel=1e-6)
    before = snapshot(module)
    elements.keep({layer: torch.arange(n_features) % 2 == 0})
    for name, weight in weights.items():
        expected = before[name].clone()
        if name in dims:
            expected.index_fill_(dims[name], torch.arange(1, n_features, 2), 0.0)
        assert torch.equal(weight, expected), name


def test_a_layer_behind_another_does_not_read_the_input_though_it_is_as_wide() -> None:
    module = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, N_OUTPUTS))
    elements = elements_of(module)
    assert elements.coupled_to == {}
    elements.keep({"0": torch.arange(6) < 3})
    assert elements.network.masks.keys() == {"0.weight"}


def test_groups_of_a_convolution_read_channels_of_their_own() -> None:
    module = GroupsOfChannels()
    elements = elements_of(module, (4, 3, 3))
    total = elements.sum_by_element({"conv.weight": module.conv.weight.detach()})["conv"]
    weight = module.conv.weight.detach()
    torch.testing.assert_close(
        total.float(),
        torch.stack(
            [weight[:3, 0].sum(), weight[:3, 1].sum(), weight[3:, 0].sum(), weight[3:, 1].sum()]
        ),
    )


def test_layers_that_read_the_input_together_are_aliases() -> None:
    assert elements_of(Branches()).coupled_to == {"right": "left"}


@every_reader
@pytest.mark.parametrize("kind", ["PrunedClassifier", "PrunedRegressor"])
def test_predictions_do_not_change_when_a_removed_feature_is_scrambled(
    kind: str,
    example: Example,
    layer: str,
    n_features: int,
    axis: int | None,
    dims: dict[str, int],
) -> None:
    X, y = make_data(kind, example)
    estimator = ESTIMATORS[kind](
        make_net(kind, example.module),
        structure="feature",
        sparsity=0.5,
        strategy=Strategy(schedule="cubic"),
        fine_tune_epochs=4,
        random_state=0,
    ).fit(X, y)
    name, dim = next(iter(dims.items()))
    kept = np.moveaxis(estimator.masks_[name], dim, 0).reshape(n_features, -1)
    assert (kept.any(1) == kept.all(1)).all()
    assert kept.all(1).sum() == n_features - int(n_features / 2 + 0.5)
    expected = raw_outputs(kind, estimator, X)
    rng = np.random.default_rng(0)
    columns = X.reshape(len(X), -1) if axis is None else X
    for i in range(n_features):
        scrambled = columns.copy()
        place = (slice(None),) * (axis or 1) + (i,)
        scrambled[place] = rng.normal(3.0, 5.0, size=scrambled[place].shape)
        outputs = raw_outputs(kind, estimator, scrambled.reshape(X.shape))
        assert np.allclose(outputs, expected, atol=1e-6) == (not kept[i].any())


def test_a_pruned_classifier_finds_the_features_that_matter() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 12))
    y = (X[:, 3] + X[:, 8] > 0).astype(int)
    pruned = PrunedClassifier(structure="feature", sparsity=10 / 12, random_state=0).fit(X, y)
    assert np.flatnonzero(pruned.masks_["hidden0.weight"].any(0)).tolist() == [3, 8]


def test_the_report_counts_the_weights_that_are_left() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    pruned = PrunedClassifier(structure="feature", sparsity=0.8, random_state=0).fit(X, y)
    before, after = pruned.report_.before["hidden0"], pruned.report_.after["hidden0"]
    assert (before.weights, after.weights) == (100 * 30, 100 * 6)
    assert after.macs == 100 * 6
    assert pruned.sparsity_ == 1 - 6 / 30
    assert pruned.n_features_in_ == 30
    assert pruned.score(X, y) > 0.9


def test_one_feature_of_one_cannot_go() -> None:
    example = NETWORKS["conv3d"]
    with pytest.raises(ValueError, match="would be emptied"):
        run_loop(example.build(), example, "magnitude", "feature", 0.5)


# Networks that use their input in another way.


class Skip(nn.Module):
    def __init__(self, *, weight: float = 1.0) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 6)
        self.output = nn.Linear(6, N_OUTPUTS, bias=False)
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x).relu()) + self.weight * x[:, :N_OUTPUTS]


class Gated(nn.Module):
    """With all features gone the output is constant, with some of them gone it is not."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 6, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.hidden(x)[:, :3] * x.sum(1, keepdim=True)


class Bare(nn.Module):
    """Reads the input by a product that is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4))
        self.output = nn.Linear(4, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.output((x @ self.weight).relu())


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.output = nn.Linear(6, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.norm(x))


class Codes(nn.Module):
    """Looks real numbers up in a table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 4)
        self.hidden = nn.Linear(6, 4)
        self.output = nn.Linear(4, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x) + self.table((x[:, 0] > 0).long()))


class AsImage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 2)
        self.output = nn.Linear(2, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.conv(x.view(len(x), 1, 2, 3)).mean((2, 3)))


ANOTHER_WAY = r"cannot be removed: with the weights at zero that read a feature, the output still"


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Skip(), ANOTHER_WAY),
        (Skip(weight=0.0), ANOTHER_WAY),  # the path is closed only until it is trained
        (Gated(), ANOTHER_WAY),
        (Mixed(), ANOTHER_WAY),
        (Codes(), ANOTHER_WAY),
        (Bare(), "No layer of Bare is given its input as it is"),
        (AsImage(), "No layer of AsImage is given its input as it is"),
    ],
)
def test_features_that_are_used_in_another_way_are_an_error(
    module: nn.Module, message: str
) -> None:
    with pytest.raises(UntraceableError, match=message):
        elements_of(module)


def test_a_network_that_fails_on_disturbed_inputs_is_an_error() -> None:
    class Strict(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if not (x.frac() == 0).all():
                raise RuntimeError("whole numbers only")
            return super().forward(x)

    network = Network(Strict(4, 3), torch.ones(2, 4), forward)
    with pytest.raises(UntraceableError, match="fails on disturbed inputs: whole numbers only"):
        Feature().elements(network, ())


def test_tokens_and_mappings_have_no_features() -> None:
    example = NETWORKS["embedding"]
    with pytest.raises(UntraceableError, match=r"Embedded reads torch\.int64 codes, and only"):
        run_loop(example.build(), example, "magnitude", "feature", 0.5)

    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.output = nn.Linear(6, N_OUTPUTS)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.output(torch.cat([a, b], 1))

    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    net = make_net("PrunedClassifier", ByName)
    with pytest.raises(UntraceableError, match="ByName reads several inputs by name, and only the"):
        PrunedClassifier(net, structure="feature").fit({"a": X[:, :2], "b": X[:, 2:]}, y)


@pytest.mark.parametrize("protect", [["hidden0"], ["hidden0.weight"]])
def test_a_protected_layer_keeps_its_features(protect: list[str]) -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    net: Any = make_net("PrunedClassifier", NETWORKS["mlp"].module)
    with pytest.raises(ValueError, match="No feature can be removed while layer 'hidden0', which"):
        PrunedClassifier(net, structure="feature", protect=protect).fit(X, y)


def test_the_network_stays_as_it_is() -> None:
    module = Branches().eval()
    before = snapshot(module)
    state = torch.get_rng_state()
    elements_of(module)
    assert torch.equal(state, torch.get_rng_state())
    after = snapshot(module)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not module._forward_pre_hooks
    assert not module.left._forward_pre_hooks
