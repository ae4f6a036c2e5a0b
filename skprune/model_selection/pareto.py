"""Candidates that no other beats."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skprune.model_selection.candidates import Candidates

__all__ = ["pareto_front"]


def pareto_front(
    cv_results: Mapping[str, Any], scoring: str = "score", cost: str = "macs"
) -> np.ndarray:
    """Find the candidates that no other beats in both score and cost.

    Parameters
    ----------
    cv_results : mapping of str to array
        ``cv_results_`` of a search.
    scoring : str, default="score"
        Name of the metric that is to be good.
    cost : str, default="macs"
        Name of the metric that is to be cheap: a scorer, of which the greatest is the best.
        ``"sparsity"`` without such a metric is the parameter of that name.

    Returns
    -------
    indices : ndarray of int
        Of the candidates, the cheapest first. Of equal ones, the first. One whose score or cost is
        not known is on no front.

    Raises
    ------
    ValueError
        If the search has no such metric.

    Notes
    -----
    Of a halving search, only the candidates of the last iteration are compared: the others have
    had fewer resources. :class:`~skprune.inspection.ParetoDisplay` draws the same candidates.

    Examples
    --------
    >>> from skprune.model_selection import pareto_front
    >>> results = {"mean_test_score": [0.9, 0.8, 0.7], "mean_test_macs": [-3.0, -1.0, -2.0]}
    >>> pareto_front(results)
    array([1, 0])
    """
    candidates = Candidates(cv_results)
    score, value = candidates.means(scoring), candidates.costs(cost)
    known = ~np.isnan(score) & ~np.isnan(value)
    front: list[int] = []
    for place in np.lexsort((np.arange(len(score)), -score, -value)):
        if known[place] and (not front or score[place] > score[front[-1]]):
            front.append(int(place))
    return candidates.rows[front]
