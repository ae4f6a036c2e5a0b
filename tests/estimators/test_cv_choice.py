"""How a cross-validated estimator chooses, and what it scores by."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import check_scoring, r2_score
from sklearn.model_selection import KFold, RepeatedKFold, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    PrunedRegressorCV,
)
from skprune.estimators.choice import choose
from skprune.metrics import macs_scorer, sparsity_scorer
from skprune.model_selection import NonInferior, sparsest_within
from tests.estimators.common import (
    blobs,
    classifier_net,
    regressor_net,
)
from tests.estimators.cv_common import (
    SPARSITIES,
    count_stages,
    data_for,
)


def results_of(means: list[float], spread: float = 0.01) -> dict[str, Any]:
    mean = np.array(means)
    return {
        "split0_test_score": mean - spread,
        "split1_test_score": mean + spread,
        "mean_test_score": mean,
        "param_sparsity": np.ma.array([0.5, 0.8, 0.9, 0.5, 0.8, 0.9]),
        "params": [{"strategy": s, "sparsity": p} for s in ("a", "b") for p in (0.5, 0.8, 0.9)],
    }


def chosen(selection: Any, means: list[float], **options: Any) -> int:
    return choose(selection, results_of(means, **options), "score").index


def test_the_choice() -> None:
    nan = float("nan")
    assert chosen("best", [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]) == 0
    # Of equally good ones, the sparsest.
    assert chosen("best", [0.9, 0.9, 0.7, 0.6, 0.5, 0.4]) == 1
    # The standard error is that of the best: spread / sqrt(2) * sqrt(2) / sqrt(1) = spread.
    assert chosen("one_std_err", [0.9, 0.895, 0.7, 0.6, 0.893, 0.4]) == 1
    assert chosen("one_std_err", [0.9, 0.88, 0.7, 0.6, 0.893, 0.4]) == 4
    assert chosen("one_std_err", [0.9, 0.88, 0.7, 0.6, 0.88, 0.4]) == 0
    with pytest.warns(UserWarning, match=r"NaN for 1 of 6 candidates, such as sparsity=0.5"):
        assert chosen("best", [nan, 0.8, 0.7, 0.6, 0.5, 0.4]) == 1
    with pytest.raises(ValueError, match="'score' is NaN at every sparsity"):
        chosen("best", [nan] * 6)
    for wrong in (6, -1, 0.5, None):
        with pytest.raises(ValueError, match="selection must return the index of one of 6"):
            chosen(lambda _, wrong=wrong: wrong, [0.9] * 6)


def test_a_rule_of_the_refit_kind_chooses() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(),
        sparsities=SPARSITIES,
        cv=3,
        scoring={"accuracy": "accuracy", "sparsity": sparsity_scorer},
        selection=sparsest_within("accuracy", tolerance=1.0, cost="sparsity"),
    ).fit(X, y)
    assert search.best_index_ == 2
    with pytest.raises(ValueError, match=r"no metric 'acuracy'\. Did you mean 'accuracy'"):
        clone(search).set_params(selection=sparsest_within("acuracy", cost="sparsity")).fit(X, y)


def never(estimator: Any, X: Any, y: Any) -> float:
    return float("nan")


def test_the_metric_of_a_rule_decides() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(),
        sparsities=SPARSITIES,
        cv=3,
        scoring={"never": never, "accuracy": "accuracy"},
        selection=sparsest_within("accuracy", tolerance=1.0, cost="sparsity"),
        random_state=0,
    ).fit(X, y)
    assert search.best_index_ == 2
    assert search.metric_ == "accuracy"
    assert search.best_score_ == search.cv_results_["mean_test_accuracy"][2]
    np.testing.assert_array_equal(
        search.score_path_.mean(axis=1), search.cv_results_["mean_test_accuracy"]
    )
    # Another function may look at what it likes; the scores are then those of the first metric.
    search.set_params(selection=lambda results: int(np.argmax(results["mean_test_accuracy"])))
    search.fit(X, y)
    assert search.best_index_ == np.argmax(search.cv_results_["mean_test_accuracy"])
    assert search.metric_ == "never"
    assert np.isnan(search.best_score_)
    with pytest.raises(ValueError, match="'never' is NaN at every sparsity"):
        search.set_params(selection="best").fit(X, y)


def test_a_set_of_metrics() -> None:
    X, y = blobs()
    params = {"sparsities": SPARSITIES, "cv": 3, "random_state": 0}
    names = ["neg_log_loss", "accuracy", "f1_macro"]
    search = PrunedClassifierCV(classifier_net(), scoring=set(names), **params).fit(X, y)
    listed = PrunedClassifierCV(classifier_net(), scoring=sorted(names), **params).fit(X, y)
    assert search.metric_ == listed.metric_ == "accuracy"
    assert search.best_index_ == listed.best_index_
    assert list(search.dense_scores_) == sorted(names)


@pytest.mark.parametrize("wrong", [None, "good", np.array([0.5, 0.6]), {"a": "good"}])
def test_a_scorer_that_returns_no_number(wrong: Any) -> None:
    X, y = blobs()
    calls = []

    def score(estimator: Any, X: Any, y: Any) -> Any:
        calls.append(estimator)
        return wrong

    search = PrunedClassifierCV(classifier_net(), sparsities=SPARSITIES, cv=3, scoring=score)
    metric = "a" if isinstance(wrong, dict) else "score"
    with pytest.raises(ValueError, match=rf"must return a number; for '{metric}' it returned"):
        search.fit(X, y)
    assert len(calls) == 1  # the dense network of the first fold


def test_a_scorer_that_returns_an_array_of_one() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(), sparsities=[0.5], cv=2, scoring=lambda *_: np.array(0.5, np.float32)
    ).fit(X, y)
    assert search.best_score_ == 0.5


def nan_above(limit: float) -> Any:
    def score(estimator: Any, X: Any, y: Any) -> float:
        return float("nan") if estimator.sparsity_ > limit else float(estimator.score(X, y))

    return score


def test_a_score_that_is_nan_for_one_sparsity() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(), sparsities=SPARSITIES, cv=3, scoring=nan_above(0.8), random_state=0
    )
    with pytest.warns(UserWarning, match=r"sparsity=0.9, strategy='magnitude'"):
        search.fit(X, y)
    assert search.best_index_ in (0, 1)
    assert search.cv_results_["rank_test_score"][2] == 3
    with pytest.raises(ValueError, match="NaN at every sparsity"):
        clone(search).set_params(scoring=nan_above(0.0)).fit(X, y)


# What a fitted search scores by.


def score_and_macs(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    return {"macs": macs_scorer(estimator), "score": estimator.score(X, y)}


@pytest.mark.parametrize("scoring", [None, "roc_auc", "neg_log_loss", score_and_macs])
@pytest.mark.parametrize("selection", ["best", sparsest_within("score", cost="sparsity")])
def test_a_search_scores_by_what_chose(scoring: Any, selection: Any) -> None:
    X, y = blobs(n_classes=2)
    search = PrunedClassifierCV(
        classifier_net(max_epochs=1),
        sparsities=[0.5, 0.8],
        cv=2,
        scoring=scoring,
        selection=selection,
        random_state=0,
    ).fit(X, y)
    alone = PrunedClassifier(
        classifier_net(max_epochs=1), sparsity=search.best_params_["sparsity"], random_state=0
    ).fit(X, y)
    if scoring is score_and_macs:
        expected = score_and_macs(alone, X, y)[search.metric_]
    else:
        expected = check_scoring(alone, scoring)(alone, X, y)
    assert search.score(X, y) == expected
    assert pickle.loads(pickle.dumps(search)).score(X, y) == expected


def test_the_metric_that_decided_scores() -> None:
    X, y = data_for("regressor")
    search = PrunedRegressorCV(
        regressor_net(),
        sparsities=[0.5],
        cv=2,
        scoring=["neg_mean_squared_error", "r2"],
        selection=sparsest_within("r2", cost="sparsity"),
        random_state=0,
    ).fit(X, y)
    weights = np.linspace(0.1, 3.0, len(y))
    predicted = search.predict(X)
    assert search.score(X, y) == r2_score(y, predicted)
    assert search.score(X, y, sample_weight=weights) == (
        r2_score(y, predicted, sample_weight=weights)
    )
    search.set_params(selection="best", scoring="neg_max_error").fit(X, y)
    with pytest.raises(ValueError, match="scoring='neg_max_error' takes no sample_weight"):
        search.score(X, y, sample_weight=weights)


def test_a_metric_to_go_by_that_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    search = PrunedClassifierCV(
        classifier_net(), scoring=["accuracy", "f1_macro"], selection=sparsest_within("acuracy")
    )
    with pytest.raises(ValueError, match=r"no metric 'acuracy'\. Did you mean 'accuracy'"):
        search.fit(X, y)
    assert stages == []


def test_a_cost_that_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    search = PrunedClassifierCV(
        classifier_net(), scoring=["accuracy", "f1_macro"], selection=sparsest_within("accuracy")
    )
    with pytest.raises(ValueError, match="cost='macs', which scoring does not measure"):
        search.fit(X, y)
    assert stages == []


def test_a_fold_whose_test_rows_weigh_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    weights = np.ones(len(y))
    weights[: len(y) // 3] = 0
    search = PrunedClassifierCV(classifier_net(), cv=KFold(3), random_state=0)
    with pytest.raises(ValueError, match="Fold 0 has no test row with a weight"):
        search.fit(X, y, sample_weight=weights)
    assert stages == []


def test_a_mapping_of_inputs() -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = torch.nn.Linear(2, 8)
            self.output = torch.nn.Linear(8, 3)

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return self.output(self.hidden(left + right).relu())

    X, y = blobs()
    search = PrunedClassifierCV(classifier_net(Two), sparsities=[0.5], cv=3, random_state=0)
    search.fit({"left": X[:, :2], "right": X[:, :2]}, y)
    assert search.predict({"left": X[:, :2], "right": X[:, :2]}).shape == y.shape


def test_text_labels_in_a_frame_and_a_pipeline() -> None:
    X, y = blobs()
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    labels = np.array(["low", "mid", "top"])[y]
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5, 0.8], cv=3, random_state=0)
    search.fit(frame, labels)
    assert search.classes_.tolist() == ["low", "mid", "top"]
    assert search.feature_names_in_.tolist() == list(frame)
    assert search.stability_["magnitude"]["recall_change"].shape == (2, 3)
    scores = cross_val_score(make_pipeline(StandardScaler(), clone(search)), frame, labels, cv=3)
    assert scores.shape == (3,)


def test_a_second_fit_forgets_the_first() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=2, random_state=0)
    search.fit(pd.DataFrame(X, columns=list("abcd")), y)
    assert search.feature_names_in_.tolist() == list("abcd")
    search.fit(X, y)
    assert not hasattr(search, "feature_names_in_")


# What is said of the choice.


def rows_of(search: Any) -> dict[str, Any]:
    return search.selection_report_.columns


@pytest.mark.parametrize(
    ("selection", "rule"),
    [
        ("best", "sparsest_within('score', tolerance=0.0, cost='sparsity')"),
        ("one_std_err", "sparsest_within('score', n_std_err=1.0, cost='sparsity')"),
        ("non_inferior", "NonInferior(relative=True, scoring='score')"),
        (NonInferior(0.3), "NonInferior(margin=0.3)"),
        (lambda results: 1, "<lambda>"),
    ],
)
def test_the_report_says_why(selection: Any, rule: str) -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(), sparsities=SPARSITIES, cv=3, selection=selection, random_state=0
    ).fit(X, y)
    report = search.selection_report_
    assert report.rule == rule
    assert report.index == search.best_index_
    assert report.columns["why"][search.best_index_] == "chosen"
    assert report.columns["strategy"] == ["magnitude"] * 3
    assert report.columns["sparsity"] == SPARSITIES
    assert report.columns["score"] == pytest.approx(search.score_path_.mean(axis=1))
    best = selection in ("best", "one_std_err")
    dense = search.score_path_[np.argmax(search.score_path_.mean(axis=1))]
    dense = dense if best else search.dense_scores_["score"]
    assert report.columns["difference"] == pytest.approx((search.score_path_ - dense).mean(axis=1))
    assert pickle.loads(pickle.dumps(report)).columns == report.columns
    # A rule finds the same in the results that a search leaves.
    if isinstance(selection, NonInferior):
        assert selection(search.cv_results_) == search.best_index_
        assert selection(pd.DataFrame(search.cv_results_)) == search.best_index_


def test_where_no_candidate_is_good_enough_the_search_says_so() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(max_epochs=20), sparsities=[0.97], cv=3, selection="non_inferior"
    )
    with pytest.warns(UserWarning, match=r"No candidate is good enough for NonInferior.*0\.97"):
        search.fit(X, y)
    assert not search.selection_report_.found


@pytest.mark.parametrize(
    ("cv", "ratio"),
    [
        (KFold(3), 0.0),
        (RepeatedKFold(n_splits=3, n_repeats=2, random_state=0), 0.5),
        (ShuffleSplit(4, test_size=15, train_size=40, random_state=0), 15 / 40),
        (ShuffleSplit(1, test_size=15, random_state=0), 0.0),
    ],
)
def test_splits_that_overlap_widen_the_intervals(cv: Any, ratio: float) -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(), sparsities=[0.5], cv=cv, selection=NonInferior(1.0), random_state=0
    ).fit(X, y)
    assert search.cv_results_["test_ratio"].tolist() == [ratio]
    differences = search.score_path_[0] - search.dense_scores_["score"]
    n = len(differences)
    spread = differences.std(ddof=1) if n > 1 else 0.0
    assert rows_of(search)["std_err"] == pytest.approx([spread * (1 / n + ratio) ** 0.5])


def test_the_metric_that_decides_is_the_one_that_a_rule_without_one_goes_by() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(),
        sparsities=SPARSITIES,
        cv=3,
        scoring={"accuracy": "accuracy", "macs": macs_scorer},
        selection=NonInferior(1.0, cost="macs"),
        random_state=0,
    ).fit(X, y)
    assert search.metric_ == "accuracy"
    assert search.best_index_ == 2
    with pytest.raises(ValueError, match="cost='bytes', which scoring does not measure"):
        search.set_params(selection=NonInferior(cost="bytes")).fit(X, y)
