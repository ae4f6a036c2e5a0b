"""What pruning took from each layer, and which weights of a layer are left."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from skprune import PrunedClassifier, PrunedRegressor
from skprune.inspection import LayerSparsityDisplay, MaskDisplay
from skprune.network import MLP
from tests.inspection.common import STYLES, assert_readable

QUANTITIES = ["weights", "units", "parameters", "macs", "bytes"]


class Mixed(nn.Module):
    """An embedding, convolutions one of which is transposed, and a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.wide = nn.ConvTranspose1d(3, 4, 2)
        self.narrow = nn.Conv1d(4, 6, 3)
        self.rnn = nn.GRU(6, 7, batch_first=True)
        self.output = nn.Linear(7, 2)

    def forward(self, X):
        hidden = self.narrow(self.wide(self.embedding(X).transpose(1, 2)))
        return self.output(self.rnn(hidden.transpose(1, 2))[0][:, -1])


class Bare(nn.Module):
    """A weight of the network itself, beside a layer."""

    def __init__(self):
        super().__init__()
        self.mixing = nn.Parameter(torch.randn(12, 6))
        self.output = nn.Linear(6, 2)

    def forward(self, X):
        return self.output(torch.relu(X @ self.mixing))


def make_fitted(module, X, **params):
    net = NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        max_epochs=1,
        train_split=None,
        verbose=0,
    )
    y = np.arange(len(X)) % 2
    return PrunedClassifier(net, fine_tune_epochs=0, random_state=0, **params).fit(X, y)


@pytest.fixture(scope="module")
def mlp():
    X = np.random.default_rng(0).standard_normal((40, 12)).astype(np.float32)
    return make_fitted(MLP(12, 2, hidden_layer_sizes=(20, 10)), X, sparsity=0.9)


@pytest.fixture(scope="module")
def mixed():
    X = np.random.default_rng(0).integers(0, 5, (40, 9))
    return make_fitted(Mixed, X, sparsity=0.5)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_bars_are_what_is_gone(mlp, quantity, style):
    with plt.style.context(style):
        display = LayerSparsityDisplay.from_estimator(mlp, quantity=quantity)
        assert_readable(display)
    before = [getattr(size, quantity) for size in mlp.report_.before.values()]
    after = [getattr(size, quantity) for size in mlp.report_.after.values()]
    gone = np.array([bar.get_width() for bar in display.bars_])
    if display.dead_bars_ is not None:
        np.testing.assert_allclose([bar.get_x() for bar in display.dead_bars_], gone)
        gone += [bar.get_width() for bar in display.dead_bars_]
    np.testing.assert_allclose(gone, 1 - np.array(after) / before)
    np.testing.assert_allclose(display.total_line_.get_xdata(), 1 - sum(after) / sum(before))
    (right,) = display.ax_.child_axes
    assert [label.get_text() for label in right.get_yticklabels()] == [
        f"{a:,} of {b:,}" for a, b in zip(after, before, strict=True)
    ]
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == ["hidden0", "hidden1", "output"]
    assert display.ax_.yaxis_inverted()  # the input is at the top


def test_weights_of_dead_units_are_told_apart(mlp):
    display = LayerSparsityDisplay.from_estimator(mlp)
    for bar, (name, mask) in zip(display.bars_, mlp.masks_.items(), strict=True):
        assert bar.get_width() == pytest.approx(1 - mask.mean()), name
    dead = sum(mask.sum() for mask in mlp.masks_.values()) - mlp.report_.total_after.weights
    assert dead > 0
    drawn = [
        bar.get_width() * mask.size
        for bar, mask in zip(display.dead_bars_, mlp.masks_.values(), strict=True)
    ]
    assert sum(drawn) == pytest.approx(dead)


def test_layers_with_several_weights_and_with_none(mixed):
    display = LayerSparsityDisplay.from_estimator(mixed)
    assert list(display.before) == ["embedding", "wide", "narrow", "rnn", "output"]
    assert display.kept["rnn"] == sum(
        mask.sum() for name, mask in mixed.masks_.items() if name.startswith("rnn.")
    )
    assert display.before["rnn"] == 3 * 7 * 6 + 3 * 7 * 7
    assert sum(display.kept.values()) == sum(mask.sum() for mask in mixed.masks_.values())


def test_a_weight_of_the_network_itself():
    X = np.random.default_rng(0).standard_normal((40, 12)).astype(np.float32)
    fitted = make_fitted(Bare, X, sparsity=0.5)
    display = LayerSparsityDisplay.from_estimator(fitted)
    assert display.kept == {
        "": fitted.masks_["mixing"].sum(),
        "output": fitted.masks_["output.weight"].sum(),
    }
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == ["(network)", "output"]
    drawn = MaskDisplay.from_estimator(fitted, "mixing").image_.get_array()
    np.testing.assert_array_equal(drawn, fitted.masks_["mixing"])


