"""Pruning of neural networks as an ordinary scikit-learn workflow."""

from skprune.estimators import (
    PrunedClassifier,
    PrunedClassifierCV,
    PrunedRegressor,
    PrunedRegressorCV,
    pruning_path,
)
from skprune.exceptions import (
    DivergedError,
    DivergedWarning,
    InterruptedWarning,
    UncachedWarning,
    UnreachableSparsityError,
    UntraceableError,
)
from skprune.pruning import PrunedModule, Pruner, prune
from skprune.strategies import Strategy

__version__ = "0.1.0"

__all__ = [
    "DivergedError",
    "DivergedWarning",
    "InterruptedWarning",
    "PrunedClassifier",
    "PrunedClassifierCV",
    "PrunedModule",
    "PrunedRegressor",
    "PrunedRegressorCV",
    "Pruner",
    "Strategy",
    "UncachedWarning",
    "UnreachableSparsityError",
    "UntraceableError",
    "__version__",
    "prune",
    "pruning_path",
]
