"""Pruning of neural networks as an ordinary scikit-learn workflow."""

from skprune.estimators import PrunedClassifier, PrunedRegressor
from skprune.exceptions import (
    DivergedError,
    InterruptedWarning,
    UnreachableSparsityError,
    UntraceableError,
)
from skprune.strategies import Strategy

__version__ = "0.1.0"

__all__ = [
    "DivergedError",
    "InterruptedWarning",
    "PrunedClassifier",
    "PrunedRegressor",
    "Strategy",
    "UnreachableSparsityError",
    "UntraceableError",
    "__version__",
]
