"""Pictures of what pruning did and of what a search found, by scikit-learn's Display protocol."""

from skprune.inspection.feature_importance import FeatureImportanceDisplay
from skprune.inspection.feature_path import FeaturePathDisplay
from skprune.inspection.latency import LatencyDisplay
from skprune.inspection.layer_sparsity import LayerSparsityDisplay
from skprune.inspection.mask import MaskDisplay
from skprune.inspection.pareto import ParetoDisplay
from skprune.inspection.pruning_path import PruningPathDisplay
from skprune.inspection.sensitivity import SensitivityDisplay
from skprune.inspection.stability import StabilityDisplay

__all__ = [
    "FeatureImportanceDisplay",
    "FeaturePathDisplay",
    "LatencyDisplay",
    "LayerSparsityDisplay",
    "MaskDisplay",
    "ParetoDisplay",
    "PruningPathDisplay",
    "SensitivityDisplay",
    "StabilityDisplay",
]
