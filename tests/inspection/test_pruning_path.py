"""The score against the sparsity, of tables made by hand and of scikit-learn's searches."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import PrunedClassifier, Strategy
from skprune.inspection import PruningPathDisplay
from skprune.metrics import macs_scorer
from skprune.model_selection import sparsest_within
from skprune.strategies import Distill
from skprune.training.nets import default_classifier_net
from tests.inspection.common import (
    METRICS,
    N_SPLITS,
    SELECTIONS,
    SPARSITIES,
    STRATEGIES,
    STYLES,
    assert_readable,
    fitted_search,
    make_results,
    make_search,
)

IRIS = load_iris(return_X_y=True)


def points(line):
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def band_at(band, x):
    """Lower and upper end of a band."""
    corners = band.get_paths()[0].vertices
    heights = corners[np.isclose(corners[:, 0], x), 1]
    return heights.min(), heights.max()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("n_strategies", [1, 2, 8])
@pytest.mark.parametrize("own_axes", [True, False])
def test_each_strategy_has_its_line(n_strategies, style, own_axes):
    search = make_search(n_strategies)
    with plt.style.context(style):
        ax = None if own_axes else plt.subplots()[1]
        display = PruningPathDisplay.from_estimator(search, ax=ax)
        assert_readable(display)
    assert ax in (None, display.ax_)
    assert display.figure_ is display.ax_.figure
    assert list(display.lines_) == STRATEGIES[:n_strategies]
    results = search.cv_results_
    for name, line in display.lines_.items():
        expected = []
        for row in range(len(results["params"])):
            if results["param_pruned__strategy"][row] == name:
                splits = [results[f"split{i}_test_accuracy"][row] for i in range(N_SPLITS)]
                sparsity = results["param_pruned__sparsity"][row]
                expected.append((sparsity, np.mean(splits)))
                half = np.std(splits, ddof=1) / np.sqrt(N_SPLITS)
                np.testing.assert_allclose(
                    band_at(display.bands_[name], sparsity),
                    (np.mean(splits) - half, np.mean(splits) + half),
                )
        np.testing.assert_allclose(points(line), sorted(expected))
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == [*STRATEGIES[:n_strategies], "dense network", "chosen"]
    assert display.ax_.get_ylabel() == "Accuracy (mean ± standard error)"


def test_the_chosen_and_the_dense():
    search = make_search()
    search.best_index_ = 7
    display = PruningPathDisplay.from_estimator(search)
    assert points(display.chosen_) == [
        (
            search.cv_results_["params"][7]["pruned__sparsity"],
            search.cv_results_["mean_test_accuracy"][7],
        )
    ]
    np.testing.assert_allclose(display.dense_line_.get_ydata(), 0.9)


def test_bands_of_standard_deviations_and_none():
    results = make_results(1)
    display = PruningPathDisplay.from_cv_results(results, band="std")
    mean, std = results["mean_test_accuracy"][2], results["std_test_accuracy"][2]
    band = band_at(display.bands_["magnitude"], SPARSITIES[2])
    np.testing.assert_allclose(band, (mean - std, mean + std))
    assert PruningPathDisplay.from_cv_results(results, band=None).bands_ == {}
    with pytest.raises(ValueError, match=r"band must be one of \['std_err', 'std', None\]"):
        display.plot(band="sem")


def test_means_alone_have_no_band():
    results = {"param_sparsity": [0.9, 0.5], "mean_test_score": [0.7, 0.8]}
    display = PruningPathDisplay.from_cv_results(results)
    assert points(display.lines_["pruned"]) == [(0.5, 0.8), (0.9, 0.7)]
    assert display.bands_ == {}
    assert display.ax_.get_ylabel() == "Score"
    assert display.chosen_ is None
    assert display.dense_line_ is None


def test_a_data_frame_of_results():
    results = make_results()
    one = PruningPathDisplay.from_cv_results(results)
    other = PruningPathDisplay.from_cv_results(pd.DataFrame(results))
    for name, line in one.lines_.items():
        assert points(line) == points(other.lines_[name])


def test_what_else_was_varied_is_told():
    results = make_results()
    results["param_pruned__fine_tune_epochs"] = [5, 5, 20, 20] * 3
    results["param_scaler__with_mean"] = [True] * 12
    display = PruningPathDisplay.from_cv_results(results)
    assert list(display.lines_) == [
        "magnitude, fine_tune_epochs=5",
        "random, fine_tune_epochs=5",
        "magnitude, fine_tune_epochs=20",
        "random, fine_tune_epochs=20",
    ]


@pytest.mark.parametrize("by", ["strategy", "pruned__strategy", ["strategy"]])
def test_by_takes_the_best_of_the_others(by):
    results = make_results()
    for key in [key for key in results if not key.startswith("param_")]:
        results[key] = [*results[key], *results[key]]
    results["param_pruned__sparsity"] = [*results["param_pruned__sparsity"]] * 2
    results["param_pruned__strategy"] = [*results["param_pruned__strategy"]] * 2
    results["param_lr"] = [0.1] * 12 + [0.2] * 12
    for i in range(N_SPLITS):
        scores = np.array(results[f"split{i}_test_accuracy"])
        scores[12:18] -= 0.1
        scores[18:] += 0.1
        results[f"split{i}_test_accuracy"] = scores
    scores[0] = np.nan  # one split failed
    results["mean_test_accuracy"] = np.mean(
        [results[f"split{i}_test_accuracy"] for i in range(N_SPLITS)], axis=0
    )
    display = PruningPathDisplay.from_cv_results(results, by=by)
    assert list(display.lines_) == ["magnitude", "random"]
    for name, line in display.lines_.items():
        for sparsity, score in points(line):
            rows = [
                row
                for row in range(24)
                if results["param_pruned__strategy"][row] == name
                and results["param_pruned__sparsity"][row] == sparsity
            ]
            assert len(rows) == 2
            assert score == pytest.approx(np.nanmax(np.array(results["mean_test_accuracy"])[rows]))


def test_by_nothing_is_one_line():
    display = PruningPathDisplay.from_cv_results(make_results(3), by=())
    assert list(display.lines_) == ["pruned"]
    assert len(points(display.lines_["pruned"])) == len(SPARSITIES)


def test_values_of_every_kind_make_labels():
    values = [
        Strategy(importance="lamp"),
        np.float64(0.1),
        load_iris,
        None,
        "x" * 50,
        "x" * 50 + "y",
    ]
    results = {
        "param_sparsity": [0.5] * 6,
        "param_a__strategy": np.array(values, dtype=object),
        "mean_test_score": np.linspace(0.1, 0.6, 6),
    }
    display = PruningPathDisplay.from_cv_results(results)
    assert list(display.lines_) == [
        "Strategy(importance='lamp')",
        "0.1",
        "load_iris",
        "None",
        "…" + "x" * 20,
        "…" + "x" * 20 + "y",
    ]


def test_candidates_without_a_sparsity_are_left_out():
    results = make_results(1)
    results["param_pruned__sparsity"] = np.ma.array(SPARSITIES, mask=[0, 0, 0, 1, 0, 0])
    results["param_pruned__strategy"] = np.ma.array(["magnitude"] * 6, mask=[0, 0, 0, 1, 0, 0])
    display = PruningPathDisplay.from_cv_results(results, best_index=3)
    assert list(display.lines_) == ["magnitude"]
    assert [x for x, _ in points(display.lines_["magnitude"])] == [0.0, 0.5, 0.8, 0.95, 0.98]
    assert display.chosen_ is None


def test_a_failed_candidate_is_a_gap():
    results = {"param_sparsity": [0.5, 0.8, 0.9], "mean_test_score": [0.9, np.nan, 0.7]}
    display = PruningPathDisplay.from_cv_results(results)
    assert np.isnan(display.lines_["pruned"].get_ydata()).tolist() == [False, True, False]


@pytest.mark.parametrize("kind", [GridSearchCV, RandomizedSearchCV])
def test_searches_of_scikit_learn(kind):
    net = default_classifier_net().set_params(max_epochs=3)
    model = make_pipeline(StandardScaler(), PrunedClassifier(net, random_state=0))
    grid = {
        "prunedclassifier__sparsity": [0.5, 0.9],
        "prunedclassifier__strategy": ["magnitude", "random"],
    }
    options = {"n_iter": 4} if kind is RandomizedSearchCV else {}
    search = kind(
        model,
        grid,
        cv=2,
        scoring={"accuracy": "accuracy", "log_loss": "neg_log_loss", "macs": macs_scorer},
        refit=sparsest_within("accuracy"),
        **options,
    )
    with pytest.raises(NotFittedError):
        PruningPathDisplay.from_estimator(search)
    search.fit(*IRIS)
    display = PruningPathDisplay.from_estimator(search)
    assert display.score_name == "accuracy"
    assert set(display.lines_) == {"magnitude", "random"}
    chosen = search.cv_results_["mean_test_accuracy"][search.best_index_]
    sparsity = search.cv_results_["param_prunedclassifier__sparsity"][search.best_index_]
    assert points(display.chosen_) == [(sparsity, chosen)]
    display = PruningPathDisplay.from_estimator(make_pipeline(search), scoring="log_loss")
    for name, line in display.lines_.items():
        for sparsity, score in points(line):
            wanted = {
                "prunedclassifier__sparsity": sparsity,
                "prunedclassifier__strategy": name,
            }
            row = search.cv_results_["params"].index(wanted)
            assert score == pytest.approx(search.cv_results_["mean_test_log_loss"][row])


@pytest.mark.parametrize(("selection", "expected"), SELECTIONS)
def test_the_metric_that_decided_is_drawn(selection, expected):
    search = fitted_search(sparsities=[0.5, 0.8], scoring=METRICS, selection=selection)
    display = PruningPathDisplay.from_estimator(search)
    assert display.score_name == expected
    np.testing.assert_array_equal(
        display.lines_["magnitude"].get_ydata(), search.cv_results_[f"mean_test_{expected}"]
    )
    assert display.chosen == (
        search.best_params_["sparsity"],
        search.cv_results_[f"mean_test_{expected}"][search.best_index_],
    )
    np.testing.assert_allclose(
        display.dense_line_.get_ydata(), search.dense_scores_[expected].mean()
    )


def test_strategies_that_look_the_same_have_lines_of_their_own():
    X, y = IRIS
    teachers = [LogisticRegression(max_iter=500).fit(X, labels) for labels in (y, (y + 1) % 3)]
    strategies = [Strategy(recovery=Distill(teacher)) for teacher in teachers]
    search = fitted_search(strategies, sparsities=[0.5, 0.8])
    display = PruningPathDisplay.from_estimator(search)
    scores = [line.get_ydata().tolist() for line in display.lines_.values()]
    assert scores == search.cv_results_["mean_test_score"].reshape(2, 2).tolist()
    first, second = display.lines_
    assert second == f"{first} (2)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scoring": "acuracy"}, r"no metric 'acuracy'. Did you mean 'accuracy'\?"),
        ({"by": "stratgy"}, r"no parameter 'stratgy'. Did you mean 'strategy'\?"),
    ],
)
def test_what_is_unknown_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        PruningPathDisplay.from_cv_results(make_results(), **options)
    with pytest.raises(ValueError, match=message):
        PruningPathDisplay.from_estimator(make_search(), **options)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({}, "Name the metric by scoring=: the search has none"),
        (
            {"mean_test_f1": [1.0], "mean_test_auc": [1.0], "mean_test_macs": [-1.0]},
            "Name the metric by scoring=: the search has 'f1', 'auc', 'macs'",
        ),
        (
            {"mean_test_score": [1.0], "param_alpha": [1.0]},
            "one parameter whose name ends in 'sparsity'. Its parameters: 'alpha'",
        ),
        (
            {"mean_test_score": [1.0], "param_a__sparsity": [0.5], "param_sparsity": [0.5]},
            "It varies several: 'a__sparsity', 'sparsity'",
        ),
        ({"mean_test_score": [1.0], "param_sparsity": [None]}, "No candidate .* sets 'sparsity'"),
    ],
)
def test_results_that_have_no_path(results, message):
    with pytest.raises(ValueError, match=message):
        PruningPathDisplay.from_cv_results(results)
    assert plt.get_fignums() == []


def test_estimators_that_are_no_search():
    with pytest.raises(NotFittedError):
        PruningPathDisplay.from_estimator(PrunedClassifier())
    net = default_classifier_net().set_params(max_epochs=1)
    fitted = PrunedClassifier(net, fine_tune_epochs=1, random_state=0).fit(*IRIS)
    with pytest.raises(TypeError, match="PrunedClassifier has no cv_results_"):
        PruningPathDisplay.from_estimator(fitted)
    with pytest.raises(TypeError, match="not an estimator"):
        PruningPathDisplay.from_estimator(make_results())
