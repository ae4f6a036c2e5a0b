"""Rules that choose among candidates: the sparsest that is as good as the best."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from skprune._sklearn import InvalidParameterError
from skprune.model_selection.candidates import Candidates

__all__ = ["pareto_front", "sparsest_within"]


def sparsest_within(
    scoring: str = "score",
    *,
    n_std_err: float | None = None,
    tolerance: float | None = None,
    cost: str = "macs",
) -> "SparsestWithin":
    """Make a rule for ``refit=`` of a search: the cheapest candidate that is nearly the best.

    Parameters
    ----------
    scoring : str, default="score"
        Name of the metric that has to stay good.
    n_std_err : float, default=None
        How many standard errors (of the best candidate's mean over the folds) a candidate may be
        below the best; 1 if neither this nor `tolerance` is given.
    tolerance : float, default=None
        How far it may be below, in the metric's own unit, in place of standard errors.
    cost : str, default="macs"
        Name of the metric that is to be cheap, as in ``scoring={"macs": macs_scorer}``: a scorer,
        of which the greatest is the best. ``"sparsity"`` without such a metric is the parameter
        of that name.

    Returns
    -------
    rule : callable
        Maps ``cv_results_`` to an index. It can be pickled.

    Raises
    ------
    InvalidParameterError
        If `n_std_err` or `tolerance` is negative, or both are given.

    Notes
    -----
    Of a halving search, only the candidates of the last iteration are compared: the others have
    had fewer resources. Halving searches and Optuna's ``OptunaSearchCV`` never call what is given
    as ``refit``: apply the rule to their ``cv_results_``.

    References
    ----------
    Breiman, L., Friedman, J., Stone, C. J., & Olshen, R. A. (1984). Classification and regression
    trees. CRC Press. The one-standard-error rule is in section 3.4.3.

    Examples
    --------
    >>> from skprune.model_selection import sparsest_within
    >>> results = {
    ...     "params": [{}, {}, {}],
    ...     "mean_test_accuracy": [0.90, 0.89, 0.70],
    ...     "split0_test_accuracy": [0.88, 0.88, 0.70],
    ...     "split1_test_accuracy": [0.92, 0.90, 0.70],
    ...     "mean_test_macs": [-300.0, -200.0, -100.0],
    ... }
    >>> sparsest_within("accuracy")(results)
    1
    """
    for name, slack in {"n_std_err": n_std_err, "tolerance": tolerance}.items():
        if slack is not None and not (isinstance(slack, Real) and slack >= 0):
            raise InvalidParameterError(
                f"{name} of sparsest_within must be 0 or more, or None; got {slack!r}."
            )
    if n_std_err is not None and tolerance is not None:
        raise InvalidParameterError(
            f"sparsest_within takes n_std_err={n_std_err} or tolerance={tolerance}, not both: each "
            "says how far below the best a candidate may be."
        )
    if n_std_err is None and tolerance is None:
        n_std_err = 1.0
    return SparsestWithin(scoring, n_std_err, tolerance, cost)


class SparsestWithin:
    """The rule that :func:`sparsest_within` makes."""

    def __init__(
        self, scoring: str, n_std_err: float | None, tolerance: float | None, cost: str
    ) -> None:
        self.scoring = scoring
        self.n_std_err = n_std_err
        self.tolerance = tolerance
        self.cost = cost

    def __repr__(self) -> str:
        slack = (
            f"n_std_err={self.n_std_err}"
            if self.tolerance is None
            else f"tolerance={self.tolerance}"
        )
        return f"sparsest_within({self.scoring!r}, {slack}, cost={self.cost!r})"

    def __call__(self, cv_results: Mapping[str, Any]) -> int:
        """Choose a candidate.

        Parameters
        ----------
        cv_results : mapping of str to array
            ``cv_results_`` of a search.

        Returns
        -------
        index : int
            The candidate's.
        """
        candidates = Candidates(cv_results)
        score, cost = candidates.means(self.scoring), candidates.costs(self.cost)
        if np.isnan(score).all():
            raise ValueError(f"Every candidate's {self.scoring!r} is NaN: there is none to choose.")
        best = int(np.nanargmax(score))
        if self.n_std_err is None:
            slack = self.tolerance
        else:
            slack = self.n_std_err * candidates.standard_error(self.scoring, best)
        good = np.flatnonzero(score >= score[best] - slack)
        cost = np.where(np.isnan(cost), -np.inf, cost)  # what is not known is not cheap
        # Of equally cheap ones, the better; of equally good ones, the first.
        return int(candidates.rows[max(good, key=lambda i: (cost[i], score[i]))])


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
