"""The history of a fit: whole, and small in a pickle."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from sklearn.datasets import load_iris
from skorch.history import History

from skprune import DivergedWarning, PrunedClassifier
from skprune.training.history import CompactHistory
from tests.training.common import make_data, make_net, pruned

X, Y = make_data()


def test_history_is_the_same_after_a_pickle() -> None:
    rows = [
        {"batches": [{"a": 1.5, "n": 3}, {"a": np.float64(2.5), "n": 2**70}], "epoch": 1, "b": "x"},
        {"batches": [], "epoch": 2, "b": "x"},
        {"batches": [{"a": float("nan")}], "epoch": 3, "b": "y", "best": True},
        {"batches": [{"f": np.float32(1)}], "epoch": 4, "b": None, "best": False},
    ]
    history = CompactHistory(rows)
    for copied in (pickle.loads(pickle.dumps(history)), deepcopy(history)):
        assert type(copied) is CompactHistory
        assert isinstance(copied, History)
        assert repr(list(copied)) == repr(rows)
        assert copied[:, "epoch"] == [1, 2, 3, 4]
    assert list(pickle.loads(pickle.dumps(CompactHistory()))) == []


def test_pickle_of_a_history_is_small() -> None:
    history = pruned(make_net(max_epochs=100)).fit(X, Y).history_
    assert len(history) == 104
    assert len(pickle.dumps(history)) < len(pickle.dumps(list(history))) / 2
    restored = pickle.loads(pickle.dumps(history))
    assert restored[:, "batches", :, "train_loss"] == history[:, "batches", :, "train_loss"]
    assert [type(row["train_loss"]) for row in restored] == [
        type(row["train_loss"]) for row in history
    ]


def test_loss_that_ends_far_above_where_it_began_is_told() -> None:
    X, y = load_iris(return_X_y=True)
    estimator = PrunedClassifier(random_state=0).set_params(estimator__lr=1e150)
    with pytest.warns(DivergedWarning, match="training the dense network: the training loss began"):
        estimator.fit(X, y)


def test_net_is_shown_by_what_was_set() -> None:
    shown = repr(PrunedClassifier().set_params(estimator__lr=0.1))
    assert shown == "PrunedClassifier(estimator=NeuralNetClassifier(lr=0.1, ...))"
    own = repr(PrunedClassifier(make_net(lr=0.5), sparsity=0.5))
    assert "module=Perceptron" in own
    assert "lr=0.5" in own
    assert "train_split=None" in own
    assert "iterator_valid" not in own
    assert len(own) < 450
