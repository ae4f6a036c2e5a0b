"""Scores of candidates on the same folds, as the rules see them."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length

from skprune.model_selection.candidates import Candidates

__all__ = ["FoldScores"]


class FoldScores:
    """Scores of candidates on the same folds, and what the candidates cost.

    Every rule chooses from such a record; ``cv_results_`` of a search are one way to it.

    Parameters
    ----------
    scores : array-like of shape (n_candidates, n_splits)
        The higher, the better; NaN where there is none.
    costs : array-like of shape (n_candidates,)
        As scores: the greatest is the cheapest, as a sparsity, or a number of parameters with a
        minus sign. NaN where it is not known.
    dense : array-like of shape (n_splits,), default=None
        Scores of the network before pruning, or of whatever else the candidates are compared with.
    paths : array-like of shape (n_candidates,), default=None
        What the candidates that form a path have in common, such as their strategy; None if all
        form one.
    test_ratio : float, default=0.0
        Where rows are tested more than once, as in a ``ShuffleSplit`` or a ``RepeatedKFold``: test
        rows of a split by its training rows. 0 where each row is tested once.
    labels : mapping of str to sequence of length n_candidates, default=None
        What candidates are called in a report: columns by their names.
    numbers : array-like of shape (n_candidates,), default=None
        The numbers of the candidates; 0, 1, ... if None.
    means : array-like of shape (n_candidates,), default=None
        The mean scores; if None, over the splits that have a score.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> from skprune.model_selection import FoldScores, NonInferior
    >>> scores = FoldScores([[0.9, 0.8], [0.9, 0.79], [0.7, 0.6]], [-30, -20, -10], [0.9, 0.8])
    >>> NonInferior().choose(scores).index
    1
    """

    def __init__(
        self,
        scores: Any,
        costs: Any,
        dense: Any = None,
        *,
        paths: Any = None,
        test_ratio: float = 0.0,
        labels: Mapping[str, Sequence[Any]] | None = None,
        numbers: Any = None,
        means: Any = None,
    ) -> None:
        self.scores = check_array(
            scores, dtype=np.float64, ensure_all_finite=False, input_name="scores"
        )
        n_candidates, n_splits = self.scores.shape
        self.costs = np.asarray(costs, dtype=np.float64)
        self.dense = None if dense is None else np.asarray(dense, dtype=np.float64)
        if self.dense is not None and self.dense.shape != (n_splits,):
            raise ValueError(
                f"dense must have a score for each of the {n_splits} splits; its shape is "
                f"{self.dense.shape}."
            )
        self.paths = np.zeros(n_candidates) if paths is None else np.asarray(paths)
        self.test_ratio = float(test_ratio)
        self.numbers = np.arange(n_candidates) if numbers is None else np.asarray(numbers)
        self.labels = {} if labels is None else {key: list(labels[key]) for key in labels}
        self.means = _means(self.scores) if means is None else np.asarray(means, dtype=np.float64)
        check_consistent_length(
            self.scores, self.costs, self.paths, self.numbers, self.means, *self.labels.values()
        )

    def with_scores(self, scores: np.ndarray, dense: np.ndarray | None) -> "FoldScores":
        """Say the same of other scores of the candidates.

        Parameters
        ----------
        scores : ndarray of shape (n_candidates, n_splits)
            The scores.
        dense : ndarray of shape (n_splits,) or None
            Those of the network before pruning.

        Returns
        -------
        fold_scores : FoldScores
            The record.
        """
        other = copy(self)
        other.scores, other.dense, other.means = scores, dense, _means(scores)
        return other

    @classmethod
    def of(
        cls, cv_results: Mapping[str, Any], scoring: str | None = None, cost: str = "sparsity"
    ) -> "FoldScores":
        """Read the results of a search.

        Parameters
        ----------
        cv_results : mapping of str to array-like, or DataFrame
            ``cv_results_`` of a search. Of a successive halving, the candidates of the last
            iteration count.
        scoring : str, default=None
            Name of the metric; the only one that is no cost if None.
        cost : str, default="sparsity"
            Name of the metric that is to be cheap. ``"sparsity"`` without such a metric is the
            parameter of that name.

        Returns
        -------
        fold_scores : FoldScores
            The scores. The dense network's are those that skprune's cross-validated estimators
            note, or those of the candidate whose sparsity is 0. Where a search knows only means,
            there is one split.

        Raises
        ------
        ValueError
            If the search has no such metric, or several to choose from.
        """
        candidates = Candidates(cv_results)
        metric = candidates.metric(scoring, cost=cost)
        scores, means = candidates.split_scores(metric), candidates.means(metric)
        # Some searches leave splits that failed out of the mean, others have no mean then.
        scores[np.isnan(means)] = np.nan
        return cls(
            scores,
            candidates.costs(cost),
            candidates.dense_scores(metric),
            paths=candidates.paths(),
            test_ratio=candidates.test_ratio(),
            labels=candidates.labels(),
            numbers=candidates.rows,
            means=means,
        )


def _means(scores: np.ndarray) -> np.ndarray:
    """Average over the splits that have a score."""
    means = np.full(len(scores), np.nan)
    known = ~np.isnan(scores).all(axis=1)
    means[known] = np.nanmean(scores[known], axis=1)
    return means
