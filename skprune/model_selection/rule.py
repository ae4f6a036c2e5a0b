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
        verdict = self._verdict(fold_scores)
        means, numbers = fold_scores.means, fold_scores.numbers
        chosen, good = _cheapest(fold_scores, verdict), verdict.good
        instead = f"kept, but candidate {numbers[chosen]} is cheaper"
        why_not = [
            "has no score" if np.isnan(means[i]) else instead if good[i] else verdict.why_not[i]
            for i in range(len(means))
        ]
        reference = verdict.reference, verdict.reference_scores
        return report_of(
            fold_scores, chosen, repr(self), *reference, why_not, found=bool(good.any())
        )

    def place(self, fold_scores: FoldScores) -> int:
        """Choose a candidate, and say nothing of the others.

        Parameters
        ----------
        fold_scores : FoldScores
            The candidates' scores.

        Returns
        -------
        place : int
            The place of the chosen one among them.

        Raises
        ------
        ValueError
            If no candidate has a score.
        """
        return _cheapest(fold_scores, self._verdict(fold_scores))

    def _verdict(self, fold_scores: FoldScores) -> Verdict:
        missing = np.isnan(fold_scores.means)
        if missing.all():
            metric = "score" if self.scoring is None else self.scoring
            raise ValueError(f"Every candidate's {metric!r} is NaN: there is none to choose.")
        verdict = self.judge(fold_scores)
        return verdict._replace(
            good=verdict.good & ~missing, nearness=np.where(missing, -np.inf, verdict.nearness)
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


def _cheapest(fold_scores: FoldScores, verdict: Verdict) -> int:
    """Find the cheapest that is good enough; the nearest to it if none is."""
    means, costs = fold_scores.means, fold_scores.costs
    if verdict.good.any():
        # What is not known is not cheap. Of equally cheap ones, the better; then the first.
        rank = np.where(np.isnan(costs), -np.inf, costs)
        return max(np.flatnonzero(verdict.good).tolist(), key=lambda i: (rank[i], means[i]))
    return max(range(len(means)), key=lambda i: (verdict.nearness[i], means[i]))