def test_a_regressor_in_a_pipeline_on_given_axes():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    model = make_pipeline(StandardScaler(), PrunedRegressor(sparsity=0.5, random_state=0))
    ax = plt.subplots()[1]
    display = LayerSparsityDisplay.from_estimator(model.fit(X, y), ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    ax = plt.subplots()[1]
    assert MaskDisplay.from_estimator(model, "hidden0", ax=ax).ax_ is ax


def test_deep_networks_have_high_pictures():
    before = {f"block{i}.conv{j}": 1000 for i in range(20) for j in range(2)}
    display = LayerSparsityDisplay(before=before, after=dict.fromkeys(before, 10)).plot()
    assert_readable(display)


@pytest.mark.parametrize("style", STYLES)
def test_the_connectivity_of_a_layer(mlp, style):
    with plt.style.context(style):
        display = MaskDisplay.from_estimator(mlp, "hidden1")
        assert_readable(display)
        kept, gone = display.image_.cmap(1.0), display.image_.cmap(0.0)
        assert gone == display.ax_.get_facecolor()
        assert kept != gone
    mask = mlp.masks_["hidden1.weight"]
    np.testing.assert_array_equal(display.image_.get_array(), mask)
    assert display.image_.get_clim() == (0, 1)
    assert display.colorbar_ is None
    assert display.ax_.get_title() == f"hidden1: {mask.sum()} of 200 weights kept"
    same = MaskDisplay.from_estimator(mlp, "hidden1.weight")
    np.testing.assert_array_equal(same.mask, mask)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2), [4, 3]])
def test_the_inputs_as_an_image(mlp, shape, style):
    with plt.style.context(style):
        display = MaskDisplay.from_estimator(mlp, "hidden0", image_shape=shape)
        assert_readable(display)
    mask = mlp.masks_["hidden0.weight"]
    *_, height, width = shape
    expected = np.zeros((height, width), dtype=int)
    for feature in range(12):
        row, column = divmod(feature % (height * width), width)
        expected[row, column] += sum(mask[unit, feature] for unit in range(20))
    np.testing.assert_array_equal(display.image_.get_array(), expected)
    assert display.ax_.get_aspect() == 1
    assert display.colorbar_.ax.get_ylabel() == "Weights kept for each pixel"


@pytest.mark.parametrize(
    ("layer", "transposed", "kernel"),
    [
        ("embedding", True, 1),
        ("wide", True, 2),
        ("narrow", False, 3),
        ("rnn.weight_ih_l0", False, 1),
        ("output", False, 1),
    ],
)
def test_outputs_are_rows_in_every_kind_of_layer(mixed, layer, transposed, kernel):
    display = MaskDisplay.from_estimator(mixed, layer)
    mask = mixed.masks_.get(f"{layer}.weight", mixed.masks_.get(layer))
    counts = mask.reshape(*mask.shape[:2], -1).sum(axis=2)
    drawn = display.image_.get_array()
    np.testing.assert_array_equal(drawn, counts.T if transposed else counts)
    assert display.image_.get_clim() == (0, kernel)
    assert (display.colorbar_ is None) == (kernel == 1)


@pytest.mark.parametrize("shape", [(5, 3), (12,), (3, 2, 2, 1), (-3, -4)])
def test_images_that_do_not_fit(mlp, shape):
    with pytest.raises(ValueError, match=r"image_shape=\(.*\) does not fit the layer's 12 inputs"):
        MaskDisplay.from_estimator(mlp, "hidden0", image_shape=shape)
    assert plt.get_fignums() == []


def test_what_is_unknown_is_named(mlp):
    with pytest.raises(
        ValueError, match=r"no layer 'hiden1' with weights. Did you mean 'hidden1'\? Its layers: 'h"
    ):
        MaskDisplay.from_estimator(mlp, "hiden1")
    with pytest.raises(ValueError, match=r"Unknown quantity 'mac'. Did you mean 'macs'\?"):
        LayerSparsityDisplay.from_estimator(mlp, quantity="mac")


@pytest.mark.parametrize(
    "draw", [LayerSparsityDisplay.from_estimator, lambda e: MaskDisplay.from_estimator(e, "a")]
)
def test_estimators_that_are_not_pruned(draw):
    with pytest.raises(NotFittedError):
        draw(PrunedClassifier())
    with pytest.raises(NotFittedError):
        draw(make_pipeline(StandardScaler(), PrunedClassifier()))
    fitted = LogisticRegression().fit(torch.eye(2).numpy(), [0, 1])
    with pytest.raises(TypeError, match="LogisticRegression is no fitted pruned estimator"):
        draw(fitted)
