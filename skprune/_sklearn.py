"""The private scikit-learn names that skprune relies on, imported nowhere else."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, NamedTuple

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
    "ScorerParts",
    "StrOptions",
    "calculate_threshold",
    "check_feature_names",
    "check_method_params",
    "check_n_features",
    "check_sample_weight",
    "fit_context",
    "raise_for_params",
    "safe_indexing",
    "scorer_parts",
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


class ScorerParts(NamedTuple):
    """What a scorer of scikit-learn is made of.

    Attributes
    ----------
    function : callable or None
        The metric; None for the estimator's own ``score``.
    sign : int
        -1 where the smaller is the better.
    options : mapping of str to object
        The metric's other arguments.
    methods : tuple of str
        The methods of an estimator that it looks at: the first that there is.
    """

    function: Callable[..., Any] | None
    sign: int
    options: Mapping[str, Any]
    methods: tuple[str, ...]


def scorer_parts(scorer: Any) -> ScorerParts | None:
    """Take a scorer of scikit-learn apart; None for a function of one's own."""
    if hasattr(scorer, "_estimator"):
        return ScorerParts(None, 1, {}, ("predict",))
    if not hasattr(scorer, "_score_func") or hasattr(scorer, "_scorers"):
        return None
    methods = scorer._response_method
    methods = (methods,) if isinstance(methods, str) else tuple(methods)
    return ScorerParts(scorer._score_func, scorer._sign, scorer._kwargs, methods)
