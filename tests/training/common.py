"""What the tests of training share: data, nets, and what has to hold after every fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from skprune import PrunedClassifier, Strategy
from skprune.estimators.base import BasePruned
from tests.helpers import same_state, snapshot
from tests.networks import Perceptron

N_ROWS = 60
DENSE = "training the dense network"
FINE_TUNING = "fine-tuning"

# Three quarters of the weights of a Perceptron go, or 8 of its 16 units.
CASES = {
    "weight": {"structure": "weight", "sparsity": 0.75, "schedule": "iterative"},
    "unit": {"structure": "unit", "sparsity": 0.5, "schedule": "cubic"},
}


def make_data(n_rows: int = N_ROWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that a line tells apart."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, 6), dtype=np.float32)
    return X, (X @ rng.standard_normal((6, 3))).argmax(1)


def make_net(
    cls: type[NeuralNet] = NeuralNetClassifier, module: Any = Perceptron, **parameters: Any
) -> NeuralNet:
    """A net whose optimizer has momentum, which would bring a masked weight back to life."""
    defaults = {
        "lr": 0.05,
        "max_epochs": 3,
        "batch_size": 16,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
    }
    if issubclass(cls, NeuralNetClassifier):
        defaults["criterion"] = nn.CrossEntropyLoss
    if "optimizer" not in parameters:
        defaults |= {"optimizer__momentum": 0.9, "optimizer__weight_decay": 1e-3}
    return cls(module, **{**defaults, **parameters})


def pruned(
    net: NeuralNet,
    case: str = "weight",
    cls: type[BasePruned] = PrunedClassifier,
    start: str = "trained",
    **parameters: Any,
) -> BasePruned:
    """An estimator that prunes in three steps, and has four epochs of fine-tuning."""
    settings = {"fine_tune_epochs": 4, "random_state": 0, **CASES[case], **parameters}
    strategy = Strategy(schedule=settings.pop("schedule"), start=start)
    return cls(net, strategy=strategy.set_params(schedule__n_steps=3), **settings)


def assert_pruned(estimator: BasePruned, case: str = "weight") -> None:
    """Exactly so much of a Perceptron is gone, and is zero where it is only masked."""
    weights = {name: p for name, p in estimator.module_.named_parameters() if p.dim() == 2}
    if case == "weight":
        total = sum(mask.size for mask in estimator.masks_.values())
        assert estimator.sparsity_ == 0.75
        assert sum(int(mask.sum()) for mask in estimator.masks_.values()) * 4 == total
        assert 0 < sum(int(weight.count_nonzero()) for weight in weights.values()) <= total / 4
        assert estimator._masks.keys() == weights.keys()
    else:
        assert estimator.sparsity_ == 0.5
        assert len(weights["hidden0.weight"]) + len(weights["hidden1.weight"]) == 8
    for name, mask in estimator._masks.items():
        assert not weights[name][~mask].any(), name


def assert_one_history(estimator: BasePruned, n_dense: int = 3, n_fine_tuning: int = 4) -> None:
    """The epochs of all stages in a row, each with the stage that it belongs to."""
    rows = list(estimator.history_)
    assert [row["epoch"] for row in rows] == list(range(1, n_dense + n_fine_tuning + 1))
    assert [row["stage"] for row in rows] == [DENSE] * n_dense + [FINE_TUNING] * n_fine_tuning


@contextmanager
def left_alone(net: NeuralNet) -> Iterator[None]:
    """See that a net, and the callbacks that were given to it, are as they were before."""
    callbacks = net.callbacks if isinstance(net.callbacks, list) else []
    callbacks = [callback[1] if isinstance(callback, tuple) else callback for callback in callbacks]
    objects = [net, *(callback for callback in callbacks if isinstance(callback, Callback))]
    before = [dict(vars(each)) for each in objects]
    weights = snapshot(net.module_) if net.initialized_ else {}
    yield
    for each, attributes in zip(objects, before, strict=True):
        assert vars(each).keys() == attributes.keys()
        for name, value in attributes.items():
            assert vars(each)[name] is value, name
    if net.initialized_:
        assert same_state(snapshot(net.module_), weights)
