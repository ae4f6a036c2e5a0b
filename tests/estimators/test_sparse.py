"""Sparse inputs and sparse labels: what dense ones of the same numbers give, and no more memory."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import make_multilabel_classification
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from skorch import NeuralNet
from torch.utils.data import DataLoader, default_collate

from skprune import PrunedClassifier, PrunedClassifierCV, PrunedRegressor, pruning_path
from tests.estimators.common import (
    ESTIMATORS,
    assert_equal_fits,
    classifier_net,
    data_for,
    labels_net,
    net_for,
    outputs,
)

FORMS = [sparse.csr_matrix, sparse.csc_array, sparse.dok_matrix]


def rectified(kind: str) -> tuple[np.ndarray, np.ndarray]:
    X, y = data_for(kind)
    X = X * (X > 0)
    X[7] = 0  # a row without entries
    return X, y


def pruned(kind: str, net: NeuralNet | None = None, **params: Any) -> Any:
    return ESTIMATORS[kind](net, **{"sparsity": 0.5, "random_state": 0, **params})


@pytest.fixture(params=ESTIMATORS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[True, False], ids=["wrapped", "default"])
def net(request: pytest.FixtureRequest, kind: str) -> NeuralNet | None:
    return net_for(kind) if request.param else None


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_sparse_rows_fit_as_dense_ones_do(kind: str, net: Any, form: Any) -> None:
    X, y = rectified(kind)
    given = form(X)

    dense, fitted = pruned(kind, net).fit(X, y), pruned(kind, net).fit(given, y)

    assert_equal_fits(fitted, dense, X)
    np.testing.assert_array_equal(outputs(fitted, given), outputs(dense, X))
    assert fitted.n_features_in_ == 4
    assert fitted.score(given, y) == dense.score(X, y)
    np.testing.assert_array_equal(given.toarray(), X)
    dense.partial_fit(X, y, sample_weight=np.arange(len(X)) % 3)
    fitted.partial_fit(given, y, sample_weight=np.arange(len(X)) % 3)
    assert_equal_fits(fitted, dense, X)


def test_any_way_to_write_a_matrix_is_the_same(kind: str, net: Any) -> None:
    X, y = rectified(kind)
    rows, columns = np.indices(X.shape).reshape(2, -1)[:, ::-1]
    # Entries twice, zeros written out, columns out of order, long indices.
    halves = np.tile(X[rows, columns] / 2, 2)
    order = np.argsort(np.tile(rows, 2), kind="stable")
    indices = np.tile(columns, 2)[order].astype(np.int64)
    indptr = np.arange(len(X) + 1, dtype=np.int64) * 8
    untidy = sparse.csr_array((halves[order], indices, indptr), shape=X.shape)
    untidy.indices, untidy.indptr = indices, indptr
    before = untidy.data.copy()

    fitted = pruned(kind, net).fit(untidy, y)

    assert_equal_fits(fitted, pruned(kind, net).fit(X, y), X)
    np.testing.assert_array_equal(outputs(fitted, untidy), outputs(fitted, X))
    np.testing.assert_array_equal(untidy.data, before)
    assert untidy.nnz == 2 * X.size


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, bool])
def test_types_of_numbers(kind: str, net: Any, dtype: Any) -> None:
    X, y = rectified(kind)
    X = (X * 2).astype(dtype)

    fitted = pruned(kind, net).fit(sparse.csr_matrix(X), y)

    assert_equal_fits(fitted, pruned(kind, net).fit(X, y), X)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_found(kind: str, net: Any, bad: float) -> None:
    X, y = rectified(kind)
    given = sparse.csr_array(X)
    fitted = pruned(kind, net).fit(given, y)
    given.data[3] = bad

    with pytest.raises(ValueError, match="Input X contains"):
        pruned(kind, net).fit(given, y)
    with pytest.raises(ValueError, match="Input X contains"):
        fitted.predict(given)
    with pytest.raises(ValueError, match="X has 3 features, but"):
        fitted.predict(sparse.csr_array(X[:, 1:]))


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "hessian"},
        {"strategy": "distillation"},
        {"strategy": "lottery_ticket"},
        {"structure": "unit", "strategy": "gradient"},
        {"structure": "feature"},
    ],
    ids=str,
)
def test_strategies_and_structures(kind: str, options: dict[str, Any]) -> None:
    X, y = rectified(kind)
    weights = np.linspace(0, 1, len(X))

    fits = [
        pruned(kind, net_for(kind), **options).fit(rows, y, sample_weight=weights)
        for rows in (X, sparse.csr_array(X))
    ]

    assert_equal_fits(*fits, X)


class Loader(DataLoader):
    """A loader of a user's own."""


