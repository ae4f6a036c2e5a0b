"""The rule of non-inferiority, on tables made by hand, by brute force, and in searches."""

import pickle
from itertools import product
from math import sqrt
from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from skprune import PrunedClassifier
from skprune.metrics import macs_scorer
from skprune.model_selection import FoldScores, NonInferior, sparsest_within
from skprune.training.nets import default_classifier_net

NAN = float("nan")
PLAIN = NonInferior()


def brute_force(scores, costs, dense, margin, n_std_err, test_ratio=0.0):
    """The cheapest of those that are good enough; the nearest to it if none is."""
    bounds = []
    for own in scores:
        differences = [a - b for a, b in zip(own, dense, strict=True)]
        n = len(differences)
        error = sqrt((1 / n + test_ratio) * stdev(differences) ** 2)
        bounds.append(mean(differences) - n_std_err * error)
    good = [i for i, bound in enumerate(bounds) if bound >= -margin]
    if good:
        return max(good, key=lambda i: (costs[i], mean(scores[i]))), bounds
    return int(np.argmax(bounds)), bounds


def test_against_brute_force():
    rng = np.random.default_rng(0)
    found = set()
    for margin, n_std_err in 20 * list(product([0.0, 0.05, 0.2], [0.0, 1.0, 2.5])):
        scores = rng.normal(size=(6, 4)) / 10
        costs, dense, ratio = rng.integers(0, 5, 6), rng.normal(size=4) / 10, rng.uniform(0, 0.3)
        rule = NonInferior(margin, n_std_err)
        report = rule.choose(FoldScores(scores, costs, dense, test_ratio=ratio))
        expected, bounds = brute_force(scores, costs, dense, margin, n_std_err, ratio)
        assert report.index == expected
        assert report.found == (max(bounds) >= -margin)
        found.add((report.found, report.index))
    assert len(found) == 12


def test_a_difference_of_the_margin_is_allowed_whatever_the_floating_point_numbers():
    scores = FoldScores([[0.89, 0.89]], [0.5], [0.9, 0.9])
    assert 0.89 - 0.9 < -0.01
    assert NonInferior(0.01).choose(scores).found
    assert not NonInferior(0.00999).choose(scores).found


def test_a_relative_margin_is_a_fraction_of_the_references_mean():
    scores = FoldScores([[-103.0, -205.0]], [0.5], [-100.0, -200.0])
    assert not NonInferior(0.03, 0.0).choose(scores).found
    assert NonInferior(0.03, 0.0, relative=True).choose(scores).found
    assert not NonInferior(0.02, 0.0, relative=True).choose(scores).found


def test_the_best_candidate_can_be_the_reference():
    scores = FoldScores([[0.9, 0.8], [0.95, 0.85], [0.945, 0.845]], [1, 2, 3])
    report = NonInferior(against="best").choose(scores)
    assert report.index == 2
    assert report.reference == "candidate 1, the best (0.9)"
    assert report.columns["difference"] == pytest.approx([-0.05, 0.0, -0.005])


def test_the_report_says_of_each_candidate_why():
    scores = FoldScores(
        [[0.9, 0.8], [0.9, 0.8], [0.7, 0.6], [NAN, NAN]],
        [0.5, 0.8, 0.9, 0.95],
        [0.9, 0.8],
        labels={"sparsity": [0.5, 0.8, 0.9, 0.95]},
        numbers=[4, 5, 6, 7],
    )
    report = PLAIN.choose(scores)
    assert report.index == 5
    assert report.columns["why"] == [
        "kept, but candidate 5 is cheaper",
        "chosen",
        "may lose 0.2, of 0.01 allowed",
        "has no score",
    ]
    frame = report.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame.index.tolist() == [4, 5, 6, 7]
    assert frame.loc[6, "difference"] == pytest.approx(-0.2)
    assert list(frame) == [
        "sparsity", "score", "difference", "std_err", "lower", "upper", "why"
    ]  # fmt: skip
    lines = repr(report).splitlines()
    assert lines[0] == "NonInferior(), compared with the dense network (0.85):"
    assert len(lines) == 6
    assert lines[3].split()[:2] == ["5", "0.8"]
    assert lines[3].endswith("  chosen")


def test_where_none_is_good_enough_the_nearest_is_chosen_and_that_is_said():
    report = PLAIN.choose(FoldScores([[0.5, 0.6], [0.7, 0.8], [NAN, NAN]], [3, 2, 1], [0.9, 1.0]))
    assert report.index == 1
    assert not report.found
    assert report.columns["why"][1] == (
        "chosen, as none is good enough: may lose 0.2, of 0.01 allowed"
    )
    assert report.columns["why"][0] == "may lose 0.4, of 0.01 allowed"
    with pytest.raises(ValueError, match="Every candidate's 'score' is NaN"):
        PLAIN.choose(FoldScores([[NAN, NAN]], [1], [0.9, 1.0]))


