"""The private scikit-learn names that skprune relies on, imported nowhere else."""

from inspect import signature
from typing import Any

from sklearn.base import _fit_context as fit_context
from sklearn.feature_selection._from_model import _calculate_threshold as calculate_threshold
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.metadata_routing import _raise_for_params as raise_for_params
from sklearn.utils.validation import (
    _check_feature_names as check_feature_names,
)
from sklearn.utils.validation import (
    _check_method_params as check_method_params,
)
from sklearn.utils.validation import (
    _check_n_features as check_n_features,
)
from sklearn.utils.validation import (
    _check_sample_weight as check_sample_weight,
)

__all__ = [
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "Options",
    "RealNotInt",
    "StrOptions",
    "calculate_threshold",
    "check_feature_names",
    "check_method_params",
    "check_n_features",
    "check_sample_weight",
    "fit_context",
    "raise_for_params",
    "safe_indexing",
    "takes_sample_weight",
    "validate_parameter_constraints",
]


def takes_sample_weight(scorer: Any) -> bool:
    """Whether a scorer, or one of several in one, can be given the weights of the rows."""
    if hasattr(scorer, "_scorers"):
        return any(takes_sample_weight(each) for each in scorer._scorers.values())
    if hasattr(scorer, "_accept_sample_weight"):
        return scorer._accept_sample_weight()
    return "sample_weight" in signature(scorer).parameters
