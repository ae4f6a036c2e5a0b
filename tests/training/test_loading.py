"""Batches that are cut from arrays at once are those that skorch's own loader collates."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import check_random_state
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, Initializer
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from skprune import PrunedClassifier, PrunedRegressor
from skprune.network import MLP
from skprune.seeding import derive_seeds, seeded
from skprune.training.loading import batch_loader
from tests.helpers import same_state, snapshot
from tests.networks import Perceptron
from tests.training.common import CASES, assert_pruned, make_data, make_net, pruned

X, Y = make_data()
RNG = np.random.default_rng(0)

INPUTS = {
    "float32": X,
    "float64": X.astype(np.float64),
    "float16": X.astype(np.float16),
    "images": RNG.standard_normal((60, 2, 3, 3), dtype=np.float32),
    "tokens": RNG.integers(9, size=(60, 4)),
    "one_number": X[:, 0],
    "mapping": {"left": X[:, :2], "right": RNG.integers(9, size=(60, 4))},
    "tensor": torch.from_numpy(X),
}
TARGETS = {
    "classes": Y,
    "numbers": X[:, 1],
    "doubles": X[:, 1].astype(np.float64),
    "columns": X[:, :2],
}


def assert_same_batches(net: NeuralNet, dataset: Any, training: bool = True) -> None:
    """Two epochs, bit for bit, with as many random numbers drawn on the way."""
    runs = []
    with torch.random.fork_rng():
        for make in (batch_loader, NeuralNet.get_iterator):
            torch.manual_seed(1)
            loader = make(net, dataset, training)
            runs.append(([list(loader), list(loader)], torch.get_rng_state()))
    (ours, our_state), (theirs, their_state) = runs
    assert torch.equal(our_state, their_state)
    for our_epoch, their_epoch in zip(ours, theirs, strict=True):
        for our_batch, their_batch in zip(our_epoch, their_epoch, strict=True):
            assert_same(our_batch[0], their_batch[0])
            assert_same(our_batch[1], their_batch[1])


def assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert_same(ours[key], value)
        return
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("inputs", INPUTS)
def test_kinds_of_data(inputs: str, target: str) -> None:
    assert_same_batches(make_net(), Dataset(INPUTS[inputs], TARGETS[target]))


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 16, 60, 99, -1])
def test_options(batch_size: int, shuffle: bool, drop_last: bool) -> None:
    net = make_net(
        batch_size=batch_size,
        iterator_train__shuffle=shuffle,
        iterator_train__drop_last=drop_last,
        iterator_valid__batch_size=7,
    )
    for training in (True, False):
        assert_same_batches(net, Dataset(X, Y), training)
        assert_same_batches(net, Subset(Dataset(X, Y), RNG.permutation(60)[:35]), training)


def test_own_batch_size_of_a_loader() -> None:
    net = make_net(iterator_train__batch_size=-1)
    assert_same_batches(net, Subset(Dataset(X, Y), [5, 3, 8]))


@pytest.mark.parametrize("inputs", ["float32", "mapping"])
def test_both_sides_of_a_split(inputs: str) -> None:
    net = make_net(train_split=ValidSplit(3, stratified=True))
    train, valid = net.get_split_datasets(INPUTS[inputs], Y)
    assert len(train) == 40
    assert_same_batches(net, train, training=True)
    assert_same_batches(net, valid, training=False)


class Shifted(Dataset):
    """A dataset that makes something of the rows."""

    def transform(self, X: Any, y: Any) -> Any:
        X, y = super().transform(X, y)
        return X + 100, y


class OwnLoader(DataLoader):
    pass


@pytest.mark.parametrize(
    ("options", "dataset"),
    [
        ({}, Shifted(X, Y)),
        ({}, TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))),
        ({}, Subset(Shifted(X, Y), [1, 2])),
        ({}, Subset(Subset(Dataset(X, Y), [1, 2, 3]), [0, 1])),
        ({}, Dataset(X)),
        ({}, Dataset([X, X], Y)),
        ({}, Dataset({"pair": [X, X]}, Y)),
        ({"iterator_train": OwnLoader}, Dataset(X, Y)),
        ({"iterator_train__collate_fn": list}, Dataset(X, Y)),
        ({"iterator_train__num_workers": 1}, Dataset(X, Y)),
        ({"iterator_train__sampler": [1, 2, 3]}, Dataset(X, Y)),
    ],
    ids=[
        "dataset",
        "torch_dataset",
        "subset_of_dataset",
        "subset_of_subset",
        "no_target",
        "list",
        "mapping_of_lists",
        "loader",
        "collation",
        "workers",
        "sampler",
    ],
)
def test_left_to_the_nets_own_loader(options: dict, dataset: Any) -> None:
    assert batch_loader(make_net(**options), dataset, training=True) is None


class Watching(NeuralNetClassifier):
    """Notes which loaders the epochs of the last stage are run over."""

    def run_single_epoch(self, iterator: Any, *args: Any, **kwargs: Any) -> None:
        if iterator is not None:
            self.datasets_ = {*getattr(self, "datasets_", ()), type(iterator.dataset).__name__}
        super().run_single_epoch(iterator, *args, **kwargs)


class OwnIterator(Watching):
    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        return super().get_iterator(dataset, training=training)


def loaded_through(net: NeuralNet) -> set[str]:
    return pruned(net).fit(X, Y).net_.datasets_


def test_who_loads() -> None:
    assert loaded_through(make_net(Watching)) == {"_Batches"}
    assert loaded_through(make_net(OwnIterator)) == {"Dataset"}
    assert loaded_through(make_net(Watching, dataset=Shifted)) == {"Shifted"}
    assert loaded_through(make_net(Watching, iterator_train=OwnLoader)) == {"Dataset"}
    split = predefined_split(Shifted(X, Y))
    assert loaded_through(make_net(Watching, train_split=split)) == {"_Batches", "_EncodedRows"}


@pytest.mark.parametrize("case", CASES)
def test_the_loader_changes_no_fit(case: str) -> None:
    ours = pruned(make_net(train_split=ValidSplit(3)), case).fit(X, Y)
    theirs = pruned(make_net(OwnIterator, train_split=ValidSplit(3)), case).fit(X, Y)
    assert same_state(snapshot(ours.module_), snapshot(theirs.module_))


class SeesRows(Callback):
    def __init__(self) -> None:
        self.smallest_ = np.inf

    def on_batch_begin(self, net: NeuralNet, batch: Any, **kwargs: Any) -> None:
        self.smallest_ = min(self.smallest_, batch[0].min().item())


@pytest.mark.parametrize("case", CASES)
def test_own_dataset_makes_something_of_the_rows(case: str) -> None:
    net = make_net(dataset=Shifted, callbacks=[("rows", SeesRows())], lr=1e-5)
    estimator = pruned(net, case).fit(X, Y)
    assert dict(estimator.net_.callbacks_)["rows"].smallest_ > 50
    assert_pruned(estimator, case)


class Reshaped(Dataset):
    """A dataset without which the module cannot read the rows."""

    def transform(self, X: Any, y: Any) -> Any:
        X, y = super().transform(X, y)
        return np.concatenate([X, X]), y


@pytest.mark.parametrize("case", CASES)
def test_own_dataset_changes_the_shape_of_the_rows(case: str) -> None:
    estimator = pruned(make_net(dataset=Reshaped), case).fit(X[:, :3], Y)
    assert_pruned(estimator, case)


class Sides(nn.Module):
    """Takes a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(2, 8)
        self.right = nn.Linear(4, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.output((self.left(left) + self.right(right)).relu())


def dropout_mlp(n_outputs: int = 3) -> dict[str, Any]:
    return {
        "module__n_features": 6,
        "module__n_outputs": n_outputs,
        "module__hidden_layer_sizes": (8, 8),
        "module__dropout": 0.3,
        "module__batch_norm": True,
    }


SKORCH_FITS = {
    "shuffled": (make_net(), X, Y),
    "dropout": (make_net(module=MLP, **dropout_mlp()), X, Y),
    "ordered": (make_net(iterator_train__shuffle=False, batch_size=-1), X, Y),
    "dropped": (make_net(iterator_train__drop_last=True), X, Y),
    "random_split": (make_net(train_split=ValidSplit(0.3)), X, Y),
    "stratified_split": (make_net(train_split=ValidSplit(3, stratified=True)), X, Y),
    "workers": (make_net(iterator_train__num_workers=1), X, Y),
    "initializer": (make_net(callbacks=[Initializer("*weight", fn=nn.init.normal_)]), X, Y),
    "adam": (make_net(optimizer=torch.optim.Adam), X, Y),
    "mapping": (make_net(module=Sides), {"left": X[:, :2], "right": X[:, 2:]}, Y),
    "doubles": (make_net(module=Perceptron().double()), X.astype(np.float64), Y),
    "binary": (
        make_net(NeuralNetBinaryClassifier, MLP, **dropout_mlp(1)),
        X,
        (X[:, 0] > 0).astype(np.float32),
    ),
    "regressor": (make_net(NeuralNetRegressor), X, X[:, :3]),
    "multilabel": (make_net(criterion=nn.BCEWithLogitsLoss), X, (X[:, :3] > 0).astype(np.float32)),
}


@pytest.mark.parametrize("name", SKORCH_FITS)
def test_dense_stage_is_a_fit_of_skorch_bit_for_bit(name: str) -> None:
    net, inputs, target = SKORCH_FITS[name]
    cls = PrunedRegressor if isinstance(net, NeuralNetRegressor) else PrunedClassifier
    estimator = cls(net, sparsity=0, fine_tune_epochs=0, random_state=3).fit(inputs, target)
    seeds = derive_seeds(check_random_state(3), "dense", "scores", "fine_tune")
    with seeded(seeds["dense"]):
        dense = clone(net).fit(inputs, target)
    assert same_state(snapshot(estimator.module_), snapshot(dense.module_))
    assert estimator.history_[:, "train_loss"] == dense.history[:, "train_loss"]


def test_a_split_may_count_from_the_end() -> None:
    X, y = np.arange(12.0, dtype=np.float32).reshape(6, 2), np.arange(6)
    net = NeuralNetClassifier(torch.nn.Linear, batch_size=2)
    loader = batch_loader(net, Subset(Dataset(X, y), [-1, 0, -3]), training=False)
    assert [batch[1].tolist() for batch in loader] == [[5, 0], [3]]
