"""What every rule is that chooses among candidates."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from skprune.model_selection.fold_scores import FoldScores
from skprune.model_selection.report import SelectionReport, report_of

__all__ = ["SelectionRule", "Verdict"]


class Verdict(NamedTuple):
    """What a rule says of candidates.

    Attributes
    ----------
    good : ndarray of bool of shape (n_candidates,)
        Which are good enough to be chosen; the cheapest of them is.
    nearness : ndarray of shape (n_candidates,)
        How near each is to being good enough: where none is, the nearest is chosen.
    why_not : list of str
        Of each that is not good enough, why.
    reference : str
        What they are compared with.
    reference_scores : ndarray of shape (n_splits,)
        Its scores.
    """

    good: np.ndarray
    nearness: np.ndarray
    why_not: list[str]
    reference: str
    reference_scores: np.ndarray


class SelectionRule(ABC):
    """Chooses the cheapest of the candidates that are good enough.

    It can be the `refit` of a ``GridSearchCV``, or the `selection` of a cross-validated estimator.

    Attributes
    ----------
    scoring : str or None
        Name of the metric that has to stay good.
    cost : str
        Name of the metric that is to be cheap.
    """

    scoring: str | None
    cost: str

    @abstractmethod
    def judge(self, fold_scores: FoldScores) -> Verdict:
        """Say which candidates are good enough.

        Parameters
        ----------
        fold_scores : FoldScores
            Their scores; one at least is not NaN.

        Returns
        -------
        verdict : Verdict
            What the rule says of each.
        """

    def choose(self, fold_scores: FoldScores) -> SelectionReport:
        """Choose a candidate, and say why.

        Parameters
        ----------
        fold_scores : FoldScores
            The candidates' scores.

        Returns
        -------
        report : SelectionReport
            The choice, ``report.index``, and what stands against the others.

        Raises
        ------
        ValueError
            If no candidate has a score.
        """
        means, costs, numbers = fold_scores.means, fold_scores.costs, fold_scores.numbers
        if np.isnan(means).all():
            metric = "score" if self.scoring is None else self.scoring
            raise ValueError(f"Every candidate's {metric!r} is NaN: there is none to choose.")
        verdict = self.judge(fold_scores)
        good = verdict.good & ~np.isnan(means)
        if good.any():
            # What is not known is not cheap. Of equally cheap ones, the better; then the first.
            rank = np.where(np.isnan(costs), -np.inf, costs)
            chosen = max(np.flatnonzero(good).tolist(), key=lambda i: (rank[i], means[i]))
            instead = f"kept, but candidate {numbers[chosen]} is cheaper"
        else:
            nearness = np.where(np.isnan(means), -np.inf, verdict.nearness)
            chosen = max(range(len(means)), key=lambda i: (nearness[i], means[i]))
            instead = ""
        why_not = [
            "has no score" if np.isnan(means[i]) else instead if good[i] else verdict.why_not[i]
            for i in range(len(means))
        ]
        reference = verdict.reference, verdict.reference_scores
        return report_of(
            fold_scores, int(chosen), repr(self), *reference, why_not, found=bool(good.any())
        )

    def report(self, cv_results: Mapping[str, Any]) -> SelectionReport:
        """Choose a candidate of a search, and say why.

        Parameters
        ----------
        cv_results : mapping of str to array-like, or DataFrame
            ``cv_results_`` of a search. Of a successive halving, the candidates of the last
            iteration count.

        Returns
        -------
        report : SelectionReport
            The choice, ``report.index``, and what stands against the others.

        Raises
        ------
        ValueError
            If the search lacks what the rule looks at, or no candidate has a score.
        """
        return self.choose(FoldScores.of(cv_results, self.scoring, self.cost))

    def __call__(self, cv_results: Mapping[str, Any]) -> int:
        """Choose a candidate of a search.

        Parameters
        ----------
        cv_results : mapping of str to array-like, or DataFrame
            ``cv_results_`` of a search.

        Returns
        -------
        index : int
            The candidate's.
        """
        return self.report(cv_results).index
