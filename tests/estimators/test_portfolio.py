"""Strategies that a search goes through where the user names none."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from skprune import PrunedClassifierCV, PrunedRegressorCV
from skprune.estimators import portfolio
from skprune.estimators.folds import Fold, Point
from skprune.estimators.path import StrategyPath
from skprune.estimators.portfolio import PORTFOLIO, halved
from skprune.training.nets import default_classifier_net, default_regressor_net
from tests.estimators.common import blobs, classifier_net
from tests.estimators.cv_common import count_stages, data_for, net_with_weights

QUICK: dict[str, Any] = {"sparsities": [0.5], "cv": 2, "random_state": 0}


@pytest.mark.parametrize(
    ("net", "structure", "most", "expected"),
    [
        (default_classifier_net(), "weight", 50_000, "hessian"),
        (default_classifier_net(), "weight", 100, "magnitude"),
        (default_classifier_net(), "unit", 50_000, "hessian"),
        (default_classifier_net(), "feature", 50_000, "hessian"),
        (default_classifier_net(), "2:4", 50_000, "magnitude"),
        (classifier_net(), "weight", 50_000, "magnitude"),
    ],
)
def test_the_default_goes_by_the_network_and_what_is_removed(
    net: Any, structure: str, most: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portfolio, "_MOST_FOR_HESSIAN", most)
    X, y = blobs()
    search = PrunedClassifierCV(net.set_params(max_epochs=2), structure=structure, **QUICK)
    if structure == "2:4":
        search.set_params(sparsities=1)
    assert search.fit(X, y).strategy_ == expected
    assert search.strategies is None
    assert search.dropped_strategies_ == {}


def test_the_default_of_a_regressor() -> None:
    X, y = data_for("regressor")
    net = default_regressor_net().set_params(max_epochs=2)
    assert PrunedRegressorCV(net, **QUICK).fit(X, y).strategy_ == "hessian"


def test_what_is_left_of_the_portfolio_has_the_results_of_a_search_over_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    auto = PrunedClassifierCV(
        classifier_net(max_epochs=3), strategies="auto", sparsities=[0.5, 0.9], cv=4, random_state=0
    ).fit(X, y)
    assert stages.count("training the dense network") == 5
    left = list(auto.stability_)
    assert len(left) == 2
    assert [name for name in PORTFOLIO if name in left] == left
    assert auto.dropped_strategies_ == {
        name: "kept less of the score, after fold 1" for name in PORTFOLIO if name not in left
    }
    named = clone(auto).set_params(strategies=left).fit(X, y)
    np.testing.assert_array_equal(auto.score_path_, named.score_path_)
    assert auto.best_params_ == named.best_params_
    assert auto.best_score_interval_ == named.best_score_interval_


def test_no_strategy_is_begun_when_the_time_is_over() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(max_epochs=2), strategies="auto", max_time=1e-9, **QUICK
    ).fit(X, y)
    assert list(search.stability_) == ["magnitude"]
    assert search.dropped_strategies_ == dict.fromkeys(PORTFOLIO[1:], portfolio.NOT_BEGUN)
    with pytest.raises(ValueError, match="'max_time' parameter of PrunedClassifierCV"):
        search.set_params(max_time=0).fit(X, y)


def test_a_strategy_that_does_not_suit_takes_no_part() -> None:
    net, X, y = net_with_weights("classifier", "trained")
    search = PrunedClassifierCV(net, strategies="auto", fine_tune_epochs=2, **QUICK).fit(X, y)
    assert search.dropped_strategies_["lottery_ticket"].startswith(
        "does not suit: Rewind goes back to early weights"
    )
    with pytest.raises(ValueError, match="sparsities must be in"):
        search.set_params(sparsities=[2.0]).fit(X, y)


def fold_of(dense: float, *scores: float) -> Fold:
    points = [Point(0.0, 0.0, {"score": s}, np.zeros(1), 8, None, None) for s in (dense, *scores)]
    return Fold(points[0], points[1:], None)


def test_the_half_stays_that_keeps_the_score_along_the_path() -> None:
    branches = [StrategyPath(name, [0.5, 0.9]) for name in "abc"]
    # What is better than dense does not make up for what is worse: means of 0.75, 0.85 and 0.8.
    folds = [
        fold_of(0.9, 1.0, 0.6, 0.85, 0.85, 0.9, 0.7),
        fold_of(0.9, 1.0, 0.6, 0.85, 0.85, 0.9, 0.7),
    ]
    left, kept = halved(folds, branches, "score")
    assert [branch.strategy for branch in kept] == ["b", "c"]
    assert [point.scores["score"] for point in left[1].points] == [0.85, 0.85, 0.9, 0.7]
    assert left[0].dense.scores["score"] == 0.9
    # Of equals, the first; one without a score is the worst.
    nan = float("nan")
    _, kept = halved([fold_of(0.9, 0.8, 0.8, 0.8, 0.8)], branches[:2], "score")
    assert [branch.strategy for branch in kept] == ["a"]
    _, kept = halved([fold_of(0.9, nan, 0.8, 0.1, 0.1)], branches[:2], "score")
    assert [branch.strategy for branch in kept] == ["b"]
