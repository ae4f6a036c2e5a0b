"""What a default regressor predicts does not depend on the unit or the offset of its targets."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.metrics import r2_score

from skprune import PrunedRegressor, PrunedRegressorCV, pruning_path
from skprune.strategies import STRATEGIES
from tests.helpers import STRUCTURES_OF_ANY

CASES = [
    (strategy, structure)
    for strategy in STRATEGIES
    for structure in STRUCTURES_OF_ANY
    if STRATEGIES[strategy]().regrowth is None or structure not in ("unit", "2:4")
]


def product(n_rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).standard_normal((n_rows, 4))
    return X, X[:, 0] - X[:, 1] * X[:, 2]


def short(**params: Any) -> PrunedRegressor:
    return PrunedRegressor(random_state=0, **params).set_params(estimator__max_epochs=4)


def assert_same_in_its_own_unit(found: Any, expected: Any, a: Any = 1.0, b: Any = 0.0) -> None:
    size = np.abs(a * expected).max(axis=0)
    np.testing.assert_array_less(np.abs(found - (a * expected + b)).max(axis=0), 1e-4 * size)


@pytest.mark.parametrize(("strategy", "structure"), CASES)
def test_every_strategy_and_structure(strategy: str, structure: str) -> None:
    X, y = product()
    sparsity = None if structure == "2:4" else 0.5
    model = short(strategy=strategy, structure=structure, sparsity=sparsity)
    expected = model.fit(X, y).predict(X)
    assert_same_in_its_own_unit(model.fit(X, 1e4 * y + 1e4).predict(X), expected, 1e4, 1e4)


@pytest.mark.parametrize("a", [1e-8, 0.004, 1e8])
@pytest.mark.parametrize("b", [0.0, 100.0])
def test_any_unit_and_offset(a: float, b: float) -> None:
    X, y = product()
    weights = np.linspace(0.1, 1.0, len(y))
    ours = short().fit(X, y, sample_weight=weights)
    theirs = short().fit(X, a * y + a * b, sample_weight=weights)
    expected = ours.predict(X)
    assert_same_in_its_own_unit(theirs.predict(X), expected, a, a * b)
    ours.partial_fit(X, y)
    theirs.partial_fit(X, a * y + a * b)
    assert np.abs(ours.predict(X) - expected).max() > 1e-6
    assert_same_in_its_own_unit(theirs.predict(X), ours.predict(X), a, a * b)


def test_each_target_by_itself() -> None:
    X, y = product()
    Y, units = np.stack([y, X[:, 3]], axis=1), np.array([1e5, 1e-2])
    expected = short().fit(X, Y).predict(X)
    assert_same_in_its_own_unit(short().fit(X, Y * units).predict(X), expected, units)


def test_single_precision() -> None:
    X, y = product()
    X = X.astype(np.float32)
    expected = short().fit(X, y).predict(X)
    assert_same_in_its_own_unit(short().fit(X, 1e6 * y).predict(X), expected, 1e6)


def test_paths_and_cross_validation() -> None:
    X, y = product()
    for one, other in zip(
        pruning_path(short(), X, y, sparsities=[0.5, 0.8]).estimators,
        pruning_path(short(), X, 1e4 * y, sparsities=[0.5, 0.8]).estimators,
        strict=True,
    ):
        assert_same_in_its_own_unit(other.predict(X), one.predict(X), 1e4)
    search = PrunedRegressorCV(sparsities=[0.5, 0.8], cv=3, random_state=0)
    search.set_params(estimator__max_epochs=4)
    expected = search.fit(X, y).predict(X)
    assert_same_in_its_own_unit(search.fit(X, 1e4 * y).predict(X), expected, 1e4)


def test_targets_of_tiny_and_of_different_units_are_learned() -> None:
    X, y = product(400)
    assert PrunedRegressor(random_state=0).fit(X, 0.004 * y).score(X, 0.004 * y) > 0.9
    Y = np.stack([1e5 * X[:, 0], 1e-2 * (X[:, 1] + X[:, 2])], axis=1)
    predicted = PrunedRegressor(random_state=0).fit(X, Y).predict(X)
    assert r2_score(Y, predicted, multioutput="raw_values").min() > 0.9


def test_the_net_predicts_in_the_unit_of_the_targets() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = short().fit(X, y)
    np.testing.assert_allclose(model.net_.predict(X).ravel(), model.predict(X))
    # The loss is the share of the variance that is left.
    assert model.history_[-1]["train_loss"] < 2


def test_another_criterion_takes_no_scale() -> None:
    X, y = product()
    model = short().set_params(estimator__criterion="data").fit(X, y)
    expected = model.predict(X)
    other = short().set_params(estimator__criterion=torch.nn.L1Loss).fit(X, y)
    assert isinstance(other.net_.criterion_, torch.nn.L1Loss)
    assert np.abs(other.predict(X) - expected).max() > 1e-6
