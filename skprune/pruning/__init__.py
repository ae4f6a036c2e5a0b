"""The engine of pruning, which knows torch and the strategies, and no skorch."""

from skprune.pruning.inputs import InputSpec
from skprune.pruning.outputs import (
    BinaryOutputs,
    ClassOutputs,
    LabelOutputs,
    Outputs,
    ValueOutputs,
)
from skprune.pruning.predictor import Predictor
from skprune.pruning.prune import prune
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
