"""The scikit-learn face: estimators that prune."""

from skprune.estimators.classifier import PrunedClassifier
from skprune.estimators.classifier_cv import PrunedClassifierCV
from skprune.estimators.layer_sensitivity import sensitivity
from skprune.estimators.path import PruningPath, pruning_path
from skprune.estimators.regressor import PrunedRegressor
from skprune.estimators.regressor_cv import PrunedRegressorCV

__all__ = [
    "PrunedClassifier",
    "PrunedClassifierCV",
    "PrunedRegressor",
    "PrunedRegressorCV",
    "PruningPath",
    "pruning_path",
    "sensitivity",
]
