"""The scikit-learn face: estimators that prune."""

from skprune.estimators.classifier import PrunedClassifier
from skprune.estimators.regressor import PrunedRegressor

__all__ = ["PrunedClassifier", "PrunedRegressor"]
