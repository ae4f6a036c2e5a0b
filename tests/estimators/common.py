"""Small nets and small data that the tests of the estimators share."""

from typing import Any

import numpy as np
import torch
from sklearn.datasets import make_blobs
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import Tensor, nn

from skprune import PrunedClassifier, PrunedRegressor

ESTIMATORS = {"classifier": PrunedClassifier, "regressor": PrunedRegressor}


class Perceptron(nn.Module):
    """A user's own network: its sizes come from the data."""

    def __init__(self, n_features: int, n_outputs: int, hidden: int = 16) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_features, hidden)
        self.output = nn.Linear(hidden, n_outputs)

    def forward(self, X: Tensor) -> Tensor:
        return self.output(self.hidden(X).relu())


def classifier_net(module: Any = Perceptron, **options: Any) -> NeuralNetClassifier:
    return NeuralNetClassifier(module, **{"criterion": nn.CrossEntropyLoss, **_OPTIONS, **options})


def binary_net(module: Any = Perceptron, **options: Any) -> NeuralNetBinaryClassifier:
    return NeuralNetBinaryClassifier(module, **{**_OPTIONS, **options})


def labels_net(**options: Any) -> NeuralNetClassifier:
    return classifier_net(criterion=nn.BCEWithLogitsLoss, **options)


def regressor_net(module: Any = Perceptron, **options: Any) -> NeuralNetRegressor:
    return NeuralNetRegressor(module, **{**_OPTIONS, **options})


def net_for(kind: str, module: Any = Perceptron, **options: Any) -> NeuralNet:
    make = classifier_net if kind == "classifier" else regressor_net
    return make(module, **options)


_OPTIONS: dict[str, Any] = {
    "optimizer": torch.optim.Adam,
    "lr": 0.02,
    "batch_size": 16,
    "max_epochs": 5,
    "iterator_train__shuffle": True,
    "train_split": None,
    "verbose": 0,
}


def blobs(n_classes: int = 3, n_rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Classes that a network tells apart after a few epochs, of about equal size."""
    X, y = make_blobs(n_rows, n_features=4, centers=n_classes, cluster_std=2.0, random_state=0)
    return (X - X.mean(0)) / X.std(0), y


def data_for(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and targets for one of ESTIMATORS."""
    X, y = blobs()
    return (X, y) if kind == "classifier" else (X, X @ np.array([1.0, -1.0, 0.5, 0.0]))


def outputs(estimator: Any, X: Any) -> np.ndarray:
    """Probabilities of a classifier, predictions of a regressor."""
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def assert_equal_fits(one: Any, other: Any, X: Any, **tolerance: float) -> None:
    """Two fits kept the same weights, and predict the same up to a tolerance (default: exactly)."""
    assert one.masks_.keys() == other.masks_.keys()
    for name, mask in one.masks_.items():
        np.testing.assert_array_equal(mask, other.masks_[name])
    np.testing.assert_allclose(outputs(one, X), outputs(other, X), **{"rtol": 0, **tolerance})
