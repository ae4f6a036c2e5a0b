"""How much features matter, for scikit-learn's selectors."""

import numpy as np
import pytest
from sklearn.feature_selection import RFE, SelectFromModel

from skprune import PrunedClassifier, PrunedRegressor

RELEVANT = [1, 4]


def data(kind: str) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(300, 8))
    y = 2 * X[:, 1] - 1.5 * X[:, 4]
    return X, (y > 0).astype(int) if kind == "classifier" else y


def pruned(kind: str, **params):
    estimator = PrunedClassifier if kind == "classifier" else PrunedRegressor
    return estimator(structure="feature", sparsity=0.5, random_state=0).set_params(**params)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_importances_are_zero_for_removed_features_alone(kind):
    X, y = data(kind)
    fitted = pruned(kind).fit(X, y)
    importances = fitted.feature_importances_
    kept = fitted.masks_["hidden0.weight"].any(axis=0)
    assert importances.shape == (8,)
    assert importances.sum() == pytest.approx(1)
    np.testing.assert_array_equal(importances > 0, kept)
    assert sorted(np.argsort(importances)[-2:]) == RELEVANT
    selector = SelectFromModel(fitted, prefit=True, threshold=1e-12)
    np.testing.assert_array_equal(selector.get_support(), kept)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_selectors_find_what_is_relevant(kind):
    X, y = data(kind)
    for selector in (
        SelectFromModel(pruned(kind), max_features=2, threshold=-np.inf),
        RFE(pruned(kind), n_features_to_select=2, step=3),
    ):
        assert selector.fit(X, y).get_support(indices=True).tolist() == RELEVANT


def test_other_structures_have_none():
    X, y = data("classifier")
    fitted = pruned("classifier", structure="weight").fit(X, y)
    with pytest.raises(AttributeError, match="structure is 'weight'"):
        _ = fitted.feature_importances_
    with pytest.raises(AttributeError, match="before it is fitted"):
        _ = pruned("classifier").feature_importances_
