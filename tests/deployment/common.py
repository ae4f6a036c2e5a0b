"""Fitted estimators of every kind that can be deployed, each with rows for it."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import Tensor, nn

from skprune import PrunedClassifier, PrunedRegressor
from skprune.network import MLP

RNG = np.random.default_rng(0)
X = RNG.standard_normal((80, 6)).astype(np.float32)
CLASSES = X[:, :3].argmax(1)
NAMES = np.array(["ant", "bee", "cat"])
OPTIONS: dict[str, Any] = {"max_epochs": 2, "train_split": None, "verbose": 0, "lr": 0.1}
PRUNED: dict[str, Any] = {"sparsity": 0.6, "random_state": 0}


class Sides(nn.Module):
    """Takes a mapping of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(6, 16), nn.Linear(16, 3)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.output(self.hidden(torch.cat((left, right), 1)).relu())


def default_classifier(**params: Any) -> PrunedClassifier:
    return PrunedClassifier(**{**PRUNED, **params}).set_params(estimator__max_epochs=2)


def _net(n_outputs: int, kind: type = NeuralNetClassifier, **options: Any) -> Any:
    options = {"module__n_features": 6, "module__n_outputs": n_outputs, **OPTIONS, **options}
    return kind(MLP, module__hidden_layer_sizes=(20, 10), **options)


def _classes() -> tuple[Any, Any]:
    net = _net(3, criterion=nn.CrossEntropyLoss)
    return PrunedClassifier(net, **PRUNED).fit(X, CLASSES), X


def _strings() -> tuple[Any, Any]:
    return default_classifier(structure="unit").fit(X.astype(float), NAMES[CLASSES]), X


def _two_classes() -> tuple[Any, Any]:
    net = _net(1, NeuralNetBinaryClassifier)
    return PrunedClassifier(net, structure="unit", **PRUNED).fit(
        X, NAMES[(CLASSES > 0).astype(int)]
    ), X


def _labels() -> tuple[Any, Any]:
    net = _net(3, criterion=nn.BCEWithLogitsLoss)
    return PrunedClassifier(net, **PRUNED).fit(X, (X[:, :3] > 0).astype(int)), X


def _values() -> tuple[Any, Any]:
    net = _net(1, NeuralNetRegressor)
    return PrunedRegressor(net, structure="unit", **PRUNED).fit(X, X.sum(1)), X


def _several_values() -> tuple[Any, Any]:
    regressor = PrunedRegressor(**PRUNED).set_params(estimator__max_epochs=2)
    return regressor.fit(X.astype(float), 50 + 9 * X[:, :2].astype(float)), X


def _frame() -> tuple[Any, Any]:
    frame = pd.DataFrame(X, columns=list("abcdef"))
    return default_classifier().fit(frame, CLASSES), frame


def _pipeline() -> tuple[Any, Any]:
    frame = pd.DataFrame(100 + 5 * X, columns=list("abcdef"))
    return make_pipeline(StandardScaler(), default_classifier()).fit(frame, NAMES[CLASSES]), frame


def _mapping() -> tuple[Any, Any]:
    net = NeuralNetClassifier(Sides, criterion=nn.CrossEntropyLoss, **OPTIONS)
    rows = {"left": X[:, :2], "right": X[:, 2:]}
    return PrunedClassifier(net, **PRUNED).fit(rows, CLASSES), rows


_MAKERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "classes": _classes,
    "strings": _strings,
    "two classes": _two_classes,
    "labels": _labels,
    "values": _values,
    "several values": _several_values,
    "frame": _frame,
    "pipeline": _pipeline,
    "mapping": _mapping,
}
KINDS = list(_MAKERS)


@cache
def fitted(kind: str) -> tuple[Any, Any]:
    """An estimator, and rows for it; the same for all tests, which leave them as they are."""
    return _MAKERS[kind]()


def first_rows(rows: Any, n_rows: int) -> Any:
    if isinstance(rows, dict):
        return {key: part[:n_rows] for key, part in rows.items()}
    return rows.iloc[:n_rows] if hasattr(rows, "iloc") else rows[:n_rows]


def methods_of(estimator: Any) -> list[str]:
    names = ("predict", "predict_proba", "decision_function")
    return [name for name in names if hasattr(estimator, name)]
