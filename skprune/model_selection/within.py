"""The one-standard-error rule: the cheapest candidate that is nearly as good as the best."""

from numbers import Real

import numpy as np

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match
from skprune.model_selection.comparison import mean_and_std_err
from skprune.model_selection.fold_scores import FoldScores
from skprune.model_selection.non_inferior import AGAINST, reference_of
from skprune.model_selection.rule import SelectionRule, Verdict

__all__ = ["SparsestWithin", "sparsest_within"]


def sparsest_within(
    scoring: str | None = "score",
    *,
    n_std_err: float | None = None,
    tolerance: float | None = None,
    cost: str = "macs",
    paired: bool = False,
    against: str = "best",
) -> "SparsestWithin":
    """Make a rule for ``refit=`` of a search: the cheapest candidate that is nearly the best.

    Parameters
    ----------
    scoring : str or None, default="score"
        Name of the metric that has to stay good; the only one that is no cost if None.
    n_std_err : float, default=None
        How many standard errors a candidate may be below the best; 1 if neither this nor
        `tolerance` is given.
    tolerance : float, default=None
        How far it may be below, in the metric's own unit, in place of standard errors.
    cost : str, default="macs"
        Name of the metric that is to be cheap, as in ``scoring={"macs": macs_scorer}``: a scorer,
        of which the greatest is the best. ``"sparsity"`` without such a metric is the parameter
        of that name.
    paired : bool, default=False
        Whether the standard error is that of the candidate's mean difference to the best on the
        same folds, which is far smaller than that of the best candidate's mean.
    against : {"best", "dense"}, default="best"
        What a candidate may be below: the candidate with the best mean score, or the dense network,
        whose scores a search knows if one of its candidates has a sparsity of 0.

    Returns
    -------
    rule : SparsestWithin
        Maps ``cv_results_`` to an index. It can be pickled.

    Raises
    ------
    InvalidParameterError
        If `n_std_err` or `tolerance` is negative, or both are given, or `against` is unknown.

    See Also
    --------
    NonInferior : Asks for evidence that a candidate is good.

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
    if against not in AGAINST:
        raise InvalidParameterError(
            f"Unknown against {against!r} of sparsest_within.{near_match(against, AGAINST)} "
            f"Known: {', '.join(map(repr, AGAINST))}."
        )
    if n_std_err is None and tolerance is None:
        n_std_err = 1.0
    return SparsestWithin(scoring, n_std_err, tolerance, cost, paired, against)


class SparsestWithin(SelectionRule):
    """The rule that :func:`sparsest_within` makes."""

    def __init__(
        self,
        scoring: str | None,
        n_std_err: float | None,
        tolerance: float | None,
        cost: str,
        paired: bool,
        against: str,
    ) -> None:
        self.scoring = scoring
        self.n_std_err = n_std_err
        self.tolerance = tolerance
        self.cost = cost
        self.paired = paired
        self.against = against

    def __repr__(self) -> str:
        slack = (
            f"n_std_err={self.n_std_err}"
            if self.tolerance is None
            else f"tolerance={self.tolerance}"
        )
        rest = ", paired=True" if self.paired else ""
        rest += f", against={self.against!r}" if self.against != "best" else ""
        return f"sparsest_within({self.scoring!r}, {slack}, cost={self.cost!r}{rest})"

    def judge(self, fold_scores: FoldScores) -> Verdict:
        """Say which candidates are good enough; see :class:`SelectionRule`."""
        reference, scores = reference_of(fold_scores, self.against)
        best = np.nanmax(fold_scores.means) if self.against == "best" else np.nanmean(scores)
        if self.n_std_err is None:
            slack = np.full(len(fold_scores.means), self.tolerance)
        else:
            noisy = fold_scores.scores - scores if self.paired else scores[np.newaxis]
            _, error = mean_and_std_err(noisy, fold_scores.test_ratio)
            slack = np.broadcast_to(self.n_std_err * error, fold_scores.means.shape)
        good = fold_scores.means >= best - slack
        below = best - fold_scores.means
        why_not = [
            f"is {x:.3g} below, of {allowed:.3g} allowed"
            for x, allowed in zip(below, slack, strict=True)
        ]
        return Verdict(good, slack - below, why_not, reference, scores)
