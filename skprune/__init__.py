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
from skprune.strategies import Strategy, Target

__version__ = "0.1.0"

__all__ = [
    "DivergedError",
    "DivergedWarning",
    "InterruptedWarning",
    "PrunedClassifier",
    "PrunedClassifierCV",
    "PrunedRegressor",
    "PrunedRegressorCV",
    "Strategy",
    "Target",
    "UncachedWarning",
    "UnreachableSparsityError",
    "UntraceableError",
    "__version__",
    "pruning_path",
]
