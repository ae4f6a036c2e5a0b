"""The score against a cost: every candidate, and those that no other beats."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skprune.inspection import ParetoDisplay
from tests.inspection.common import (
    METRICS,
    SELECTIONS,
    STRATEGIES,
    STYLES,
    assert_readable,
    fitted_search,
    make_results,
    make_search,
)


def points(line):
    return {(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("n_strategies", [1, 3, 8])
def test_each_candidate_is_drawn_where_it_belongs(n_strategies, style):
    search = make_search(n_strategies)
    with plt.style.context(style):
        display = ParetoDisplay.from_estimator(search)
        assert_readable(display)
    results = search.cv_results_
    everyone = [
        (-macs, score)
        for macs, score in zip(
            results["mean_test_macs"], results["mean_test_accuracy"], strict=True
        )
    ]
    unbeaten = {
        (cost, score)
        for cost, score in everyone
        if not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in everyone)
    }
    assert points(display.front_) == unbeaten
    for name in STRATEGIES[:n_strategies]:
        mine = {
            point
            for point, strategy in zip(everyone, results["param_pruned__strategy"], strict=True)
            if strategy == name
        }
        assert points(display.points_[name]) == mine & unbeaten
        assert points(display.beaten_[name]) == mine - unbeaten
    assert points(display.chosen_) == {everyone[search.best_index_]}
    assert display.ax_.get_xlabel() == "Multiply-accumulates of a prediction"
    assert display.ax_.get_ylabel() == "Accuracy"
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["Pareto front", *STRATEGIES[:n_strategies], "chosen"]


@pytest.mark.parametrize(
    ("cost", "values", "drawn", "label", "tick"),
    [
        ("size", [-2e3, -4e3], [2e3, 4e3], "Size", "3 kB"),
        ("latency", [-2e-3, -4e-3], [2e-3, 4e-3], "Latency", "3 ms"),
        ("n_parameters", [-2e6, -4e6], [2e6, 4e6], "Parameters", "3 M"),
        ("compression", [2.0, 4.0], [2.0, 4.0], "Compression ratio", "3"),
        ("neg_energy", [-2.0, -4.0], [2.0, 4.0], "Negative energy", "3"),
    ],
)
def test_costs_are_positive_and_have_units(cost, values, drawn, label, tick):
    results = {"mean_test_score": [0.8, 0.9], f"mean_test_{cost}": values}
    display = ParetoDisplay.from_cv_results(results, cost=cost)
    assert display.costs.tolist() == drawn
    assert display.ax_.get_xlabel() == label
    middle = float(np.mean(drawn))
    assert display.ax_.xaxis.get_major_formatter()(middle) == tick


def test_the_front_says_what_is_to_be_had_at_a_cost():
    results = {"mean_test_score": [0.6, 0.9], "mean_test_macs": [-10.0, -20.0]}
    display = ParetoDisplay.from_cv_results(results)
    vertices = display.front_.get_path().vertices
    assert display.front_.get_drawstyle() == "steps-post"
    assert vertices[0].tolist() == [10.0, 0.6]
    results["mean_test_compression"] = [4.0, 2.0]
    display = ParetoDisplay.from_cv_results(results, cost="compression")
    assert display.front_.get_xdata().tolist() == [4.0, 2.0]


def test_sparsity_as_the_cost():
    results = make_results(2)
    display = ParetoDisplay.from_cv_results(results, cost="sparsity")
    np.testing.assert_array_equal(display.costs, results["param_pruned__sparsity"])
    assert display.front[0] in np.flatnonzero(display.costs == 0.98)
    assert display.ax_.get_xlabel() == "Sparsity"
    assert display.ax_.get_xscale() == "function"


def test_a_cost_or_score_that_failed_is_on_no_front():
    results = {
        "mean_test_score": [0.99, 0.9, np.nan],
        "mean_test_macs": [np.nan, -20.0, -5.0],
    }
    assert ParetoDisplay.from_cv_results(results).front.tolist() == [1]


@pytest.mark.parametrize(("selection", "expected"), SELECTIONS)
def test_the_metric_that_decided_is_drawn(selection, expected):
    search = fitted_search(sparsities=[0.5, 0.8], scoring=METRICS, selection=selection)
    display = ParetoDisplay.from_estimator(search)
    assert display.score_name == expected
    np.testing.assert_array_equal(display.scores, search.cv_results_[f"mean_test_{expected}"])
    np.testing.assert_array_equal(display.costs, -search.cv_results_["mean_test_macs"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cost": "mac"}, r"no metric 'mac'. Did you mean 'macs'\?"),
        ({"scoring": "acuracy"}, r"no metric 'acuracy'. Did you mean 'accuracy'\?"),
        ({"by": "strat"}, r"no parameter 'strat'. Did you mean 'strategy'\?"),
    ],
)
def test_what_is_unknown_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        ParetoDisplay.from_estimator(make_search(), **options)
    assert plt.get_fignums() == []
