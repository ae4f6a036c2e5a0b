"""The engine of pruning, which knows torch and the strategies, and no skorch."""

from typing import TYPE_CHECKING

from skprune.lazy import lazy_names

if TYPE_CHECKING:
    from skprune.pruning.inputs import InputSpec
    from skprune.pruning.module_pruning import prune
    from skprune.pruning.outputs import (
        BinaryOutputs,
        ClassOutputs,
        LabelOutputs,
        Outputs,
        ValueOutputs,
    )
    from skprune.pruning.predictor import Predictor
    from skprune.pruning.pruned_module import PrunedModule
    from skprune.pruning.pruner import Pruner

__all__ = [
    "BinaryOutputs",
    "ClassOutputs",
    "InputSpec",
    "LabelOutputs",
    "Outputs",
    "Predictor",
    "PrunedModule",
    "Pruner",
    "ValueOutputs",
    "prune",
]

# What a deployed predictor holds comes from here too, and is to be loaded without torch.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BinaryOutputs": "outputs",
        "ClassOutputs": "outputs",
        "InputSpec": "inputs",
        "LabelOutputs": "outputs",
        "Outputs": "outputs",
        "Predictor": "predictor",
        "PrunedModule": "pruned_module",
        "Pruner": "pruner",
        "ValueOutputs": "outputs",
        "prune": "module_pruning",
    },
)
