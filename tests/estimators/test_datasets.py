"""Datasets as X, and rows of different lengths: read by the batch, as skorch reads them."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV, cross_val_score
from skorch.dataset import Dataset
from skorch.helper import SliceDataset
from torch import Tensor, nn
from torch.utils.data import IterableDataset, Subset, TensorDataset

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    PrunedRegressor,
    PrunedRegressorCV,
    pruning_path,
)
from skprune._sklearn import InvalidParameterError
from skprune.exceptions import UncachedWarning
from skprune.strategies import Distill, Strategy
from tests.estimators.common import (
    ESTIMATORS,
    assert_equal_fits,
    classifier_net,
    data_for,
    net_for,
    outputs,
)

CV_ESTIMATORS = {"classifier": PrunedClassifierCV, "regressor": PrunedRegressorCV}


class Pairs(torch.utils.data.Dataset):
    """A user's own Dataset, which tells how often its rows were read."""

    def __init__(self, X: Any, y: Any) -> None:
        self.X, self.y = X, y
        self.n_read = 0

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, row: int) -> Any:
        self.n_read += 1
        return self.X[row], self.y[row]


@pytest.fixture(params=ESTIMATORS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def data(kind: str) -> tuple[np.ndarray, np.ndarray]:
    X, y = data_for(kind)
    X = X.astype(np.float32)
    return (X, np.array(["a", "b", "c"])[y]) if kind == "classifier" else (X, y.astype(np.float32))


def pruned(kind: str, **params: Any) -> Any:
    params = {"sparsity": 0.5, "random_state": 0, **params}
    return ESTIMATORS[kind](params.pop("net", net_for(kind)), **params)


@pytest.mark.parametrize("make", [Pairs, Dataset], ids=["own", "skorch"])
def test_dataset_fits_as_its_arrays_do(kind: str, make: Any) -> None:
    X, y = data(kind)
    dataset = make(X, y)

    by_arrays, fitted = pruned(kind).fit(X, y), pruned(kind).fit(dataset)

    assert_equal_fits(fitted, by_arrays, X)
    np.testing.assert_array_equal(fitted.predict(dataset), by_arrays.predict(X))
    np.testing.assert_array_equal(outputs(fitted, dataset), outputs(by_arrays, X))
    assert fitted.score(dataset) == by_arrays.score(X, y)
    assert fitted.n_features_in_ == 4
    if kind == "classifier":
        assert fitted.classes_.tolist() == ["a", "b", "c"]
    assert_equal_fits(fitted.partial_fit(dataset), by_arrays.partial_fit(X, y), X)
    with pytest.raises(ValueError, match="X has 3 features, but"):
        fitted.predict(make(X[:, 1:], y))


def test_weights_travel_with_rows(kind: str) -> None:
    X, y = data(kind)
    weights = np.linspace(0, 1, len(X))
    params = {"class_weight": "balanced"} if kind == "classifier" else {}

    by_arrays = pruned(kind, **params).fit(X, y, sample_weight=weights)
    fitted = pruned(kind, **params).fit(Pairs(X, y), sample_weight=weights)

    assert_equal_fits(fitted, by_arrays, X)
    assert not np.array_equal(outputs(fitted, X), outputs(pruned(kind).fit(X, y), X))


def test_slices_of_a_dataset(kind: str) -> None:
    X, y = data(kind)
    dataset = Pairs(X, y)
    inputs, targets = SliceDataset(dataset, idx=0), SliceDataset(dataset, idx=1)

    by_arrays = pruned(kind).fit(X, y)
    for given in (targets, y):
        fitted = pruned(kind).fit(inputs, given)
        assert_equal_fits(fitted, by_arrays, X)
        np.testing.assert_array_equal(fitted.predict(inputs[:7]), by_arrays.predict(X[:7]))
        assert fitted.score(inputs, given) == by_arrays.score(X, y)
    scores = [
        cross_val_score(pruned(kind), rows, labels, cv=2, error_score="raise")
        for rows, labels in ((X, y), (inputs, targets))
    ]
    np.testing.assert_array_equal(*scores)
    search = GridSearchCV(pruned(kind), {"sparsity": [0.3]}, cv=2, error_score="raise")
    assert search.fit(inputs, y).best_score_ == search.fit(X, y).best_score_


def test_paths_and_cv_estimators(kind: str) -> None:
    X, y = data(kind)
    dataset = Pairs(X, y)
    net = net_for(kind, max_epochs=2)

    paths = [
        pruning_path(pruned(kind, net=net), *given, sparsities=[0.5])
        for given in ((X, y), (dataset,))
    ]
    assert_equal_fits(paths[0].estimators[0], paths[1].estimators[0], X)
    searches = [
        CV_ESTIMATORS[kind](net, sparsities=[0.3, 0.6], cv=2, random_state=0).fit(*given)
        for given in ((X, y), (dataset,))
    ]
    np.testing.assert_array_equal(searches[0].score_path_, searches[1].score_path_)
    assert_equal_fits(*searches, X)


@pytest.mark.parametrize(
    "params",
    [
        {"strategy": "hessian"},
        {"strategy": "distillation"},
        {"strategy": "lottery_ticket"},
        {"structure": "unit", "strategy": "gradient"},
        {"structure": "feature"},
    ],
    ids=str,
)
def test_strategies_and_structures(kind: str, params: dict[str, Any]) -> None:
    X, y = data(kind)

    fits = [pruned(kind, **params).fit(*given) for given in ((X, y), (Pairs(X, y),))]

    # The teacher sees whole chunks of arrays, and batches of a Dataset.
    assert_equal_fits(*fits, X, atol=1e-4 if params.get("strategy") == "distillation" else 0)


def test_targets_alone_are_read_before_training() -> None:
    X, y = data("classifier")
    dataset = Pairs(X, y)
    net = classifier_net(max_epochs=0)

    with pytest.raises(InvalidParameterError, match="unknown layer"):
        pruned("classifier", net=net, protect=["nothing"]).fit(dataset)

    # Once for its target, and a few to try the network with.
    assert len(X) < dataset.n_read < len(X) + 20
    kept = TensorDataset(torch.from_numpy(X), torch.arange(len(X)) % 3)
    fitted = pruned("classifier").fit(Subset(kept, range(50)))
    np.testing.assert_array_equal(fitted.classes_, [0, 1, 2])


def test_default_network_takes_rows_of_real_numbers(kind: str) -> None:
    X, y = data(kind)
    by_arrays = pruned(kind, net=None).fit(X, y)
    assert_equal_fits(pruned(kind, net=None).fit(Pairs(X, y)), by_arrays, X)
    with pytest.raises(ValueError, match="takes rows of real numbers"):
        pruned(kind, net=None).fit(Pairs(X.astype(int), y))
    with pytest.raises(ValueError, match="takes rows of real numbers"):
        pruned(kind, net=None).fit(Pairs(X.reshape(-1, 2, 2), y))


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        yield np.zeros(4), 0


def test_what_cannot_be_counted_is_refused(kind: str) -> None:
    X, y = data(kind)
    fitted = pruned(kind).fit(X, y)
    for call in (pruned(kind).fit, fitted.partial_fit, fitted.predict):
        with pytest.raises(TypeError, match="a Dataset without a length"):
            call(Stream())
    with pytest.raises(ValueError, match="Dataset without targets"):
        pruned(kind).fit(Dataset(X))
    with pytest.raises(ValueError, match="requires y to be passed"):
        pruned(kind).fit(SliceDataset(Pairs(X, y)))


def test_cache_is_left_out(tmp_path: Any) -> None:
    X, y = data("classifier")
    with pytest.warns(UncachedWarning, match="read row by row"):
        pruned("classifier", memory=str(tmp_path)).fit(Pairs(X, y))


def test_teacher_that_takes_arrays_is_refused() -> None:
    X, y = data("classifier")
    strategy = Strategy(recovery=Distill(PrunedClassifier(random_state=0).fit(X, y)))
    with pytest.raises(InvalidParameterError, match="read row by row"):
        pruned("classifier", strategy=strategy).fit(Pairs(X, y))


# Rows of different lengths


class Bag(nn.Module):
    """Takes sequences of words that are padded with zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 8, padding_idx=0)
        self.hidden = nn.Linear(8, 16)
        self.output = nn.Linear(16, 2)

    def forward(self, X: Tensor) -> Tensor:
        return self.output(self.hidden(self.words(X).sum(1)).relu())


def padded(rows: Any) -> Any:
    longest = max(len(row) for row, _ in rows)
    words = [[*row, *[0] * (longest - len(row))] for row, _ in rows]
    return torch.tensor(words), torch.tensor(np.array([y for _, y in rows]))


def bag_net(**options: Any) -> Any:
    return classifier_net(
        Bag, iterator_train__collate_fn=padded, iterator_valid__collate_fn=padded, **options
    )


def sentences() -> tuple[list[list[int]], np.ndarray]:
    generator = np.random.default_rng(0)
    X = [generator.integers(1, 10, generator.integers(2, 6)).tolist() for _ in range(60)]
    return X, np.array(["low", "high"])[[int(np.mean(row) > 5) for row in X]]


def objects(X: list[Any]) -> np.ndarray:
    result = np.empty(len(X), dtype=object)
    result[:] = X
    return result


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_rows_of_different_lengths(structure: str) -> None:
    X, y = sentences()
    weights = np.linspace(0, 1, len(X))

    forms = (X, objects(X), SliceDataset(Pairs(X, y)), Pairs(X, y))
    fits = [
        pruned("classifier", net=bag_net(), structure=structure).fit(form, y, weights)
        for form in forms
    ]

    expected = outputs(fits[0], X)
    for fitted, form in zip(fits, forms, strict=True):
        assert fitted.score(form, y) > 0.7
        np.testing.assert_array_equal(outputs(fitted, form), expected)
        assert not hasattr(fitted, "n_features_in_")
        fitted.partial_fit(form, y, sample_weight=weights)
    np.testing.assert_allclose(outputs(fits[0], X[:1]), outputs(fits[0], X)[:1], rtol=1e-5)


def test_ragged_rows_in_searches() -> None:
    X, y = sentences()
    estimator = pruned("classifier", net=bag_net(max_epochs=2))
    scores = [
        cross_val_score(estimator, form, y, cv=2, error_score="raise") for form in (X, objects(X))
    ]
    np.testing.assert_array_equal(*scores)
    PrunedClassifierCV(bag_net(max_epochs=1), sparsities=[0.5], cv=2).fit(X, y).predict(X)


@pytest.mark.parametrize("net", [None, classifier_net(Bag)], ids=["default", "wrapped"])
def test_ragged_rows_need_a_collation(net: Any) -> None:
    X, y = sentences()
    with pytest.raises(ValueError, match="iterator_train__collate_fn"):
        PrunedClassifier(net).fit(X, y)
    with pytest.raises(ValueError, match="iterator_train__collate_fn"):
        PrunedRegressor().fit(objects(X), np.arange(60.0))
