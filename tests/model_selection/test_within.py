"""Refit rules on tables made by hand, and inside scikit-learn's searches."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import PrunedClassifier
from skprune.metrics import macs_scorer, n_parameters_scorer, sparsity_scorer
from skprune.model_selection import pareto_front, sparsest_within
from skprune.training.nets import default_classifier_net


def table(scores, costs, spread=0.0):
    scores = np.asarray(scores, dtype=float)
    return {
        "params": [{} for _ in scores],
        "mean_test_accuracy": scores,
        "split0_test_accuracy": scores - spread,
        "split1_test_accuracy": scores + spread,
        "mean_test_macs": np.asarray(costs, dtype=float),
    }


@pytest.mark.parametrize(
    ("scores", "costs", "spread", "options", "expected"),
    [
        # spread 0.02 over two folds is a standard error of 0.02
        ([0.90, 0.885, 0.87], [-3, -2, -1], 0.02, {}, 1),
        ([0.90, 0.885, 0.87], [-3, -2, -1], 0.02, {"n_std_err": 2}, 2),
        ([0.90, 0.885, 0.87], [-3, -2, -1], 0.02, {"n_std_err": 0}, 0),
        ([0.90, 0.885, 0.87], [-3, -2, -1], 0.0, {"tolerance": 0.02}, 1),
        ([0.90, 0.885, 0.87], [-3, -2, -1], 0.9, {"tolerance": 0.0}, 0),
        ([0.90, 0.90, 0.90], [-2, -2, -2], 0.0, {}, 0),
        ([0.89, 0.90, 0.90], [-2, -2, -2], 0.1, {}, 1),
        ([np.nan, 0.90, 0.80], [-1, -3, -2], 0.0, {}, 1),
        ([0.90, 0.89, 0.88], [-3, np.nan, -2], 0.0, {"tolerance": 0.1}, 2),
    ],
)
def test_the_cheapest_that_is_nearly_the_best(scores, costs, spread, options, expected):
    assert sparsest_within("accuracy", **options)(table(scores, costs, spread)) == expected


def test_sparsity_may_be_the_parameter():
    results = table([0.9, 0.9, 0.5], [0, 0, 0])
    results["param_prunedclassifier__sparsity"] = np.ma.array([0.5, 0.8, 0.9])
    assert sparsest_within("accuracy", cost="sparsity")(results) == 1


def test_a_sparsity_that_is_not_a_parameter_of_all_is_not_cheap():
    results = table([0.9, 0.9, 0.9], [0, 0, 0])
    results["param_sparsity"] = np.ma.array([0.5, 0.8, 0.99], mask=[False, False, True])
    assert sparsest_within("accuracy", cost="sparsity")(results) == 1


def test_a_fold_without_a_score_is_left_out():
    results = table([0.90, 0.88, 0.85], [-3, -2, -1])
    for fold, best in enumerate([0.88, 0.92, np.nan]):
        results[f"split{fold}_test_accuracy"] = np.array([best, 0.88, 0.85])
    assert sparsest_within("accuracy")(results) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scoring": "acuracy"}, r"no metric 'acuracy'. Did you mean 'accuracy'\?"),
        ({"scoring": "accuracy", "cost": "mac"}, r"no metric 'mac'. Did you mean 'macs'\?"),
        ({"scoring": "accuracy", "cost": "sparsity"}, "no metric 'sparsity'"),
    ],
)
def test_an_unknown_metric_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        sparsest_within(**options)(table([0.9], [-1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": -0.1}, r"tolerance of sparsest_within must be 0 or more, .* got -0\.1"),
        ({"tolerance": float("nan")}, "tolerance .* got nan"),
        ({"tolerance": "0.1"}, "tolerance .* got '0.1'"),
        ({"n_std_err": -1}, "n_std_err of sparsest_within must be 0 or more, .* got -1"),
        ({"n_std_err": 3, "tolerance": 0.1}, "n_std_err=3 or tolerance=0.1, not both"),
        ({"n_std_err": 1.0, "tolerance": 0.0}, "n_std_err=1.0 or tolerance=0.0, not both"),
    ],
)
def test_how_far_below_the_best_is_told_once_and_not_negative(options, message):
    with pytest.raises(ValueError, match=message):
        sparsest_within("accuracy", **options)


def test_a_rule_says_what_it_allows():
    assert repr(sparsest_within()) == "sparsest_within('score', n_std_err=1.0, cost='macs')"
    assert repr(sparsest_within("f1", n_std_err=0)) == (
        "sparsest_within('f1', n_std_err=0, cost='macs')"
    )


def test_no_score_at_all():
    with pytest.raises(ValueError, match="Every candidate's 'accuracy' is NaN"):
        sparsest_within("accuracy")(table([np.nan, np.nan], [-1, -2]))


def test_what_failed_is_on_no_front():
    results = table([0.99, 0.90, np.nan, 0.80], [np.nan, -20.0, -5.0, -10.0])
    assert pareto_front(results, "accuracy").tolist() == [3, 1]
    results = table([np.nan, 0.9], [-1.0, np.nan])
    assert pareto_front(results, "accuracy").tolist() == []


def test_pareto_front_against_every_pair():
    rng = np.random.default_rng(0)
    scores, costs = rng.integers(0, 6, 40) / 10, -rng.integers(0, 6, 40).astype(float)
    front = pareto_front(table(scores, costs), "accuracy")
    points = list(zip(scores, costs, strict=True))
    beaten = [any(s >= a and c >= b and (s, c) != (a, b) for s, c in points) for a, b in points]
    best = {points[i] for i in range(40) if not beaten[i]}
    assert {points[i] for i in front} == best
    assert len(front) == len(best)
    assert (np.diff(costs[front]) < 0).all()


@pytest.mark.parametrize("search", [GridSearchCV, RandomizedSearchCV])
def test_as_refit_of_a_search_in_a_pipeline(search):
    X, y = load_iris(return_X_y=True)
    net = default_classifier_net().set_params(max_epochs=20)
    model = make_pipeline(StandardScaler(), PrunedClassifier(net, random_state=0))
    rule = sparsest_within("accuracy", tolerance=0.1)
    grid = {"prunedclassifier__sparsity": [0.0, 0.5, 0.9]}
    options = {"n_iter": 3} if search is RandomizedSearchCV else {}
    fitted = search(
        model,
        grid,
        cv=3,
        scoring={
            "accuracy": "accuracy",
            "macs": macs_scorer,
            "n_parameters": n_parameters_scorer,
            "sparsity": sparsity_scorer,
        },
        refit=pickle.loads(pickle.dumps(rule)),
        **options,
    ).fit(X, y)
    assert fitted.best_index_ == rule(fitted.cv_results_)
    chosen = fitted.best_estimator_[-1]
    macs = fitted.cv_results_["mean_test_macs"]
    assert (macs <= 0).all()
    assert sparsity_scorer(fitted) == chosen.sparsity_
    assert macs_scorer(fitted) == -chosen.report_.total_after.macs
    assert repr(rule) == "sparsest_within('accuracy', tolerance=0.1, cost='macs')"
