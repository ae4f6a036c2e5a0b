"""Scores of what was chosen that the choice has not made too good."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer, make_scorer, precision_score
from sklearn.model_selection import RepeatedKFold

from skprune import PrunedClassifierCV, PrunedRegressorCV
from skprune.estimators import corrected
from skprune.estimators.outcomes import outcome_of, responses_of
from skprune.model_selection import NonInferior
from tests.estimators.common import blobs, classifier_net, net_for, regressor_net
from tests.estimators.cv_common import CROSS_VALIDATED, SPARSITIES, data_for, every_kind

SCORERS = [
    ("classifier", get_scorer("accuracy")),
    ("classifier", get_scorer("roc_auc")),
    ("classifier", get_scorer("neg_log_loss")),
    ("classifier", make_scorer(precision_score, zero_division=0.0)),
    ("regressor", get_scorer("r2")),
    ("regressor", get_scorer("neg_mean_squared_error")),
    ("regressor", get_scorer("neg_mean_absolute_error")),
    ("regressor", get_scorer("neg_root_mean_squared_error")),
    ("several", get_scorer("r2")),
    ("several", get_scorer("neg_mean_squared_error")),
]


@pytest.mark.parametrize(("kind", "scorer"), SCORERS, ids=lambda value: str(value)[:45])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_outcome_is_the_scorers_score_of_repeated_rows(
    kind: str, scorer: Any, weighted: bool
) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4))
    y = X[:, 0] + rng.normal(size=50)
    y = y > 0 if kind == "classifier" else np.stack([y, y**2], axis=1) if kind == "several" else y
    kinds = {"classifier": lambda: LogisticRegression(C=rng.uniform())}
    make = kinds.get(kind, LinearRegression)
    models = [make().fit(X[i : i + 20], y[i : i + 20]) for i in (0, 10)]
    params = {"sample_weight": rng.uniform(size=50)} if weighted else {}
    outcome = outcome_of(
        scorer, [responses_of(scorer, model, X) for model in models], models[0], y, params
    )
    counts = rng.integers(0, 3, 50)
    rows = np.repeat(np.arange(50), counts)
    of_rows = {name: values[rows] for name, values in params.items()}
    expected = [scorer(model, X[rows], y[rows], **of_rows) for model in models]
    np.testing.assert_allclose(outcome(counts), expected)
    np.testing.assert_allclose(outcome(counts, 1), expected[1:])
    np.testing.assert_allclose(outcome.some([1])(counts), expected[1:])
    joined = outcome.joined([outcome])
    np.testing.assert_allclose(joined(np.concatenate([counts, 0 * counts])), expected)
    np.testing.assert_allclose(
        joined(np.concatenate([counts // 2, counts - counts // 2])), expected
    )
    again = pickle.loads(pickle.dumps(outcome))
    np.testing.assert_allclose(again(counts), expected)


def test_rows_that_a_metric_has_no_value_for() -> None:
    X, y = blobs(n_classes=2)
    model = LogisticRegression().fit(X, y)
    scorer = get_scorer("roc_auc")
    outcome = outcome_of(scorer, [responses_of(scorer, model, X)], model, y, {})
    assert np.isnan(outcome((y == 0).astype(int))).all()


@every_kind
@pytest.mark.parametrize("selection", ["one_std_err", NonInferior(0.2), lambda results: 1])
def test_a_search_has_a_corrected_score(kind: str, selection: Any) -> None:
    X, y = data_for(kind)
    search = CROSS_VALIDATED[kind](
        net_for(kind), sparsities=SPARSITIES, cv=3, selection=selection, random_state=0
    ).fit(X, y)
    lower, upper = search.best_score_interval_
    assert lower < search.best_score_corrected_ < upper
    if callable(selection) and not isinstance(selection, NonInferior):
        # What is always chosen is no better for it.
        mean = search.cv_results_["mean_test_score"][1]
        assert search.best_score_corrected_ == pytest.approx(mean, abs=0.05)
    else:
        loaded = pickle.loads(pickle.dumps(search))
        assert loaded.best_score_interval_ == (lower, upper)


def test_a_function_is_asked_with_the_scores_of_the_drawn_rows() -> None:
    X, y = blobs()
    seen = []

    def selection(results: dict[str, Any]) -> int:
        splits = [results[f"split{i}_test_score"] for i in range(3)]
        np.testing.assert_allclose(results["mean_test_score"], np.mean(splits, axis=0))
        seen.append(tuple(results["mean_test_score"]))
        return int(np.argmax(results["mean_test_score"]))

    search = PrunedClassifierCV(
        classifier_net(), sparsities=SPARSITIES, cv=3, selection=selection, random_state=0
    ).fit(X, y)
    assert len(seen) == 1
    score = search.best_score_corrected_
    assert len(set(seen)) > 20
    assert clone(search).fit(X, y).best_score_corrected_ == score
    best = clone(search).set_params(selection="best").fit(X, y)
    assert best.best_score_corrected_ == pytest.approx(score, abs=0.03)


def test_repeated_folds_and_metrics_that_only_scikit_learn_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(corrected, "_N_SLOW_DRAWS", 20)
    X, y = blobs(n_classes=2)
    search = PrunedClassifierCV(
        classifier_net(max_epochs=2),
        sparsities=[0.5],
        cv=RepeatedKFold(n_splits=2, n_repeats=2, random_state=0),
        scoring=["f1", "accuracy"],
        random_state=0,
    ).fit(X, y)
    assert search.best_score_corrected_ == pytest.approx(search.best_score_, abs=0.1)


def test_a_scorer_that_may_look_at_anything_has_no_corrected_score() -> None:
    X, y = data_for("regressor")
    search = PrunedRegressorCV(
        regressor_net(),
        sparsities=[0.5],
        cv=2,
        scoring=lambda estimator, X, y: estimator.score(X, y),
        random_state=0,
    )
    with pytest.raises(AttributeError, match="not fitted"):
        search.best_score_interval_  # noqa: B018
    search.fit(X, y)
    with pytest.raises(AttributeError, match=r"scoring=<function .* may look at anything"):
        search.best_score_corrected_  # noqa: B018
