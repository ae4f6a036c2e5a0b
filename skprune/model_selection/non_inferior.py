"""The sparsest candidate that is not worse than the dense network."""

from numbers import Real
from typing import ClassVar

import numpy as np

from skprune._sklearn import Interval, StrOptions
from skprune.components import Component
from skprune.model_selection.comparison import mean_and_std_err
from skprune.model_selection.fold_scores import FoldScores
from skprune.model_selection.rule import SelectionRule, Verdict
from skprune.model_selection.smoothing import SMOOTHINGS, smoothed

__all__ = ["AGAINST", "NonInferior", "reference_of"]

AGAINST = ("dense", "best")


class NonInferior(SelectionRule, Component):
    """Chooses the sparsest candidate that is not worse than the dense network by a margin.

    A candidate is good enough if the mean of its differences to the reference on the same folds,
    less `n_std_err` standard errors of that mean, is not below minus the margin. A rule of this
    kind has to be convinced that a candidate is good, where one of one standard error only has to
    be in doubt. Of those that are good enough, the cheapest is chosen; if none is, the one that is
    nearest to it.

    Parameters
    ----------
    margin : float, default=0.01
        How much worse a candidate may be.
    n_std_err : float, default=1.0
        How many standard errors of the mean difference are taken off.
    against : {"dense", "best"}, default="dense"
        What the candidates are compared with.

        - ``"dense"``: the network before pruning. A search of another kind has to have a candidate
          whose sparsity is 0.
        - ``"best"``: the candidate with the best mean score.

    relative : bool, default=False
        Whether `margin` is a fraction of the reference's mean score, and not in the metric's own
        unit. This suits metrics that have a unit, such as squared errors.
    smooth : {"neighbors", "isotonic"} or None, default=None
        What is done against the noise along a path of sparsities; nothing if None.

        - ``"neighbors"``: each score is averaged, fold by fold, with those of the next smaller and
          the next larger sparsity, which count half.
        - ``"isotonic"``: beyond the best sparsity of a path, means that rise again are levelled.

    scoring : str, default=None
        Name of the metric that has to stay good; the one that decides, or the only one that is no
        cost, if None.
    cost : str, default="sparsity"
        Name of the metric that is to be cheap, as in ``scoring={"macs": macs_scorer}``: a scorer,
        of which the greatest is the best. ``"sparsity"`` without such a metric is the parameter
        of that name.

    References
    ----------
    Nadeau, C., & Bengio, Y. (2003). Inference for the generalization error. Machine Learning, 52,
    239-281.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from skprune import PrunedClassifierCV
    >>> from skprune.model_selection import NonInferior
    >>> X, y = load_iris(return_X_y=True)
    >>> rule = NonInferior(margin=0.02)
    >>> search = PrunedClassifierCV(sparsities=[0.5, 0.8], selection=rule, cv=3, random_state=0)
    >>> search.fit(scale(X), y).selection_report_.columns["why"]
    ['kept, but candidate 1 is cheaper', 'chosen']
    """

    _parameter_constraints: ClassVar[dict] = {
        "margin": [Interval(Real, 0, None, closed="left")],
        "n_std_err": [Interval(Real, 0, None, closed="left")],
        "against": [StrOptions(set(AGAINST))],
        "relative": ["boolean"],
        "smooth": [None, StrOptions(set(SMOOTHINGS))],
        "scoring": [None, str],
        "cost": [str],
    }

    def __init__(
        self,
        margin: float = 0.01,
        n_std_err: float = 1.0,
        *,
        against: str = "dense",
        relative: bool = False,
        smooth: str | None = None,
        scoring: str | None = None,
        cost: str = "sparsity",
    ) -> None:
        self.margin = margin
        self.n_std_err = n_std_err
        self.against = against
        self.relative = relative
        self.smooth = smooth
        self.scoring = scoring
        self.cost = cost

    def judge(self, fold_scores: FoldScores) -> Verdict:
        """Say which candidates are good enough; see :class:`SelectionRule`."""
        self.validated()
        reference, scores = reference_of(fold_scores, self.against)
        differences = smoothed(
            fold_scores.scores - scores, fold_scores.costs, fold_scores.paths, self.smooth
        )
        mean, error = mean_and_std_err(differences, fold_scores.test_ratio)
        least = mean - self.n_std_err * error
        scale = np.abs(np.nanmean(scores))
        margin = self.margin * scale if self.relative else self.margin
        # Scores of 0.9 and 0.89 are 0.01 apart, whatever floating-point numbers say.
        good = least >= -margin - 1e-12 * max(scale, 1.0)
        why_not = [f"may lose {-x:.3g}, of {margin:.3g} allowed" for x in least]
        return Verdict(good, least, why_not, reference, scores)


def reference_of(fold_scores: FoldScores, against: str) -> tuple[str, np.ndarray]:
    """Find what candidates are compared with.

    Parameters
    ----------
    fold_scores : FoldScores
        The candidates.
    against : {"dense", "best"}
        What is meant.

    Returns
    -------
    name : str
        What it is, for a report.
    scores : ndarray of shape (n_splits,)
        Its scores.

    Raises
    ------
    ValueError
        If the scores of the dense network are not known.
    """
    if against == "best":
        best = int(np.nanargmax(fold_scores.means))
        name, scores = f"candidate {fold_scores.numbers[best]}, the best", fold_scores.scores[best]
    elif fold_scores.dense is not None:
        name, scores = "the dense network", fold_scores.dense
    else:
        raise ValueError(
            "The rule compares candidates with the dense network, and no candidate has a sparsity "
            "of 0. Add 0.0 to the sparsities of the search, or use against='best'."
        )
    return f"{name} ({np.nanmean(scores):.3g})", scores
