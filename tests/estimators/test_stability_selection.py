"""Which features are selected on most halves of the rows, and how many of them in error."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectKBest, SelectorMixin, f_regression
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import PrunedFeatureSelector, stability_selection
from skprune._sklearn import InvalidParameterError
from skprune.estimators.stability_selection import StabilitySelection
from skprune.model_selection import false_selection_bound
from tests.estimators.common import classifier_net
from tests.estimators.test_feature_selector import RELEVANT, data


def selector(kind: str = "classifier", **params: Any) -> PrunedFeatureSelector:
    params = {"n_features_to_select": 2, "estimator__max_epochs": 30} | params
    return PrunedFeatureSelector(kind).set_params(**params)


def found(kind: str = "classifier", **params: Any) -> StabilitySelection:
    X, y = data(kind)
    return stability_selection(selector(kind), X, y, **{"n_pairs": 3, "random_state": 0, **params})


class Spy(SelectorMixin, BaseEstimator):
    """Selects the first feature, and notes what it was fitted to."""

    seen: list = []  # noqa: RUF012
    _estimator_type = "classifier"

    def __init__(self, random_state: Any = None) -> None:
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "Spy":
        Spy.seen.append((np.asarray(X)[:, 0].astype(int), y, sample_weight, self.random_state))
        self.n_features_in_ = X.shape[1]
        return self

    def _get_support_mask(self) -> np.ndarray:
        return np.arange(self.n_features_in_) == 0

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        return tags


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_what_matters_is_selected(kind: str) -> None:
    X, y = data(kind)
    model = selector(kind, estimator__max_epochs=60)
    selection = stability_selection(model, X, y, n_pairs=3, random_state=0)
    assert np.flatnonzero(selection.support).tolist() == RELEVANT
    assert selection.n_selected == 2
    assert selection.threshold == 0.75
    assert selection.max_false == pytest.approx(2 * 2 / 8 / 0.5)
    np.testing.assert_array_equal(selection.frequencies, selection.supports.mean(axis=0))
    assert selection.supports.shape == (6, 8)


def test_the_halves_of_a_pair_have_no_row_in_common_and_the_same_classes() -> None:
    Spy.seen.clear()
    X, y = np.arange(31.0)[:, None] * [1, 2], np.repeat([0, 1], [10, 21])
    weights = np.arange(31.0)
    stability_selection(Spy(), X, y, n_pairs=5, random_state=0, sample_weight=weights)
    assert len(Spy.seen) == 10
    assert len({seed for *_, seed in Spy.seen}) == 10
    pairs = set()
    for one, other in zip(Spy.seen[::2], Spy.seen[1::2], strict=True):
        assert not {*one[0]} & {*other[0]}
        for rows, targets, row_weights, _ in (one, other):
            np.testing.assert_array_equal(targets, y[rows])
            np.testing.assert_array_equal(row_weights, rows)
            assert np.bincount(targets).tolist() == [5, 10]
        pairs.add(tuple(one[0]))
    assert len(pairs) == 5


def test_it_is_the_same_in_parallel_and_for_a_data_frame() -> None:
    one = found()
    with parallel_config(backend="threading"):
        other = found(n_jobs=2)
    np.testing.assert_array_equal(one.supports, other.supports)
    X, y = data("classifier")
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    third = stability_selection(selector(), frame, pd.Series(y), n_pairs=3, random_state=0)
    np.testing.assert_array_equal(one.supports, third.supports)


def test_a_pipeline_is_fitted_as_a_whole() -> None:
    X, y = data("classifier")
    model = make_pipeline(StandardScaler(), selector())
    weights = np.ones(200)
    selection = stability_selection(
        model, X * 10.0 ** np.arange(8), y, n_pairs=2, random_state=0, sample_weight=weights
    )
    assert np.flatnonzero(selection.support).tolist() == RELEVANT
    assert not hasattr(model[-1], "estimator_")


def test_a_threshold_follows_from_how_many_may_be_wrong() -> None:
    selection = found(n_pairs=4, max_false=0.6)
    assert selection.threshold == 1.0  # 4 / 8 / (2 * threshold - 1) <= 0.6 from 0.917 on
    assert selection.max_false == pytest.approx(0.5)
    with pytest.raises(InvalidParameterError, match="which is too many for max_false"):
        found(max_false=0.1)


def trained() -> Any:
    X, y = data("classifier")
    net = classifier_net(module__n_features=8, module__n_outputs=2)
    return net.fit(X.astype(np.float32), y)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_trained_net_is_an_error(frozen: bool) -> None:
    X, y = data("classifier")
    net = FrozenEstimator(trained()) if frozen else trained()
    estimator = PrunedFeatureSelector(net, n_features_to_select=2)
    with pytest.raises(InvalidParameterError, match="estimator of the selector is a net that is"):
        stability_selection(estimator, X, y)
    with pytest.raises(InvalidParameterError, match="__estimator of the selector is a net that"):
        stability_selection(make_pipeline(StandardScaler(), estimator), X, y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"threshold": 0.6, "max_false": 1}, "Give one of them"),
        ({"threshold": 0.5}, r"threshold must be in \(0\.5, 1\]"),
        ({"threshold": "high"}, "threshold must be a number above 0"),
        ({"max_false": 0}, "max_false must be a number above 0"),
        ({"n_pairs": 0}, "n_pairs must be 1 or more"),
    ],
)
def test_parameters_that_make_no_sense_are_an_error(params: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        found(**params)


def test_of_pure_noise_no_more_is_selected_than_the_bound_says() -> None:
    """With a selector that is cheap; benchmarks/stability_selection.py does it with networks."""
    rng = np.random.default_rng(0)
    frequencies = []
    for _ in range(200):
        selection = stability_selection(
            SelectKBest(f_regression, k=4),
            rng.normal(size=(40, 20)),
            rng.normal(size=40),
            n_pairs=5,
            random_state=rng.integers(2**31),
        )
        frequencies.append(selection.frequencies)
    for threshold, assumption in [(0.6, "none"), (0.7, "none"), (0.7, "unimodal")]:
        wrong = (np.array(frequencies) >= threshold - 1e-9).sum(axis=1).mean()
        bound = false_selection_bound(threshold, 4, 20, n_pairs=5, assumption=assumption)
        assert 0 < wrong <= bound
