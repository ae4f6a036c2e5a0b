"""The targets of a net's own validation set are encoded as those of the fit are."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch.utils.data import Subset

from skprune import PrunedClassifier, PrunedRegressor
from tests.estimators.common import (
    binary_net,
    blobs,
    classifier_net,
    data_for,
    labels_net,
    regressor_net,
)


def halves(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(n_rows)
    return order[: n_rows // 2], order[n_rows // 2 :]


class Rows(torch.utils.data.Dataset):
    """A data set of one's own, which gives its rows one by one."""

    def __init__(self, X: Any, y: Any) -> None:
        self.X, self.y = X, y

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.X[index], self.y[index]


def as_subset(X: np.ndarray, y: np.ndarray) -> Subset:
    doubled = Dataset(np.concatenate([X, X]), np.concatenate([y, y]))
    return Subset(doubled, list(range(len(X))))


KINDS = {"dataset": Dataset, "subset": as_subset, "rows": Rows}
LABELS = {
    "codes": lambda y: y,
    "from one": lambda y: y + 1,
    "from minus one": lambda y: y - 1,
    "strings": lambda y: np.array(["one", "three", "two"])[y],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", LABELS)
def test_labels_are_those_of_the_fit(labels: str, kind: str) -> None:
    X, y = blobs()
    y = LABELS[labels](y)
    train, valid = halves(len(y))
    dataset = KINDS[kind](X[valid], y[valid])
    before = deepcopy(dataset)
    net = classifier_net(train_split=predefined_split(dataset))
    model = PrunedClassifier(net, random_state=0).fit(X[train], y[train])
    assert model.history_[-1]["valid_acc"] == model.score(X[valid], y[valid])
    model.partial_fit(X[train], y[train])
    assert model.history_[-1]["valid_acc"] == model.score(X[valid], y[valid])
    assert net.train_split.keywords["valid_ds"] is dataset
    for ours, theirs in zip(dataset, before, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1] == theirs[1]


def test_a_binary_net() -> None:
    X, y = blobs(2)
    y = 2 * y - 1
    train, valid = halves(len(y))
    net = binary_net(train_split=predefined_split(Dataset(X[valid], y[valid])))
    model = PrunedClassifier(net, random_state=0).fit(X[train], y[train])
    assert model.history_[-1]["valid_acc"] == model.score(X[valid], y[valid])


def test_several_labels_a_row() -> None:
    X, _ = blobs()
    Y = (X[:, :3] > 0).astype(int)
    train, valid = halves(len(Y))
    net = labels_net(
        train_split=predefined_split(Dataset(X[valid], Y[valid])), callbacks__valid_acc=None
    )
    model = PrunedClassifier(net, random_state=0).fit(X[train], Y[train])
    p = model.predict_proba(X[valid])
    expected = -(Y[valid] * np.log(p) + (1 - Y[valid]) * np.log(1 - p)).mean()
    assert model.history_[-1]["valid_loss"] == pytest.approx(expected, rel=1e-4)


def test_a_regression() -> None:
    X, y = data_for("regressor")
    train, valid = halves(len(y))
    net = regressor_net(train_split=predefined_split(Dataset(X[valid], y[valid])))
    model = PrunedRegressor(net, random_state=0).fit(X[train], y[train])
    error = np.mean((model.predict(X[valid]) - y[valid]) ** 2)
    assert model.history_[-1]["valid_loss"] == pytest.approx(error, rel=1e-4)


def test_early_stopping_and_checkpoints_see_it() -> None:
    X, y = blobs()
    y = np.array(["one", "three", "two"])[y]
    train, valid = halves(len(y))
    net = classifier_net(
        train_split=predefined_split(Dataset(X[valid], y[valid])),
        callbacks=[EarlyStopping(patience=2, lower_is_better=False, monitor="valid_acc")],
        max_epochs=50,
    )
    model = PrunedClassifier(net, random_state=0).fit(X[train], y[train])
    assert model.history_[-1]["valid_acc"] > 0.8
    assert len(model.history_) < 50


def test_a_class_that_the_fit_has_not_seen_is_named() -> None:
    X, y = blobs()
    train, valid = halves(len(y))
    other = np.where(y == 2, 7, y)
    net = classifier_net(train_split=predefined_split(Dataset(X[valid], other[valid])))
    with pytest.raises(ValueError, match=r"The y of predefined_split has classes .*: \[7\]"):
        PrunedClassifier(net, random_state=0).fit(X[train], y[train])


def test_a_set_without_targets_is_an_error() -> None:
    X, y = blobs()
    net = classifier_net(train_split=predefined_split(Dataset(X, None)))
    with pytest.raises(ValueError, match="has no targets"):
        PrunedClassifier(net, random_state=0).fit(X, y)
