"""What the pictures read in ``cv_results_``: a metric, the sparsities, what tells lines apart."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skprune.components import near_match
from skprune.metrics.scorers import SCORERS

__all__ = [
    "group_labels",
    "last_rounds",
    "metric_of",
    "refit_metric",
    "search_in",
    "sparsities_of",
    "split_scores",
]

_LONGEST_LABEL = 40


def search_in(estimator: Any, attribute: str = "cv_results_") -> Any:
    """Find the fitted search in an estimator: itself, or the last step of a ``Pipeline``.

    Parameters
    ----------
    estimator : object
        What the user gave.
    attribute : str, default="cv_results_"
        The attribute that it is needed for.

    Returns
    -------
    search : object
        What has the attribute.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If it is fitted and has no such attribute.
    """
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    if not hasattr(estimator, attribute):
        check_is_fitted(estimator)
        searches = "PrunedClassifierCV and PrunedRegressorCV have it"
        if attribute == "cv_results_":
            searches += ", and searches such as GridSearchCV"
        raise TypeError(f"{type(estimator).__name__} has no {attribute}. {searches}.")
    return estimator


def refit_metric(search: Any) -> str | None:
    """Name the metric by which a search chose; None where it does not say.

    Parameters
    ----------
    search : object
        A fitted search: skprune's, which keeps the name, or another, whose ``refit`` may be the
        name of a metric, or a rule that has one as ``scoring``.

    Returns
    -------
    metric : str or None
        The name.
    """
    refit = getattr(search, "refit", None)
    metric = getattr(search, "metric_", getattr(refit, "scoring", refit))
    return metric if isinstance(metric, str) else None


def metric_of(
    cv_results: Mapping[str, Any],
    scoring: str | None,
    refit: str | None = None,
    cost: str | None = None,
) -> str:
    """Name the metric to draw.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.
    scoring : str or None
        What the user named. If None, the one that the search refits by or the one that is no cost.
    refit : str, default=None
        The metric that the search refits by.
    cost : str, default=None
        A metric that is not meant, besides those that skprune's scorers measure.

    Returns
    -------
    metric : str
        The name.

    Raises
    ------
    ValueError
        If the search has no such metric, or several to choose from.
    """
    known = [key.removeprefix("mean_test_") for key in cv_results if key.startswith("mean_test_")]
    listed = ", ".join(map(repr, known))
    if scoring is None:
        if refit in known:
            return refit
        scores = [name for name in known if name not in {*SCORERS, cost}]
        if len(scores) != 1:
            raise ValueError(f"Name the metric by scoring=: the search has {listed or 'none'}.")
        return scores[0]
    if scoring not in known:
        raise ValueError(
            f"The search has no metric {scoring!r}.{near_match(scoring, known)} Its metrics: "
            f"{listed}."
        )
    return scoring


def split_scores(cv_results: Mapping[str, Any], metric: str) -> np.ndarray:
    """Give the scores of each candidate on each split; the means alone where there are no splits.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.
    metric : str
        The metric's name.

    Returns
    -------
    scores : ndarray of shape (n_candidates, n_splits)
        The scores.
    """
    split = re.compile(rf"split\d+_test_{re.escape(metric)}")
    keys = [key for key in cv_results if split.fullmatch(key)] or [f"mean_test_{metric}"]
    return np.stack([np.asarray(cv_results[key], dtype=float) for key in keys], axis=1)


def sparsities_of(cv_results: Mapping[str, Any]) -> np.ndarray:
    """Give the sparsity of each candidate; NaN for one that sets none.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.

    Returns
    -------
    sparsities : ndarray of shape (n_candidates,)
        The values of the parameter whose name ends in ``sparsity``.

    Raises
    ------
    ValueError
        If there is no such parameter, or more than one.
    """
    keys = [key for key in _parameters(cv_results) if key.endswith("sparsity")]
    if len(keys) != 1:
        names = [key.removeprefix("param_") for key in keys or _parameters(cv_results)]
        found = ", ".join(map(repr, names)) or "none"
        raise ValueError(
            "The search has to vary one parameter whose name ends in 'sparsity'. "
            + (f"It varies several: {found}." if keys else f"Its parameters: {found}.")
        )
    sparsities = np.array(
        [np.nan if v is None or v is np.ma.masked else float(v) for v in cv_results[keys[0]]]
    )
    if np.isnan(sparsities).all():
        raise ValueError(f"No candidate of the search sets {keys[0].removeprefix('param_')!r}.")
    return sparsities


def last_rounds(cv_results: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the last round of each candidate of a successive halving; all rows of other searches.

    A score on few samples says nothing beside one on many.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.

    Returns
    -------
    cv_results : dict of str to list
        The rows that remain.
    """
    table = {key: list(column) for key, column in cv_results.items()}
    if "iter" not in table:
        return table
    parameters = _parameters(table)
    last: dict[tuple[Any, ...], int] = {}
    for row in np.argsort(table["iter"], kind="stable"):
        last[tuple(_identity(table[key][row]) for key in parameters)] = row
    return {key: [column[row] for row in sorted(last.values())] for key, column in table.items()}


