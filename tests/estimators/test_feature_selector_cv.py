"""The number of features, chosen by cross-validation."""

import pickle
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold

from skprune import PrunedFeatureSelector, PrunedFeatureSelectorCV
from skprune._sklearn import InvalidParameterError
from skprune.model_selection import sparsest_within
from tests.estimators.test_feature_selector import RELEVANT, data


def selector(kind: str = "classifier", **params: Any) -> PrunedFeatureSelectorCV:
    params = {"candidates": [8, 2, 1], "cv": 3, "estimator__max_epochs": 30} | params
    return PrunedFeatureSelectorCV(kind, random_state=0).set_params(**params)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_it_chooses_how_many_features_matter(kind: str) -> None:
    X, y = data(kind)
    fitted = selector(kind, estimator__max_epochs=60).fit(X, y)
    assert fitted.get_support(indices=True).tolist() == RELEVANT
    assert fitted.candidates_.tolist() == [8, 2, 1]
    assert fitted.cv_results_["param_n_features"].tolist() == [8, 2, 1]
    assert fitted.support_path_.shape == (3, 3, 8)
    np.testing.assert_array_equal(fitted.support_path_.sum(axis=2).T, [[8, 2, 1]] * 3)
    assert fitted.score(X, y) > 0.9
    assert fitted.transform(X).shape == (200, 2)


def test_its_scores_are_those_of_a_grid_search() -> None:
    X, y = data("classifier")
    fitted = selector(selection="best").fit(X, y)
    one = PrunedFeatureSelector(random_state=0).set_params(estimator__max_epochs=30)
    grid = GridSearchCV(one, {"n_features_to_select": [8, 2, 1]}, cv=3).fit(X, y)
    key = "mean_test_score"
    np.testing.assert_array_equal(fitted.cv_results_[key], grid.cv_results_[key])
    number = int(fitted.candidates_[fitted.best_index_])
    same = one.set_params(n_features_to_select=number).fit(X, y)
    np.testing.assert_array_equal(same.predict_proba(X), fitted.predict_proba(X))


def test_the_supports_of_the_folds_are_those_of_fits_on_their_rows() -> None:
    X, y = data("classifier")
    fitted = selector(candidates=[3]).fit(X, y)

    for number, (train, _) in enumerate(StratifiedKFold(3).split(X, y)):
        one = PrunedFeatureSelector(n_features_to_select=3, random_state=0)
        one.set_params(estimator__max_epochs=30).fit(X[train], y[train])
        np.testing.assert_array_equal(fitted.support_path_[0, number], one.get_support())


def test_a_number_of_candidates_is_spread_by_ratio() -> None:
    X, y = data("classifier")
    assert selector(candidates=4, cv=2).fit(X, y).candidates_.tolist() == [8, 4, 2, 1]
    assert selector(candidates=3, cv=2).fit(X[:, :2], y).candidates_.tolist() == [2, 1]
    groups = [[0, 1], [2, 3], [4, 5, 6]]
    fitted = selector(candidates=[1, 0.5], cv=2, groups=groups).fit(X, y)
    assert fitted.candidates_.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([9], r"candidates\[0\] is 9; it must be a number of features from 1 to 8"),
        ([2, 0], r"candidates\[1\] is 0"),
        ([1.5], r"candidates\[0\] is 1\.5"),
        ([2, 0.25], r"candidates\[1\]=0\.25 is 2 of 8, which is there twice"),
        ([], "candidates is empty"),
        (["two"], r"candidates\[0\] is 'two'"),
    ],
)
def test_candidates_that_make_no_sense_are_an_error(candidates: Any, message: str) -> None:
    X, y = data("classifier")
    with pytest.raises(InvalidParameterError, match=message):
        selector(candidates=candidates).fit(X, y)


def test_rules_choose_as_in_other_searches() -> None:
    X, y = data("classifier")
    rule = sparsest_within("score", tolerance=1.0, cost="sparsity")
    assert selector(selection=rule, cv=2).fit(X, y).n_features_ == 1
    with pytest.raises(ValueError, match="'selection' parameter of PrunedFeatureSelectorCV"):
        selector(selection="worst").fit(X, y)


def test_a_chained_path_is_another_one() -> None:
    X, y = data("classifier")
    fitted = selector(path="chained", candidates=[4, 2]).fit(X, y)
    wide, narrow = fitted.support_path_
    assert (wide | ~narrow).all()


def test_groups_of_rows_go_to_the_splitter_and_groups_of_features_do_not() -> None:
    X, y = data("regressor")
    rows = np.arange(200) % 2
    fitted = selector("regressor", cv=GroupKFold(2), groups=[[0, 1]]).set_params(candidates=[7, 2])
    fitted.fit(X, y, groups=rows)
    assert fitted.support_[0] == fitted.support_[1]
    with pytest.raises(ValueError, match="groups"):
        fitted.fit(X, y)


def test_weights_are_routed() -> None:
    X, y = data("regressor")
    weights = np.repeat([1.0, 0.0], 100)
    with sklearn.config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError):
            selector("regressor", cv=KFold(2, shuffle=True, random_state=0)).fit(
                X, y, sample_weight=weights
            )
        asking = selector("regressor", cv=KFold(2, shuffle=True, random_state=0))
        asking.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        asking.fit(X, y, sample_weight=weights)
    plain = selector("regressor", cv=KFold(2, shuffle=True, random_state=0))
    plain.fit(X, y, sample_weight=weights)
    key = "mean_test_score"
    np.testing.assert_array_equal(asking.cv_results_[key], plain.cv_results_[key])
    assert plain.score(X, y, sample_weight=weights) != plain.score(X, y)


def test_it_survives_pickling_and_a_failed_fit() -> None:
    X, y = data("classifier")
    fitted = selector(cv=2, candidates=[2]).fit(X, y)
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    with pytest.raises(ValueError, match="contains NaN"):
        loaded.fit(np.full_like(X, np.nan), y)
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
