"""Pruning of neural networks as an ordinary scikit-learn workflow."""

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skprune.deployment import deploy, load, save
    from skprune.estimators import (
        PrunedAutoencoder,
        PrunedClassifier,
        PrunedClassifierCV,
        PrunedFeatureSelector,
        PrunedFeatureSelectorCV,
        PrunedRegressor,
        PrunedRegressorCV,
        PrunedTransformer,
        pruning_path,
        sensitivity,
        stability_selection,
    )
    from skprune.exceptions import (
        DivergedError,
        DivergedWarning,
        IncompleteWarning,
        InterruptedWarning,
        InvalidFileError,
        NotDeployableError,
        UncachedWarning,
        UnreachableSparsityError,
        UnsavableError,
        UntraceableError,
    )
    from skprune.pruning import PrunedModule, Pruner, prune
    from skprune.strategies import Strategy, Target

__version__ = "0.1.0"

__all__ = [
    "DivergedError",
    "DivergedWarning",
    "IncompleteWarning",
    "InterruptedWarning",
    "InvalidFileError",
    "NotDeployableError",
    "PrunedAutoencoder",
    "PrunedClassifier",
    "PrunedClassifierCV",
    "PrunedFeatureSelector",
    "PrunedFeatureSelectorCV",
    "PrunedModule",
    "PrunedRegressor",
    "PrunedRegressorCV",
    "PrunedTransformer",
    "Pruner",
    "Strategy",
    "Target",
    "UncachedWarning",
    "UnreachableSparsityError",
    "UnsavableError",
    "UntraceableError",
    "__version__",
    "deploy",
    "load",
    "prune",
    "pruning_path",
    "save",
    "sensitivity",
    "stability_selection",
]

# Where names come from. They are imported when they are first asked for, so that to load a
# predictor, and to predict with it, never imports skorch.
_NAMES = {
    "deployment": ("deploy", "load", "save"),
    "estimators": (
        "PrunedAutoencoder",
        "PrunedClassifier",
        "PrunedClassifierCV",
        "PrunedFeatureSelector",
        "PrunedFeatureSelectorCV",
        "PrunedRegressor",
        "PrunedRegressorCV",
        "PrunedTransformer",
        "pruning_path",
        "sensitivity",
        "stability_selection",
    ),
    "exceptions": (
        "DivergedError",
        "DivergedWarning",
        "IncompleteWarning",
        "InterruptedWarning",
        "InvalidFileError",
        "NotDeployableError",
        "UncachedWarning",
        "UnreachableSparsityError",
        "UnsavableError",
        "UntraceableError",
    ),
    "inspection": (),
    "metrics": (),
    "model_selection": (),
    "network": (),
    "pruning": ("PrunedModule", "Pruner", "prune"),
    "strategies": ("Strategy", "Target"),
    "structures": (),
}


def __getattr__(name: str) -> Any:
    """Import a public name, or a part of the package."""
    if name in _NAMES:
        return import_module(f"skprune.{name}")
    for part, names in _NAMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"skprune.{part}"), name)
            return value
    close = get_close_matches(name, [*__all__, *_NAMES], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise AttributeError(f"module 'skprune' has no attribute {name!r}.{hint}")


def __dir__() -> list[str]:
    """List the public names and the parts, imported or not."""
    return sorted([*__all__, *_NAMES])