def test_smoothing_along_a_path():
    # By itself the last is good enough; beside the two before it, it is not.
    scores = [[0.9, 0.9], [0.7, 0.7], [0.9, 0.9]]
    by_path = {"a": FoldScores(scores, [1, 2, 3], [0.9, 0.9])}
    by_path["b"] = FoldScores(scores, [1, 2, 3], [0.9, 0.9], paths=[0, 1, 2])
    assert PLAIN.choose(by_path["a"]).index == 2
    assert NonInferior(0.05, smooth="neighbors").choose(by_path["a"]).index == 0
    assert NonInferior(0.05, smooth="neighbors").choose(by_path["b"]).index == 2
    assert NonInferior(0.05, smooth="isotonic").choose(by_path["a"]).index == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": [0.9, 0.8], "costs": [1, 2]}, "Expected 2D array"),
        ({"scores": [[0.9, 0.8]], "costs": [1, 2]}, "inconsistent numbers of samples"),
        (
            {"scores": [[0.9, 0.8]], "costs": [1], "dense": [0.9]},
            r"dense must have a score for each of the 2 splits; its shape is \(1,\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_together(arguments, message):
    with pytest.raises(ValueError, match=message):
        FoldScores(**arguments)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"margin": -0.1}, "'margin' parameter of NonInferior"),
        ({"n_std_err": -1}, "'n_std_err' parameter"),
        ({"against": "worst"}, "'against' parameter"),
        ({"smooth": "spline"}, "'smooth' parameter"),
    ],
)
def test_parameters_are_checked(params, message):
    with pytest.raises(ValueError, match=message):
        NonInferior(**params).choose(FoldScores([[0.9]], [1], [0.9]))


# In searches.


def results(scores, sparsities, **columns):
    scores = np.asarray(scores, dtype=float)
    return {
        "param_model__sparsity": np.ma.array(sparsities),
        "mean_test_accuracy": scores.mean(axis=1),
        **{f"split{i}_test_accuracy": column for i, column in enumerate(scores.T)},
        **columns,
    }


def test_the_candidate_of_sparsity_0_is_the_dense_network_of_a_search():
    scores = [[0.9, 0.8], [0.895, 0.8], [0.8, 0.9]]
    assert PLAIN(results(scores, [0.0, 0.5, 0.9])) == 1
    with pytest.raises(ValueError, match=r"no candidate has a sparsity of 0\. Add 0\.0"):
        PLAIN(results(scores, [0.3, 0.5, 0.9]))
    assert NonInferior(against="best")(results(scores, [0.3, 0.5, 0.9])) == 1
    # Of several, the best.
    strategies = {"param_model__strategy": np.array(["a", "b", "a", "b"], dtype=object)}
    table = results([[0.6, 0.6], [0.9, 0.9], [0.7, 0.7], [0.88, 0.92]], [0, 0, 0.9, 0.5])
    assert NonInferior(0.03)(table | strategies) == 3


def test_what_a_search_notes_of_the_dense_network_comes_first():
    table = results([[0.9, 0.8], [0.6, 0.5]], [0.0, 0.5])
    noted = {f"split{i}_dense_accuracy": np.full(2, s) for i, s in enumerate([0.6, 0.5])}
    assert PLAIN(table) == 0
    assert PLAIN(table | noted) == 1


def test_candidates_that_differ_in_the_sparsity_alone_form_a_path():
    table = results(np.ones((4, 2)), [0.5, 0.5, 0.9, 0.9])
    table["param_model__strategy"] = np.ma.array(["a", "b", "a", "b"], dtype=object)
    assert FoldScores.of(table).paths.tolist() == [0, 1, 0, 1]
    assert FoldScores.of(results(np.ones((2, 2)), [0.5, 0.9])).paths.tolist() == [0, 0]


def test_of_a_halving_search_the_last_iteration_counts():
    table = results([[1.0, 1.0], [0.9, 0.9], [0.895, 0.895]], [0.95, 0.0, 0.5])
    table["iter"] = np.array([0, 1, 1])
    assert PLAIN(table) == 2
    assert PLAIN.report(table).numbers.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # The best is 0.9 on average, its standard error 0.1: all are within it.
        ({}, 2),
        # Paired differences to it: -0.01 for both folds, and -0.02 give or take 0.02.
        ({"paired": True}, 2),
        ({"paired": True, "n_std_err": 0.5}, 0),
        # The dense network is 0.88 on average, and as noisy.
        ({"paired": True, "n_std_err": 0.5, "against": "dense"}, 2),
        ({"tolerance": 0.01, "against": "dense"}, 2),
        ({"tolerance": 0.015}, 1),
    ],
)
def test_the_sparsest_within_a_paired_standard_error(options, expected):
    table = results([[1.0, 0.8], [0.99, 0.79], [1.0, 0.76]], [0.5, 0.8, 0.9])
    table |= {f"split{i}_dense_accuracy": np.full(3, s) for i, s in enumerate([0.98, 0.78])}
    rule = sparsest_within("accuracy", cost="sparsity", **options)
    assert pickle.loads(pickle.dumps(rule))(table) == expected
    with pytest.raises(ValueError, match=r"Unknown against 'dens' of sparsest_within\. Did"):
        sparsest_within(against="dens")


def test_as_refit_of_a_grid_search():
    X, y = load_iris(return_X_y=True)
    net = default_classifier_net().set_params(max_epochs=10)
    rule = NonInferior(0.02, scoring="accuracy", cost="macs")
    search = GridSearchCV(
        PrunedClassifier(net, structure="unit", random_state=0),
        {"sparsity": [0.0, 0.5, 0.9]},
        cv=3,
        scoring={"accuracy": "accuracy", "macs": macs_scorer},
        refit=pickle.loads(pickle.dumps(clone(rule))),
    ).fit(X, y)
    assert search.best_index_ == rule(search.cv_results_)
    report = rule.report(pd.DataFrame(search.cv_results_))
    assert report.index == search.best_index_
    expected, _ = brute_force(
        np.stack([search.cv_results_[f"split{i}_test_accuracy"] for i in range(3)], axis=1),
        search.cv_results_["mean_test_macs"],
        [search.cv_results_[f"split{i}_test_accuracy"][0] for i in range(3)],
        0.02,
        1.0,
    )
    assert search.best_index_ == expected
