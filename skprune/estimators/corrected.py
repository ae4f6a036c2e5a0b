"""A score of what was chosen that the choice has not made too good."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from skprune.estimators.choice import rule_of
from skprune.model_selection import FoldScores, SelectionRule
from skprune.model_selection.bias_correction import (
    CorrectedScore,
    Outcome,
    bias_corrected_score,
)

__all__ = ["Rechoice"]

# How often the choice is made again: fewer times where each score takes its time.
_N_DRAWS, _N_SLOW_DRAWS = 500, 100


class Rechoice:
    """Makes a choice again and again, by other rows.

    Parameters
    ----------
    outcomes : sequence of Outcome
        What the dense network, first, and the candidates say of the test rows of each split.
    tests : sequence of ndarray of int
        The numbers of these rows.
    selection : str or callable
        How a candidate is chosen.
    results : dict of str to ndarray
        ``cv_results_``.
    metric : str
        Name of the metric that decides.
    random_state : int
        Seed.
    """

    def __init__(
        self,
        outcomes: Sequence[Outcome],
        tests: Sequence[np.ndarray],
        selection: str | Callable[[dict[str, Any]], int],
        results: dict[str, Any],
        metric: str,
        random_state: int,
    ) -> None:
        self.outcomes = outcomes
        self.tests = tests
        self.rule = rule_of(selection, metric)
        self.results = results
        self.metric = metric
        self.random_state = random_state

    @cached_property
    def corrected(self) -> CorrectedScore:
        """The corrected score and its interval."""
        fast = all(outcome.is_fast for outcome in self.outcomes)
        return bias_corrected_score(
            self.outcomes,
            self.tests,
            self._choose,
            n_draws=_N_DRAWS if fast else _N_SLOW_DRAWS,
            random_state=self.random_state,
        )

    @cached_property
    def _scores(self) -> FoldScores:
        assert isinstance(self.rule, SelectionRule)
        return FoldScores.of(self.results, self.metric, self.rule.cost)

    def _choose(self, scores: np.ndarray) -> int:
        dense, own = scores[0], scores[1:]
        if not isinstance(self.rule, SelectionRule):
            return 1 + int(self.rule(self._results_with(own, dense)))
        redrawn = self._scores.with_scores(own, dense)
        if np.isnan(redrawn.means).all():
            return 1
        return 1 + self.rule.place(redrawn)

    def _results_with(self, own: np.ndarray, dense: np.ndarray) -> dict[str, Any]:
        """Give the results with other scores by the metric that decides."""
        results = dict(self.results)
        for number, (scores, of_dense) in enumerate(zip(own.T, dense, strict=True)):
            results[f"split{number}_test_{self.metric}"] = scores
            results[f"split{number}_dense_{self.metric}"] = np.full(len(own), of_dense)
        results[f"mean_test_{self.metric}"] = own.mean(axis=1)
        results[f"std_test_{self.metric}"] = own.std(axis=1)
        return results
