"""Weights in the scores of a cross-validation, and other metadata."""

from typing import Any

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import make_scorer
from sklearn.model_selection import (
    GroupKFold,
    StratifiedKFold,
    cross_validate,
)

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
)
from tests.estimators.common import (
    blobs,
    classifier_net,
    net_for,
)
from tests.estimators.cv_common import (
    CROSS_VALIDATED,
    SPARSITIES,
    count_stages,
    data_for,
    every_kind,
    grid_of,
)

# Weights in the scores, and other metadata.


def weighted_accuracy(y: Any, predicted: Any, sample_weight: Any = None) -> float:
    return float(np.average(y == predicted, weights=sample_weight))


@every_kind
def test_weights_count_in_the_scores_as_they_do_in_a_grid_search(kind: str) -> None:
    X, y = data_for(kind)
    weights = np.linspace(0.1, 3.0, len(y)) ** 2
    grid = grid_of(kind, net_for(kind)).fit(X, y, sample_weight=weights)
    search = CROSS_VALIDATED[kind](net_for(kind), sparsities=SPARSITIES, cv=3, random_state=0)
    search.fit(X, y, sample_weight=weights)
    for number in range(3):
        key = f"split{number}_test_score"
        np.testing.assert_array_equal(search.cv_results_[key], grid.cv_results_[key])


@pytest.mark.parametrize("in_loss", [True, False])
def test_a_scorer_that_asks_for_weights_gets_those_of_the_test_rows(in_loss: bool) -> None:
    X, y = blobs()
    weights = np.linspace(0.1, 3.0, len(y)) ** 2
    groups = np.repeat(np.arange(12), 5)
    with config_context(enable_metadata_routing=True):
        scorer = make_scorer(weighted_accuracy).set_score_request(sample_weight=True)
        search = PrunedClassifierCV(
            classifier_net(),
            sparsities=[0.5],
            cv=GroupKFold(3),
            scoring={"plain": "accuracy", "weighted": scorer},
            random_state=0,
        )
        search.set_params(scoring={"weighted": scorer}).set_fit_request(sample_weight=in_loss)
        search.fit(X, y, sample_weight=weights, groups=groups)
        score = search.score(X, y, sample_weight=weights)
    assert score == weighted_accuracy(y, search.predict(X), weights)
    plain = PrunedClassifier(classifier_net(), sparsity=0.5, random_state=0)
    for number, (train, test) in enumerate(GroupKFold(3).split(X, y, groups)):
        own = weights[train] if in_loss else None
        alone = clone(plain).fit(X[train], y[train], sample_weight=own)
        expected = weighted_accuracy(y[test], alone.predict(X[test]), weights[test])
        assert search.score_path_[0, number] == expected


def scaled(y: Any, predicted: Any, factors: Any = None) -> float:
    return float(np.mean((y == predicted) * factors))


def test_a_scorer_gets_what_else_it_asks_for() -> None:
    X, y = blobs()
    factors = np.arange(len(y), dtype=float)
    with config_context(enable_metadata_routing=True):
        scorer = make_scorer(scaled).set_score_request(factors=True)
        search = PrunedClassifierCV(
            classifier_net(), sparsities=[0.5], cv=2, scoring=scorer, random_state=0
        ).fit(X, y, factors=factors)
        assert search.score(X, y, factors=factors) == scaled(y, search.predict(X), factors)
    for number, (train, test) in enumerate(StratifiedKFold(2).split(X, y)):
        alone = PrunedClassifier(classifier_net(), sparsity=0.5, random_state=0)
        predicted = alone.fit(X[train], y[train]).predict(X[test])
        assert search.score_path_[0, number] == scaled(y[test], predicted, factors[test])


def test_metadata_that_nobody_asks_for_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=2, scoring="accuracy")
    with pytest.raises(ValueError, match="only supported if enable_metadata_routing=True"):
        search.fit(X, y, factors=y)
    with config_context(enable_metadata_routing=True):
        for params in ({"factors": y}, {"groups": y}):
            with pytest.raises(TypeError, match=r"unexpected argument\(s\) {'(factors|groups)'}"):
                search.fit(X, y, **params)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            search.fit(X, y, sample_weight=np.ones(len(y)))
    assert stages == []


def test_groups_and_weights_are_routed_through_a_cross_validation() -> None:
    X, y = blobs()[0], np.tile(np.arange(3), 20)  # each group has all classes
    metadata = {
        "sample_weight": np.linspace(0.1, 3.0, len(y)),
        "groups": np.repeat(np.arange(12), 5),
    }
    with config_context(enable_metadata_routing=True):
        search = PrunedClassifierCV(
            classifier_net(), sparsities=[0.5], cv=GroupKFold(2), random_state=0
        )
        search.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        found = cross_validate(search, X, y, cv=GroupKFold(2), params=metadata)["test_score"]
        for number, (train, test) in enumerate(GroupKFold(2).split(X, y, metadata["groups"])):
            of_train, of_test = (
                {name: values[rows] for name, values in metadata.items()} for rows in (train, test)
            )
            alone = clone(search).fit(X[train], y[train], **of_train)
            weights = of_test["sample_weight"]
            assert found[number] == alone.score(X[test], y[test], sample_weight=weights)
