"""Stability of masks, churn and change of recall, against the sparsity."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skprune import PrunedClassifier, Strategy
from skprune.inspection import StabilityDisplay
from tests.inspection.common import (
    SPARSITIES,
    STRATEGIES,
    STYLES,
    assert_readable,
    fitted_search,
    make_search,
)

KINDS = ["mask", "churn", "recall_change"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("n_strategies", [1, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_readable(kind, n_strategies, style):
    with plt.style.context(style):
        assert_readable(StabilityDisplay.from_estimator(make_search(n_strategies, 12), kind=kind))


@pytest.mark.parametrize("n_strategies", [1, 3])
def test_stability_and_its_interval(n_strategies):
    search = make_search(n_strategies)
    display = StabilityDisplay.from_estimator(search)
    assert display.figure_ is display.ax_.figure
    assert list(display.lines_) == list(display.bands_) == STRATEGIES[:n_strategies]
    for name, found in search.stability_.items():
        np.testing.assert_array_equal(display.lines_[name].get_data(), [SPARSITIES, found["mask"]])
        corners = display.bands_[name].get_paths()[0].vertices
        for index, sparsity in enumerate(SPARSITIES[1:], start=1):
            heights = corners[np.isclose(corners[:, 0], sparsity), 1]
            assert heights.min() == found["mask_lower"][index]
            assert heights.max() == found["mask_upper"][index]


def test_churn():
    search = make_search(2)
    display = StabilityDisplay.from_estimator(Pipeline([("cv", search)]), kind="churn")
    for name, found in search.stability_.items():
        np.testing.assert_array_equal(display.lines_[name].get_ydata(), found["churn"])
    assert display.bands_ == {}
    assert display.ax_.get_ylabel() == "Prediction churn from the dense network"


def test_recall_of_each_class_of_one_strategy():
    search = make_search(1, n_classes=4)
    display = StabilityDisplay.from_estimator(search, kind="recall_change")
    assert list(display.lines_) == ["class 0", "class 1", "class 2", "class 3"]
    for column, line in enumerate(display.lines_.values()):
        expected = search.stability_["magnitude"]["recall_change"][:, column]
        np.testing.assert_array_equal(line.get_ydata(), expected)
    assert display.ax_.get_legend().get_title().get_text() == "class"


def test_of_many_classes_those_that_lose_most():
    search = make_search(1, n_classes=30)
    change = search.stability_["magnitude"]["recall_change"]
    display = StabilityDisplay.from_estimator(search, kind="recall_change")
    worst = sorted(range(30), key=lambda column: min(change[:, column]))[:10]
    assert list(display.lines_) == [f"class {column}" for column in worst]
    for column, line in zip(worst, display.lines_.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), change[:, column])
    assert "10 of 30" in display.ax_.get_legend().get_title().get_text()


def test_recall_of_the_worst_class_of_each_strategy():
    search = make_search(3, n_classes=4)
    display = StabilityDisplay.from_estimator(search, kind="recall_change")
    for name, found in search.stability_.items():
        expected = [min(row) for row in found["recall_change"]]
        assert display.lines_[name].get_ydata().tolist() == expected
    assert display.ax_.get_ylabel().endswith("(worst class)")


def test_sparsities_in_any_order():
    mask = {"mask": [3, 1, 2], "mask_lower": [3, 1, 2], "mask_upper": [3, 1, 2]}
    display = StabilityDisplay(stability={"a": {"sparsity": [0.9, 0.5, 0.8], **mask}}).plot()
    np.testing.assert_array_equal(display.lines_["a"].get_data(), [[0.5, 0.8, 0.9], [1, 2, 3]])


@pytest.mark.parametrize("kind", KINDS)
def test_strategies_with_sparsities_of_their_own(kind):
    some = Strategy(allocation={"hidden0": None})  # leaves three units to choose from
    search = fitted_search(
        ["magnitude", some],
        sparsities=4,
        structure="unit",
        estimator__module__hidden_layer_sizes=(40, 3),
    )
    display = StabilityDisplay.from_estimator(search, kind=kind)
    assert_readable(display)
    results = search.cv_results_
    drawn = [line.get_xdata().tolist() for line in display.lines_.values()]
    assert drawn == [
        [p["sparsity"] for p in results["params"] if p["strategy"] is strategy]
        for strategy in ("magnitude", some)
    ]
    assert drawn[0] != drawn[1]
    for name, line in display.lines_.items():
        values = search.stability_[name][kind]
        expected = values.min(axis=1) if kind == "recall_change" else values
        np.testing.assert_array_equal(line.get_ydata(), expected)


def test_what_is_unknown_is_named():
    search = make_search(2)
    with pytest.raises(
        ValueError, match=r"Unknown kind 'recall_chang'. Did you mean 'recall_change'\?"
    ):
        StabilityDisplay.from_estimator(search, kind="recall_chang")
    for found in search.stability_.values():  # as a regressor has them
        del found["recall_change"]
    with pytest.raises(ValueError, match=r"Unknown kind 'recall_change'.* Known: 'mask', 'churn'"):
        StabilityDisplay.from_estimator(search, kind="recall_change")
    assert plt.get_fignums() == []


def test_estimators_without_stability():
    search = GridSearchCV(PrunedClassifier(), {"sparsity": [0.5]}, cv=2)
    with pytest.raises(NotFittedError):
        StabilityDisplay.from_estimator(search)
    search.cv_results_ = {}  # fitted, as far as scikit-learn can see
    with pytest.raises(TypeError, match=r"GridSearchCV has no stability_\. PrunedClassifierCV and"):
        StabilityDisplay.from_estimator(search)
