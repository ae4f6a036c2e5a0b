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

__all__ = [
    "BinaryOutputs",
    "ClassOutputs",
    "InputSpec",
    "LabelOutputs",
    "Outputs",
    "Predictor",
    "ValueOutputs",
]
