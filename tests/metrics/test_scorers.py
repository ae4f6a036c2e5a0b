"""Scorers find the pruned estimator wherever it is, and say so where there is none."""

import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_regression
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import PrunedRegressor
from skprune.metrics import (
    compression_scorer,
    latency_scorer,
    macs_scorer,
    n_parameters_scorer,
    size_scorer,
    sparsity_scorer,
)
from skprune.training.nets import default_regressor_net

X, y = make_regression(60, 5, random_state=0)


def pruned():
    net = default_regressor_net().set_params(max_epochs=2)
    return PrunedRegressor(net, structure="unit", sparsity=0.75, random_state=0)


@pytest.fixture(scope="module")
def fitted():
    return pruned().fit(X, y)


def test_values(fitted):
    # 5-100-1 with 25 units left: 5 * 25 + 25 weights, 25 + 1 biases, float64
    assert sparsity_scorer(fitted) == 0.75
    assert macs_scorer(fitted) == -150
    assert n_parameters_scorer(fitted) == -176
    assert compression_scorer(fitted) == 701 / 176
    assert size_scorer(fitted) == -8 * (176 + 2)  # with the outputs' shift and scale
    assert latency_scorer(fitted, X) < 0


@pytest.mark.parametrize(
    "wrap",
    [
        lambda: make_pipeline(StandardScaler(), pruned()),
        lambda: GridSearchCV(pruned(), {"sparsity": [0.75]}, cv=2),
        lambda: GridSearchCV(make_pipeline(StandardScaler(), pruned()), {}, cv=2),
        lambda: TransformedTargetRegressor(pruned()),
        lambda: FrozenEstimator(pruned().fit(X, y)),
    ],
    ids=["pipeline", "search", "search of a pipeline", "transformed target", "frozen"],
)
def test_inside_another_estimator(wrap):
    assert sparsity_scorer(wrap().fit(X, y)) == 0.75


@pytest.mark.parametrize("scorer", [sparsity_scorer, macs_scorer, size_scorer])
@pytest.mark.parametrize("estimator", [LinearRegression(), pruned()])
def test_nothing_to_measure(scorer, estimator):
    with pytest.raises(TypeError, match=f"{type(estimator).__name__} is no fitted pruned"):
        scorer(estimator, X, y)
