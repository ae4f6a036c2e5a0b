"""Choosing: rules, the Pareto front, stability."""

from skprune.model_selection.comparison import PairedDifference, paired_difference
from skprune.model_selection.error_bounds import false_selection_bound
from skprune.model_selection.fold_scores import FoldScores
from skprune.model_selection.non_inferior import NonInferior
from skprune.model_selection.pareto import pareto_front
from skprune.model_selection.report import SelectionReport
from skprune.model_selection.rule import SelectionRule, Verdict
from skprune.model_selection.stability import (
    MaskStability,
    mask_stability,
    prediction_churn,
    recall_change,
)
from skprune.model_selection.within import sparsest_within

__all__ = [
    "FoldScores",
    "MaskStability",
    "NonInferior",
    "PairedDifference",
    "SelectionReport",
    "SelectionRule",
    "Verdict",
    "false_selection_bound",
    "mask_stability",
    "paired_difference",
    "pareto_front",
    "prediction_churn",
    "recall_change",
    "sparsest_within",
]
