"""The scikit-learn face: estimators that prune."""

from skprune.estimators.autoencoder import PrunedAutoencoder
from skprune.estimators.classifier import PrunedClassifier
from skprune.estimators.classifier_cv import PrunedClassifierCV
from skprune.estimators.layer_sensitivity import sensitivity
from skprune.estimators.path import PruningPath, pruning_path
from skprune.estimators.regressor import PrunedRegressor
from skprune.estimators.regressor_cv import PrunedRegressorCV
from skprune.estimators.selector import PrunedFeatureSelector
from skprune.estimators.selector_cv import PrunedFeatureSelectorCV
from skprune.estimators.stability_selection import StabilitySelection, stability_selection
from skprune.estimators.transformer import PrunedTransformer

__all__ = [
    "PrunedAutoencoder",
    "PrunedClassifier",
    "PrunedClassifierCV",
    "PrunedFeatureSelector",
    "PrunedFeatureSelectorCV",
    "PrunedRegressor",
    "PrunedRegressorCV",
    "PrunedTransformer",
    "PruningPath",
    "StabilitySelection",
    "pruning_path",
    "sensitivity",
    "stability_selection",
]
