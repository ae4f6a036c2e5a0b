"""What is read in ``cv_results_``: metrics, parameters, costs, and what has no value."""

import numpy as np
import pandas as pd
import pytest

from skprune.model_selection.candidates import Candidates

NAN = float("nan")


def halved():
    """Three candidates, then the two best of them with more samples; the last is dropped."""
    return {
        "iter": np.array([0, 0, 0, 1, 1]),
        "n_resources": np.array([20, 20, 20, 60, 60]),
        "param_sparsity": np.ma.array([0.5, 0.8, 0.9, 0.8, 0.5]),
        "mean_test_score": np.array([0.9, 0.95, 0.1, 0.7, 0.75]),
        "split0_test_score": np.array([0.8, 0.9, 0.0, 0.6, 0.7]),
        "split1_test_score": np.array([1.0, 1.0, 0.2, 0.8, 0.8]),
        "mean_test_macs": np.array([-50.0, -20.0, -10.0, -20.0, -50.0]),
    }


def with_containers(results):
    """The same table as a search has it, as lists, and as a data frame."""
    lists = {key: list(column) for key, column in results.items()}
    return {"arrays": results, "lists": lists, "frame": pd.DataFrame(results)}


@pytest.mark.parametrize("container", ["arrays", "lists", "frame"])
def test_of_a_halving_the_last_iteration_is_read(container):
    candidates = Candidates(with_containers(halved())[container])
    assert candidates.rows.tolist() == [3, 4]
    assert candidates.metrics == ["score", "macs"]
    assert candidates.parameters == ["sparsity"]
    assert candidates.means("score").tolist() == [0.7, 0.75]
    assert candidates.split_scores("score").tolist() == [[0.6, 0.8], [0.7, 0.8]]
    assert candidates.costs("macs").tolist() == [-20.0, -50.0]
    assert candidates.costs("sparsity").tolist() == [0.8, 0.5]
    assert candidates.values("sparsity") == [0.8, 0.5]
    assert [candidates.place(index) for index in (3, 4)] == [0, 1]
    with pytest.raises(ValueError, match=r"Candidate 1 .* those of the last iteration .* are 3, 4"):
        candidates.place(1)


@pytest.mark.parametrize("container", ["arrays", "lists", "frame"])
def test_of_another_search_all_are_read(container):
    results = halved()
    del results["iter"]
    candidates = Candidates(with_containers(results)[container])
    assert candidates.rows.tolist() == [0, 1, 2, 3, 4]
    assert candidates.means("score").tolist() == results["mean_test_score"].tolist()


def test_a_search_that_scored_nothing_twice():
    """Of a halving of one round, all candidates are in the last."""
    results = halved() | {"iter": np.zeros(5, dtype=int)}
    assert Candidates(results).rows.tolist() == [0, 1, 2, 3, 4]


UNKNOWN = {
    "masked": np.ma.array([0.5, 0.8, 0.9], mask=[False, True, False]),
    "masked objects": np.ma.array([0.5, None, 0.9], mask=[False, True, False], dtype=object),
    "None": [0.5, None, 0.9],
    "NaN": np.array([0.5, NAN, 0.9]),
    "no number": [0.5, "half", 0.9],
}


@pytest.mark.parametrize("column", UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_known_is_nan(column):
    results = {"mean_test_score": column, "param_a__sparsity": column}
    candidates = Candidates(results)
    for values in (candidates.means("score"), candidates.sparsities(), candidates.costs("score")):
        np.testing.assert_array_equal(values, [0.5, NAN, 0.9])


def test_a_measured_sparsity_comes_before_the_parameter():
    results = {"mean_test_sparsity": [0.51, 0.79], "param_sparsity": [0.5, 0.8]}
    assert Candidates(results).costs("sparsity").tolist() == [0.51, 0.79]
    assert Candidates(results).sparsities().tolist() == [0.5, 0.8]


def test_metrics_are_told_apart_by_their_whole_names():
    results = {
        "mean_test_f1": [0.1],
        "split0_test_f1": [0.1],
        "mean_test_macro_f1": [0.2],
        "split0_test_macro_f1": [0.2],
        "split10_test_f1": [0.3],
    }
    candidates = Candidates(results)
    assert candidates.metrics == ["f1", "macro_f1"]
    assert candidates.split_scores("f1").tolist() == [[0.1, 0.3]]
    assert candidates.split_scores("macro_f1").tolist() == [[0.2]]


@pytest.mark.parametrize(
    ("metrics", "named", "expected"),
    [
        (["score"], {}, "score"),
        (["accuracy", "macs"], {}, "accuracy"),
        (["accuracy", "joules"], {"cost": "joules"}, "accuracy"),
        (["accuracy", "f1"], {"decided_by": "f1"}, "f1"),
        (["accuracy", "macs"], {"decided_by": "gone"}, "accuracy"),
    ],
)
def test_the_metric_that_is_meant(metrics, named, expected):
    candidates = Candidates({f"mean_test_{name}": [1.0] for name in metrics})
    assert candidates.metric(None, **named) == expected
    assert candidates.metric(metrics[-1], **named) == metrics[-1]


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda c: c.metric(None), "the search has 'accuracy', 'f1'"),
        (lambda c: c.means("acuracy"), r"no metric 'acuracy'. Did you mean 'accuracy'\?"),
        (lambda c: c.split_scores("acuracy"), "no metric 'acuracy'"),
        (lambda c: c.costs("mac"), "no metric 'mac'"),
        (lambda c: c.costs("sparsity"), "No candidate .* sets 'sparsity' to a number"),
    ],
)
def test_what_is_not_there_is_named(read, message):
    results = {
        "mean_test_accuracy": [1.0],
        "mean_test_f1": [1.0],
        "param_sparsity": [None],
    }
    with pytest.raises(ValueError, match=message):
        read(Candidates(results))
