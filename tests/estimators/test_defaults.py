"""The default network is no worse than scikit-learn's own perceptron."""

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.base import BaseEstimator, is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skprune import PrunedClassifier, PrunedRegressor

FOLDS = KFold(5, shuffle=True, random_state=0)


def score(estimator: BaseEstimator, X: Any, y: Any) -> float:
    """Accuracy or R2 over the rows of all folds, so that each row counts once."""
    model = make_pipeline(StandardScaler(), estimator)
    with threadpool_limits(1):  # of NumPy; more of them slow networks of this size down
        predictions = cross_val_predict(model, X, y, cv=FOLDS)
    return (accuracy_score if is_classifier(estimator) else r2_score)(y, predictions)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of the peer
@pytest.mark.parametrize(
    ("load", "ours", "theirs"),
    [
        (load_digits, PrunedClassifier, MLPClassifier),
        (load_breast_cancer, PrunedClassifier, MLPClassifier),
        (load_wine, PrunedClassifier, MLPClassifier),
        (load_diabetes, PrunedRegressor, MLPRegressor),
    ],
)
def test_not_below_the_perceptron_of_scikit_learn(
    load: Callable[..., Any], ours: type, theirs: type
) -> None:
    X, y = load(return_X_y=True)

    dense = ours(sparsity=0.0, fine_tune_epochs=0, random_state=0)

    assert score(dense, X, y) >= score(theirs(random_state=0), X, y)