def group_labels(cv_results: Mapping[str, Any], by: str | Sequence[str] | None = None) -> list[str]:
    """Say to which line each candidate belongs.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.
    by : str or sequence of str, default=None
        Parameters that tell lines apart, by name or by the end of the name. None are all that vary,
        but the sparsity.

    Returns
    -------
    labels : list of str
        One for each candidate: the strategy, and the values of the other parameters. Equal where
        the candidates are on one line, different where they are not, such as strategies that look
        the same and have different teachers.

    Raises
    ------
    ValueError
        If the search has no such parameter.
    """
    parameters = [key for key in _parameters(cv_results) if not key.endswith("sparsity")]
    if by is None:
        chosen = [key for key in parameters if len({_identity(v) for v in cv_results[key]}) > 1]
        chosen = chosen or [key for key in parameters if key.endswith("strategy")]
    else:
        chosen = [_parameter(name, parameters) for name in ([by] if isinstance(by, str) else by)]
    n_candidates = max(len(column) for column in cv_results.values())
    rows = [[cv_results[key][row] for key in chosen] for row in range(n_candidates)]
    labels: dict[tuple[Any, ...], str] = {}
    for row in rows:
        line = tuple(map(_identity, row))
        if line not in labels:
            labels[line] = _other_than(_label(chosen, row), set(labels.values()))
    return [labels[tuple(map(_identity, row))] for row in rows]


def _parameters(cv_results: Mapping[str, Any]) -> list[str]:
    return [key for key in cv_results if key.startswith("param_")]


def _parameter(name: str, parameters: list[str]) -> str:
    ends = [key for key in parameters if f"_{key}".endswith((f"param_{name}", f"__{name}"))]
    if len(ends) == 1:
        return ends[0]
    names = [key.removeprefix("param_") for key in parameters]
    tails = [key.rpartition("__")[2] for key in names]
    listed = ", ".join(map(repr, names)) or "none"
    if ends:
        raise ValueError(f"Several parameters are named {name!r}: {listed}.")
    raise ValueError(
        f"The search has no parameter {name!r}.{near_match(name, [*names, *tails])} Its parameters "
        f"besides the sparsity: {listed}."
    )


def _label(parameters: list[str], values: list[Any]) -> str:
    parts = []
    for key, value in zip(parameters, values, strict=True):
        name = key.removeprefix("param_").rpartition("__")[2]
        if value is not np.ma.masked:
            parts.append(_in_short(value) if name == "strategy" else f"{name}={_in_short(value)}")
    return ", ".join(parts) or "pruned"


def _identity(value: Any) -> Any:
    """Tell values apart: by their text, which estimators of different fits have in common."""
    return id(value) if hasattr(value, "get_params") else _in_full(value)


def _in_short(value: Any) -> str:
    text = _in_full(value)
    return text if len(text) <= _LONGEST_LABEL else f"{text[:_LONGEST_LABEL].rstrip()}…"


def _in_full(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return getattr(value, "__name__", None) or " ".join(str(value).split())


def _other_than(label: str, taken: set[str]) -> str:
    number, other = 2, label
    while other in taken:
        number, other = number + 1, f"{label} ({number})"
    return other
