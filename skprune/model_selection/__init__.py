"""Choosing: refit rules, the Pareto front, stability."""

from skprune.model_selection.error_bounds import false_selection_bound
from skprune.model_selection.refit import pareto_front, sparsest_within
from skprune.model_selection.stability import (
    MaskStability,
    mask_stability,
    prediction_churn,
    recall_change,
)

__all__ = [
    "MaskStability",
    "false_selection_bound",
    "mask_stability",
    "pareto_front",
    "prediction_churn",
    "recall_change",
    "sparsest_within",
]
