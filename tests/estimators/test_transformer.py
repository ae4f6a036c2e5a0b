"""What layers inside a pruned network put out."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import Tensor, nn

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    PrunedFeatureSelector,
    PrunedRegressor,
    PrunedTransformer,
)
from skprune._sklearn import InvalidParameterError
from tests.estimators.common import blobs, classifier_net, data_for


def pruned(kind: str = "classifier", **params: Any) -> Any:
    estimator = PrunedClassifier if kind == "classifier" else PrunedRegressor
    params = {"estimator__max_epochs": 15, "structure": "unit", **params}
    return estimator(random_state=0).set_params(**params)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_the_penultimate_layer_is_what_the_output_layer_is_given(kind: str) -> None:
    X, y = data_for(kind)
    transformer = PrunedTransformer(pruned(kind)).fit(X, y)
    module = transformer.estimator_.module_
    with torch.no_grad():
        expected = module.hidden0(torch.from_numpy(X)).relu().numpy()
    np.testing.assert_array_equal(transformer.transform(X), expected)
    assert expected.shape[1] == transformer.n_features_out_ == 20  # of 100, of which 80 % went
    assert transformer.get_feature_names_out()[3] == "penultimate_3"
    assert transformer.layer_ == "output"


def test_a_layer_by_its_name() -> None:
    X, y = blobs()
    transformer = PrunedTransformer(pruned(), layer="hidden0").fit(X, y)
    module = transformer.estimator_.module_
    expected = module.hidden0(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_array_equal(transformer.transform(X), expected)
    assert (expected < 0).any()  # before the activation function
    assert list(transformer.get_feature_names_out()[:2]) == ["hidden0_0", "hidden0_1"]
    with pytest.raises(InvalidParameterError, match=r"no layer of the network\. Did you mean 'hid"):
        PrunedTransformer(pruned(), layer="hiden0").fit(X, y)


class OfImages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 2)
        self.unused = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))


class OfSeries(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 5, 3, padding=1)
        self.act = nn.ReLU()
        self.rnn = nn.LSTM(5, 6, batch_first=True)
        self.hidden = nn.Linear(6, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        states = self.rnn(self.act(self.conv(x)).movedim(1, 2))[0]
        return self.head(self.hidden(states).relu().mean(1))


def images() -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(40, 2, 5, 6)).astype(np.float32)
    return X, (X.mean((1, 2, 3)) > 0).astype(int)


def series() -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(40, 4, 7)).astype(np.float32)
    return X, (X.mean((1, 2)) > 0).astype(int)


def captured(module: nn.Module, name: str, X: np.ndarray) -> Tensor:
    """What a layer puts out, by a hook of the test's own."""
    found = []
    handle = module.get_submodule(name).register_forward_hook(
        lambda _, args, output: found.append(output[0] if isinstance(output, tuple) else output)
    )
    with torch.no_grad():
        module.eval()(torch.from_numpy(X))
    handle.remove()
    return found[0]


@pytest.mark.parametrize(
    ("module", "layer", "positions"),
    [
        (OfImages, "conv", (2, 3)),
        (OfImages, "norm", (2, 3)),
        (OfSeries, "conv", (2,)),
        (OfSeries, "act", (2,)),
        (OfSeries, "rnn", (1,)),
        (OfSeries, "hidden", (1,)),
    ],
)
def test_positions_become_one_row(
    module: type[nn.Module], layer: str, positions: tuple[int, ...]
) -> None:
    X, y = images() if module is OfImages else series()
    estimator = PrunedClassifier(
        classifier_net(module, max_epochs=2), structure="unit", sparsity=0.3, random_state=0
    ).fit(X, y)
    output = captured(estimator.module_, layer, X)
    expected = {
        "mean": output.mean(positions),
        "max": output.amax(positions),
        "flatten": output.flatten(1),
    }
    for pool, values in expected.items():
        transformer = PrunedTransformer(FrozenEstimator(estimator), layer, pool=pool).fit(X, y)
        np.testing.assert_allclose(transformer.transform(X), values.numpy(), atol=1e-6)
        assert len(transformer.get_feature_names_out()) == values.shape[1]


def test_layers_that_are_not_run_are_an_error() -> None:
    X, y = images()
    net = classifier_net(OfImages, max_epochs=1)
    estimator = PrunedClassifier(net, sparsity=0.3, random_state=0)
    with pytest.raises(InvalidParameterError, match="layer='unused' is not run by the network"):
        PrunedTransformer(estimator, "unused").fit(X, y)


def test_a_frozen_estimator_is_not_fitted_again() -> None:
    X, y = blobs()
    fitted = pruned().fit(X, y)
    transformer = PrunedTransformer(FrozenEstimator(fitted)).fit(X, y)
    same = PrunedTransformer(pruned()).fit(X, y)
    np.testing.assert_array_equal(transformer.transform(X), same.transform(X))
    assert transformer.estimator_.estimator is fitted


@pytest.mark.parametrize(
    "estimator",
    [
        PrunedClassifierCV(sparsities=[0.5], cv=2, random_state=0),
        PrunedFeatureSelector(n_features_to_select=2, random_state=0),
    ],
)
def test_other_estimators_with_a_pruned_network(estimator: Any) -> None:
    X, y = blobs()
    transformer = PrunedTransformer(estimator.set_params(estimator__max_epochs=5)).fit(X, y)
    assert transformer.transform(X).shape == (60, transformer.n_features_out_)


def test_an_estimator_without_a_pruned_network_is_an_error() -> None:
    X, y = blobs()
    with pytest.raises(
        InvalidParameterError, match=r"one of skprune's .* got a LogisticRegression"
    ):
        PrunedTransformer(LogisticRegression()).fit(X, y)


def test_in_a_pipeline_with_data_frames_and_weights() -> None:
    X, y = blobs()
    frame = pd.DataFrame(X, columns=list("abcd"))
    transformer = PrunedTransformer(pruned()).set_output(transform="pandas")
    model = make_pipeline(transformer, LogisticRegression()).fit(frame, y)
    assert model.score(frame, y) > 0.9
    assert list(transformer.feature_names_in_) == list("abcd")
    assert list(transformer.transform(frame)) == list(transformer.get_feature_names_out())
    weighted = PrunedTransformer(pruned()).fit(X, y, sample_weight=np.arange(60.0))
    plain = pruned().fit(X, y, sample_weight=np.arange(60.0))
    np.testing.assert_array_equal(weighted.estimator_.predict_proba(X), plain.predict_proba(X))
    loaded = pickle.loads(pickle.dumps(weighted))
    np.testing.assert_array_equal(loaded.transform(X), weighted.transform(X))
    with pytest.raises(ValueError, match="X has 3 features, but PrunedTransformer is expecting 4"):
        loaded.transform(X[:, :3])
