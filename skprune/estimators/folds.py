"""Splits of the data, and what is found on each of them along a path."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import indexable

from skprune._sklearn import safe_indexing
from skprune.estimators.inputs import as_dense
from skprune.estimators.outcomes import Responses, outcome_of, responses_of
from skprune.estimators.path import StrategyPath, iter_path
from skprune.estimators.scoring import as_numbers, params_of_rows
from skprune.model_selection.bias_correction import Outcome

__all__ = ["Fold", "FoldData", "Point", "Split", "check_test_weights", "judge_fold", "split"]


class Split(NamedTuple):
    """Numbers of the rows to train with, and of those to score on."""

    train: np.ndarray
    test: np.ndarray


class FoldData(NamedTuple):
    """Data whose rows can be taken by their numbers."""

    X: Any
    y: Any
    sample_weight: Any

    @classmethod
    def of(cls, X: Any, y: Any, sample_weight: Any, groups: Any) -> "FoldData":
        """Make rows accessible by their numbers, having checked that there are as many of all."""
        if not isinstance(X, Mapping) or issparse(X):  # sparse matrices of SciPy may be mappings
            return cls(*indexable(X, y, sample_weight, groups)[:3])
        *values, y, sample_weight, _ = indexable(*X.values(), y, sample_weight, groups)
        return cls(dict(zip(X, values, strict=True)), y, sample_weight)

    def rows(self, rows: np.ndarray) -> "FoldData":
        """Take some rows."""
        if isinstance(self.X, Mapping):
            X: Any = {key: safe_indexing(value, rows) for key, value in self.X.items()}
        else:
            X = safe_indexing(self.X, rows)
        weights = None if self.sample_weight is None else safe_indexing(self.sample_weight, rows)
        return FoldData(X, safe_indexing(self.y, rows), weights)


class Point(NamedTuple):
    """What is known of one fitted estimator."""

    fit_time: float
    score_time: float
    scores: dict[str, float]
    mask: np.ndarray  # of bits
    n_weights: int
    predictions: Any  # for all rows; None for a regressor
    features: np.ndarray | None  # which are kept, where these are what is pruned


class Fold(NamedTuple):
    """What was found on one split: of the dense network, and of each point of the path."""

    dense: Point
    points: list[Point]
    outcome: Outcome | None  # of the dense network, first, and of all points


def split(cv: Any, data: FoldData, params: Mapping[str, Any], *, classifier: bool) -> list[Split]:
    """Split data for a cross-validation.

    Parameters
    ----------
    cv : int, cross-validation splitter, iterable or None
        How.
    data : FoldData
        The data.
    params : mapping of str to object
        What the splitter asks for, such as groups.
    classifier : bool
        Whether the targets are classes: each split then has to train with all of them.

    Returns
    -------
    splits : list of Split
        The splits.

    Raises
    ------
    ValueError
        If a split trains without one of the classes.
    """
    first = next(iter(data.X.values())) if isinstance(data.X, Mapping) else data.X
    splits = [
        Split(_as_indices(train), _as_indices(test))
        for train, test in check_cv(cv, data.y, classifier=classifier).split(
            first, data.y, **params
        )
    ]
    labels = np.asarray(as_dense(data.y))
    if classifier and (labels.ndim == 1 or labels.shape[1] == 1):
        classes = np.unique(labels)
        for number, (train, _) in enumerate(splits):
            absent = np.setdiff1d(classes, labels[train]).tolist()
            if absent:
                n_rows = int((labels == absent[0]).sum())
                raise ValueError(
                    f"Fold {number} trains without class {absent[0]!r}, which has {n_rows} "
                    f"row{'' if n_rows == 1 else 's'}. Use fewer folds, or a StratifiedKFold that "
                    "shuffles."
                )
    return splits


def _as_indices(rows: Any) -> np.ndarray:
    """Give the numbers of rows; a splitter may yield a mask of them."""
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


def check_test_weights(splits: Sequence[Split], weights: Any) -> None:
    """Raise an error if no test row of a split has a weight above 0."""
    if weights is None:
        return
    for number, (_, test) in enumerate(splits):
        if not np.asarray(weights)[test].any():
            raise ValueError(
                f"Fold {number} has no test row with a weight above 0, so that it has no score. "
                "Use fewer folds, or a cv that shuffles."
            )


def judge_fold(
    plain: Any,
    data: FoldData,
    fold: Split,
    branches: Sequence[StrategyPath],
    path: str,
    scorer: Callable[..., Any],
    deciding: Callable[..., Any],
    score_params: Mapping[str, Any],
    max_time: float | None = None,
) -> Fold:
    """Go along the path on some rows, and score it on others.

    Parameters
    ----------
    plain : estimator
        What is fitted at each point.
    data : FoldData
        The data.
    fold : Split
        Which rows are which.
    branches : sequence of StrategyPath
        The points.
    path : {"restart", "branch", "chained"}
        How the network gets from one to the next.
    scorer : callable
        Gives the scores by all metrics.
    deciding : callable
        Gives the one that decides.
    score_params : mapping of str to object
        The metadata that it asks for, of all rows.
    max_time : float, default=None
        After so many seconds no other strategy is begun.

    Returns
    -------
    found : Fold
        Of each point; without those of strategies that were not begun.
    """
    start = perf_counter()
    ends = set(accumulate(len(branch.sparsities) for branch in branches))
    train, test = data.rows(fold.train), data.rows(fold.test)
    of_test = params_of_rows(data.X, score_params, fold.test)
    points: list[Point] = []
    said: list[Responses | None] = []
    began = perf_counter()
    for fitted in iter_path(plain, *train, branches, path):
        done = perf_counter()
        scores = as_numbers(scorer(fitted, test.X, test.y, **of_test))
        scored = perf_counter()
        said.append(responses_of(deciding, fitted, test.X))
        mask = np.concatenate([mask.ravel() for mask in fitted.masks_.values()])
        points.append(
            Point(
                done - began,
                scored - done,
                scores,
                np.packbits(mask),
                len(mask),
                as_dense(fitted.predict(data.X)) if is_classifier(fitted) else None,
                None if fitted._features is None else fitted._features.kept,
            )
        )
        began = perf_counter()
        if max_time is not None and len(points) - 1 in ends and began - start > max_time:
            break
    known = [responses for responses in said if responses is not None]
    outcome = outcome_of(deciding, known, fitted, as_dense(test.y), of_test) if known else None
    return Fold(points[0], points[1:], outcome)
