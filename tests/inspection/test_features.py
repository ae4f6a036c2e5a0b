"""Pictures of selected features."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import PrunedFeatureSelector, PrunedFeatureSelectorCV
from skprune.inspection import FeatureImportanceDisplay, FeaturePathDisplay
from tests.estimators.test_feature_selector import data


@pytest.fixture(scope="module")
def search() -> Any:
    X, y = data("classifier")
    selector = PrunedFeatureSelectorCV(candidates=[8, 2, 1], cv=2, random_state=0)
    selector.set_params(estimator__max_epochs=10)
    model = make_pipeline(StandardScaler().set_output(transform="pandas"), selector)
    return model.fit(pd.DataFrame(X, columns=list("abcdefgh")), y)


def test_the_path_of_scores(search: Any) -> None:
    display = FeaturePathDisplay.from_estimator(search)
    means = search[-1].cv_results_["mean_test_score"]
    x, y = display.line_.get_data()
    assert x.tolist() == [8, 2, 1]
    np.testing.assert_allclose(y, means)
    chosen = search[-1].best_index_
    assert display.chosen_.get_xydata().tolist() == [[[8, 2, 1][chosen], means[chosen]]]
    assert display.image_ is None


def test_the_path_of_features(search: Any) -> None:
    display = FeaturePathDisplay.from_estimator(search, kind="features")
    shown = np.asarray(display.image_.get_array())
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert sorted(names) == list("abcdefgh")
    frequencies = search[-1].support_path_.mean(axis=1)
    for row, name in zip(shown, names, strict=True):
        np.testing.assert_array_equal(row, frequencies[:, "abcdefgh".index(name)])
    assert (np.diff(shown[:, -1]) <= 0).all()  # those that stay longest are on top
    with pytest.raises(ValueError, match="kind must be 'score' or 'features'"):
        display.plot(kind="bars")


def test_importances_as_bars(search: Any) -> None:
    display = FeatureImportanceDisplay.from_estimator(search)
    selector = search[-1]
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    widths = [bar.get_width() for bar in display.bars_]
    for name, width in zip(names, widths, strict=True):
        assert width == selector.importances_["abcdefgh".index(name)]
    assert {*names[: selector.n_features_]} == {*selector.get_feature_names_out()}
    assert display.image_ is None


def test_importances_as_an_image() -> None:
    support = np.array([True, False, True, False, False, True])
    importances = np.array([0.4, 0.05, 0.3, 0.05, 0.05, 0.15])
    display = FeatureImportanceDisplay(
        importances=importances, support=support, image_shape=(2, 3)
    ).plot()
    shown = display.image_.get_array()
    np.testing.assert_array_equal(shown.mask, ~support.reshape(2, 3))
    np.testing.assert_array_equal(shown.compressed(), importances[support])
    display.image_shape = (2, 1, 3)
    assert display.plot().image_.get_array().filled(0).tolist() == [pytest.approx([0.4, 0.0, 0.45])]
    display.image_shape = (2, 2)
    with pytest.raises(ValueError, match=r"image_shape=\(2, 2\) does not fit 6 features"):
        display.plot()


@pytest.mark.parametrize("display", [FeaturePathDisplay, FeatureImportanceDisplay])
def test_what_selected_nothing_is_an_error(display: Any) -> None:
    with pytest.raises(NotFittedError):
        display.from_estimator(PrunedFeatureSelector())
    X, y = data("classifier")
    with pytest.raises(
        TypeError, match=r"LogisticRegression has no .*PrunedFeatureSelectorCV hav?"
    ):
        display.from_estimator(LogisticRegression().fit(X, y))
