"""The score against the sparsity of one layer."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_iris

from skprune import PrunedClassifier, sensitivity
from skprune.inspection import SensitivityDisplay
from tests.inspection.common import STYLES, assert_readable

LAYERS = ["stem", "body.0", "body.1", "head"]
SPARSITIES = [0.0, 0.25, 0.5, 0.9]


def make_results(n_layers: int = 3, n_splits: int = 3) -> dict:
    """A table as ``sensitivity`` makes it; the last layer bears one sparsity less."""
    rng = np.random.default_rng(0)
    points = [(layer, s) for layer in LAYERS[:n_layers] for s in SPARSITIES]
    if n_layers > 1:
        del points[-1]
    scores = {name: rng.uniform(0.5, 1.0, (n_splits, len(points))) for name in ("accuracy", "f1")}
    results: dict = {
        "param_layer": np.ma.array([layer for layer, _ in points], dtype=object),
        "param_sparsity": np.ma.array([s for _, s in points]),
        "params": [{"layer": layer, "sparsity": s} for layer, s in points],
    }
    for name, values in scores.items():
        values[:, ::4] = values[:, :1]  # the dense network is the same for all
        results |= {f"split{i}_test_{name}": row for i, row in enumerate(values)}
        results[f"mean_test_{name}"] = values.mean(0)
    return results


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("n_layers", [1, 4])
def test_each_layer_has_its_line(n_layers, style):
    results = make_results(n_layers)
    with plt.style.context(style):
        display = SensitivityDisplay.from_results(results, scoring="f1")
        assert_readable(display)
    assert list(display.lines_) == LAYERS[:n_layers] == list(display.bands_)
    for layer, line in display.lines_.items():
        mine = results["param_layer"] == layer
        x, y = line.get_data()
        np.testing.assert_array_equal(x, results["param_sparsity"][mine])
        np.testing.assert_allclose(y, results["mean_test_f1"][mine])
    assert display.dense_line_.get_ydata()[0] == results["mean_test_f1"][0]
    assert display.ax_.get_ylabel() == "F1 (mean ± standard error)"


def test_layers_are_drawn_in_the_order_that_is_asked_for():
    _, ax = plt.subplots()
    display = SensitivityDisplay.from_results(
        make_results(), scoring="accuracy", layers=["body.1", "stem"], band=None, ax=ax
    )
    assert list(display.lines_) == ["body.1", "stem"]
    assert not display.bands_
    assert display.ax_ is ax


def test_what_is_computed_is_drawn():
    X, y = load_iris(return_X_y=True)
    pruned = PrunedClassifier(random_state=0)
    options = {"sparsities": [0.5, 0.8], "cv": 2, "layers": ["output"]}
    display = SensitivityDisplay.from_estimator(pruned, X, y, band="std", **options)
    results = sensitivity(pruned, X, y, **options)
    np.testing.assert_array_equal(display.sparsities["output"], [0.0, 0.5, 0.8])
    np.testing.assert_array_equal(display.lines_["output"].get_ydata(), results["mean_test_score"])
    assert display.ax_.get_ylabel() == "Score (mean ± standard deviation)"


def test_unknown_names_are_errors():
    with pytest.raises(ValueError, match=r"no layer 'boddy.0'\. Did you mean 'body.0'"):
        SensitivityDisplay.from_results(make_results(), scoring="f1", layers=["boddy.0"])
    with pytest.raises(ValueError, match="no metric 'f2'"):
        SensitivityDisplay.from_results(make_results(), scoring="f2")
    with pytest.raises(ValueError, match="Name the metric"):
        SensitivityDisplay.from_results(make_results())
