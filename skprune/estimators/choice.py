"""How a cross-validated estimator chooses among its candidates."""

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any
from warnings import warn

import numpy as np

from skprune.model_selection import (
    FoldScores,
    NonInferior,
    SelectionReport,
    SelectionRule,
    sparsest_within,
)
from skprune.model_selection.non_inferior import reference_of
from skprune.model_selection.report import report_of

__all__ = ["SELECTIONS", "choose", "rule_of"]

# By name, what makes the rule for a metric.
SELECTIONS: dict[str, Callable[[str], SelectionRule]] = {
    # Of equally good ones, the sparsest.
    "best": lambda metric: sparsest_within(metric, tolerance=0.0, cost="sparsity"),
    "one_std_err": lambda metric: sparsest_within(metric, n_std_err=1.0, cost="sparsity"),
    "non_inferior": lambda metric: NonInferior(scoring=metric, relative=True),
}


def choose(
    selection: str | Callable[[dict[str, Any]], int], results: dict[str, Any], metric: str
) -> SelectionReport:
    """Choose a candidate.

    Parameters
    ----------
    selection : str or callable
        The name of a rule, a rule, or another function of the results.
    results : dict of str to ndarray
        ``cv_results_``.
    metric : str
        Name of the metric that decides.

    Returns
    -------
    report : SelectionReport
        The choice, and what stands against the others.

    Raises
    ------
    ValueError
        If no candidate has a score, or a function returns no index of one.
    """
    rule = rule_of(selection, metric)
    cost = rule.cost if isinstance(rule, SelectionRule) else "sparsity"
    scores = FoldScores.of(results, metric, cost)
    if not isinstance(rule, SelectionRule):
        return _chosen_by(rule, results, scores)
    _check_scores(scores.means, results["params"], metric)
    report = rule.choose(scores)
    place = np.flatnonzero(report.numbers == report.index)[0]
    if not report.found and (upper := report.columns["upper"][place]) < 0:
        # Where the interval has 0 in it, there are only too few rows to tell.
        warn(
            f"No candidate is good enough for {report.rule}, and the nearest is worse than "
            f"{report.reference}, by {-upper:.3g} at least: {_written(results['params'][place])}. "
            "See selection_report_. Smaller sparsities, more epochs or another strategy may do "
            "better.",
            UserWarning,
            stacklevel=6,
        )
    return report


def rule_of(selection: str | Callable[[dict[str, Any]], int], metric: str) -> Any:
    """Make the rule that a name stands for; a rule and another function are what they are."""
    return SELECTIONS[selection](metric) if isinstance(selection, str) else selection


def _check_scores(means: np.ndarray, params: list[Mapping[str, Any]], metric: str) -> None:
    failed = np.flatnonzero(np.isnan(means))
    if len(failed) == len(means):
        raise ValueError(
            f"The score {metric!r} is NaN at every sparsity: there is nothing to choose from."
        )
    if len(failed):
        warn(
            f"The score {metric!r} is NaN for {len(failed)} of {len(means)} candidates, such as "
            f"{_written(params[failed[0]])}: they are not chosen.",
            UserWarning,
            stacklevel=7,
        )


def _written(params: Mapping[str, Any]) -> str:
    return f"sparsity={params['sparsity']:.6g}, strategy={params['strategy']!r}"


def _chosen_by(
    function: Callable[[dict[str, Any]], int], results: dict[str, Any], scores: FoldScores
) -> SelectionReport:
    """Let a function choose that says nothing of why."""
    n_candidates = len(scores.means)
    index = function(results)
    if not isinstance(index, Integral) or not 0 <= int(index) < n_candidates:
        raise ValueError(
            f"selection must return the index of one of {n_candidates} candidates; it returned "
            f"{index!r}."
        )
    if scores.dense is None or np.isnan(scores.means).all():
        reference, compared_with = "nothing", np.full(scores.scores.shape[1], np.nan)
    else:
        reference, compared_with = reference_of(scores, "dense")
    name = getattr(function, "__name__", repr(function))
    why_not = ["not chosen by the function"] * n_candidates
    return report_of(scores, int(index), name, reference, compared_with, why_not, found=True)