@pytest.mark.parametrize(
    "options",
    [
        {"iterator_train": Loader, "iterator_valid": Loader},
        {"iterator_train__num_workers": 0, "iterator_train__pin_memory": False},
        {
            "iterator_train__collate_fn": default_collate,
            "iterator_valid__collate_fn": default_collate,
        },
    ],
    ids=["loader", "options", "collation"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_loaders_of_users(options: dict[str, Any], weighted: bool) -> None:
    X, y = rectified("classifier")
    X = X.astype(np.float32)
    weights = np.linspace(0, 1, len(X)) if weighted else None
    net = classifier_net(**options)

    dense = pruned("classifier", net).fit(X, y, sample_weight=weights)
    fitted = pruned("classifier", net).fit(sparse.csr_array(X), y, sample_weight=weights)

    assert_equal_fits(fitted, dense, X)
    np.testing.assert_array_equal(outputs(fitted, sparse.csr_array(X)), outputs(dense, X))


def test_searches_and_paths(kind: str, tmp_path: Any) -> None:
    X, y = rectified(kind)
    given = sparse.csc_matrix(X)
    net = net_for(kind, max_epochs=2)

    scores = [cross_val_score(pruned(kind, net), rows, y, cv=2) for rows in (X, given)]
    np.testing.assert_array_equal(*scores)
    grids = [
        GridSearchCV(pruned(kind, net, memory=str(tmp_path)), {"sparsity": [0.3, 0.6]}, cv=2)
        .fit(rows, y)
        .cv_results_["mean_test_score"]
        for rows in (X, given)
    ]
    np.testing.assert_array_equal(*grids)
    paths = [pruning_path(pruned(kind, net), r, y, sparsities=[0.3, 0.6]) for r in (X, given)]
    for one, other in zip(paths[0].estimators, paths[1].estimators, strict=True):
        assert_equal_fits(one, other, X)


def test_cv_estimator() -> None:
    X, y = rectified("classifier")
    net = classifier_net(max_epochs=2)

    fits = [
        PrunedClassifierCV(net, sparsities=[0.3, 0.6], cv=2, random_state=0).fit(rows, y)
        for rows in (X, sparse.csr_array(X))
    ]

    np.testing.assert_array_equal(fits[0].score_path_, fits[1].score_path_)
    assert_equal_fits(*fits, X)


def test_texts_and_categories() -> None:
    texts = ["good film", "bad film", "very good", "bad bad", "good good film", "so bad"] * 5
    y = np.array([text.count("good") > 0 for text in texts])
    words = make_pipeline(TfidfVectorizer(), PrunedClassifier(sparsity=0.5, random_state=0))
    assert words.fit(texts, y).score(texts, y) == 1

    categories = np.array([[word, str(len(word))] for text in texts for word in text.split()])
    y = categories[:, 0] == "bad"
    names = make_pipeline(OneHotEncoder(), PrunedClassifier(sparsity=0.5, random_state=0))
    assert names.fit(categories, y).score(categories, y) == 1


def test_memory_is_that_of_batches() -> None:
    n_rows, n_features = 4000, 20_000
    generator = np.random.default_rng(0)
    X = sparse.random_array(
        (n_rows, n_features), density=1e-3, format="csr", rng=generator, dtype=np.float32
    )
    y = generator.integers(0, 2, n_rows)
    estimator = PrunedClassifier(sparsity=0.9, fine_tune_epochs=1, random_state=0)
    estimator.set_params(estimator__max_epochs=1, estimator__module__hidden_layer_sizes=(4,))

    tracemalloc.start()
    try:
        estimator.fit(X, y).predict(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    # A batch has 200 rows, and a chunk 256.
    assert peak < n_rows * n_features * 4 / 4


# Sparse labels


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.coo_array])
@pytest.mark.parametrize("wrapped", [True, False], ids=["wrapped", "default"])
def test_sparse_labels(wrapped: bool, form: Any) -> None:
    X, Y = make_multilabel_classification(60, 6, random_state=0)
    net = labels_net() if wrapped else None

    dense, fitted = (pruned("classifier", net).fit(X, labels) for labels in (Y, form(Y)))

    np.testing.assert_array_equal(fitted.predict_proba(X), dense.predict_proba(X))
    assert isinstance(dense.predict(X), np.ndarray)
    labels = fitted.predict(X)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        reference = MLPClassifier(max_iter=2).fit(X, form(Y)).predict(X)
    assert type(labels) is type(reference)
    assert labels.dtype == reference.dtype
    np.testing.assert_array_equal(labels.toarray(), dense.predict(X))
    assert fitted.score(X, form(Y)) == dense.score(X, Y)
    fitted.partial_fit(X, form(Y))
    search = GridSearchCV(fitted, {"sparsity": [0.4]}, cv=2, error_score="raise")
    assert search.fit(X, form(Y)).predict(X).shape == Y.shape


def test_sparse_labels_in_a_cv_estimator() -> None:
    X, Y = make_multilabel_classification(60, 6, random_state=0)

    fits = [
        PrunedClassifierCV(
            labels_net(), sparsities=[0.3], selection="best", cv=2, random_state=0
        ).fit(X, labels)
        for labels in (Y, sparse.csr_array(Y))
    ]

    np.testing.assert_array_equal(fits[0].score_path_, fits[1].score_path_)
    np.testing.assert_array_equal(fits[0].predict(X), fits[1].predict(X).toarray())
    assert fits[0].best_score_corrected_ == fits[1].best_score_corrected_


def test_other_sparse_targets_are_refused() -> None:
    X, y = data_for("classifier")
    with pytest.raises(ValueError, match="A sparse y has a column of zeros and ones"):
        PrunedClassifier().fit(X, sparse.csr_array(y[:, None]))
    with pytest.raises(TypeError, match="Sparse data was passed for y"):
        PrunedRegressor().fit(X, sparse.csr_array(y[:, None]))


def test_generators_stay_as_they_were() -> None:
    X, y = rectified("classifier")
    before = torch.get_rng_state()
    pruned("classifier").fit(sparse.csr_array(X), y).predict(sparse.csr_array(X))
    assert torch.equal(torch.get_rng_state(), before)
