"""What was found on all folds, put together: ``cv_results_`` and ``stability_``."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import rankdata

from skprune._sklearn import InvalidParameterError
from skprune.estimators.folds import Fold, Split
from skprune.estimators.path import StrategyPath
from skprune.model_selection.stability import mask_stability, prediction_churn, recall_change

__all__ = ["names_of", "results_of", "stability_of"]


def names_of(branches: Sequence[StrategyPath]) -> list[str]:
    """Name the strategies; those that look the same, such as by their teachers, get a number.

    Parameters
    ----------
    branches : sequence of StrategyPath
        One for each strategy.

    Returns
    -------
    names : list of str
        No two alike.

    Raises
    ------
    InvalidParameterError
        If a strategy is there twice.
    """
    strategies = [branch.strategy for branch in branches]
    texts = [s if isinstance(s, str) else repr(s) for s in strategies]
    names: list[str] = []
    for number, text in enumerate(texts):
        if strategies[number] in strategies[:number]:
            raise InvalidParameterError(f"strategies has {text} twice.")
        before = texts[:number].count(text)
        names.append(f"{text} ({before + 1})" if before else text)
    return names


def results_of(
    branches: Sequence[StrategyPath], folds: Sequence[Fold], splits: Sequence[Split]
) -> dict[str, Any]:
    """Lay results out as scikit-learn's searches do.

    Parameters
    ----------
    branches : sequence of StrategyPath
        The points of the path.
    folds : sequence of Fold
        What was found.
    splits : sequence of Split
        Which rows each fold was trained and tested on.

    Returns
    -------
    cv_results : dict of str to ndarray
        ``cv_results_``; the candidates are the points, branch by branch.
    """
    params = [
        {"strategy": branch.strategy, "sparsity": sparsity}
        for branch in branches
        for sparsity in branch.sparsities
    ]
    results: dict[str, Any] = {}
    for key in ("fit_time", "score_time"):
        times = np.array([[getattr(point, key) for point in fold.points] for fold in folds])
        results |= {f"mean_{key}": times.mean(axis=0), f"std_{key}": times.std(axis=0)}
    for key, dtype in (("strategy", object), ("sparsity", float)):
        values = np.ma.masked_all(len(params), dtype=dtype)
        for number, point in enumerate(params):
            values[number] = point[key]
        results[f"param_{key}"] = values
    results["params"] = params
    for metric in folds[0].points[0].scores:
        scores = np.array([[point.scores[metric] for point in fold.points] for fold in folds])
        for number, fold_scores in enumerate(scores):
            results[f"split{number}_test_{metric}"] = fold_scores
            dense = folds[number].dense.scores[metric]
            results[f"split{number}_dense_{metric}"] = np.full(len(params), dense)
        mean = scores.mean(axis=0)
        results[f"mean_test_{metric}"] = mean
        results[f"std_test_{metric}"] = scores.std(axis=0)
        ranked = np.where(np.isnan(mean), -np.inf, mean)
        results[f"rank_test_{metric}"] = rankdata(-ranked, method="min").astype(np.int32)
    results["test_ratio"] = np.full(len(params), _test_ratio(splits))
    return results


def _test_ratio(splits: Sequence[Split]) -> float:
    """Give the number of test rows by that of training rows where some are tested repeatedly."""
    tested = np.concatenate([test for _, test in splits])
    if len(np.unique(tested)) == len(tested):
        return 0.0
    return float(np.mean([len(test) / len(train) for train, test in splits]))


def stability_of(
    y: Any,
    splits: Sequence[Split],
    folds: Sequence[Fold],
    branches: Sequence[StrategyPath],
    classes: np.ndarray | None,
) -> dict[str, dict[str, np.ndarray]]:
    """Measure how stable pruning is, over the folds.

    Parameters
    ----------
    y : array-like
        The targets of all rows.
    splits : sequence of Split
        Which of them each fold was tested on.
    folds : sequence of Fold
        What was found.
    branches : sequence of StrategyPath
        The points of the path.
    classes : ndarray or None
        The classes of a classifier.

    Returns
    -------
    stability : dict of str to dict of str to ndarray
        ``stability_``, by strategy.
    """
    stability = {}
    first = 0
    for name, branch in zip(names_of(branches), branches, strict=True):
        points = range(first, first + len(branch.sparsities))
        first = points.stop
        found = _stability_at(y, splits, folds, points, classes)
        stability[name] = {"sparsity": np.array(branch.sparsities), **found}
    return stability


def _stability_at(
    y: Any,
    splits: Sequence[Split],
    folds: Sequence[Fold],
    points: range,
    classes: np.ndarray | None,
) -> dict[str, np.ndarray]:
    stability: dict[str, list[Any]] = {"mask": [], "mask_lower": [], "mask_upper": []}
    labels = np.asarray(y)
    classifies = folds[0].dense.predictions is not None
    if classifies:
        stability |= {"churn": [], "churn_between_folds": []}
    by_class = [] if classes is None or folds[0].dense.predictions.ndim > 1 else classes.tolist()
    if by_class:
        stability["recall_change"] = []
    for number in points:
        of_folds = [fold.points[number] for fold in folds]
        masks = [np.unpackbits(p.mask, count=p.n_weights).astype(bool) for p in of_folds]
        try:
            mask = mask_stability(masks)[:3]
        except ValueError:  # one fold, or nothing removed: there is nothing to compare
            mask = (np.nan, np.nan, np.nan)
        for key, value in zip(("mask", "mask_lower", "mask_upper"), mask, strict=True):
            stability[key].append(value)
        if not classifies:
            continue
        tests = [test for _, test in splits]
        dense = np.concatenate([f.dense.predictions[t] for f, t in zip(folds, tests, strict=True)])
        pruned = np.concatenate([p.predictions[t] for p, t in zip(of_folds, tests, strict=True)])
        stability["churn"].append(prediction_churn(dense, pruned))
        pairs = [
            prediction_churn(a.predictions, b.predictions) for a, b in combinations(of_folds, 2)
        ]
        stability["churn_between_folds"].append(np.mean(pairs) if pairs else np.nan)
        if by_class:
            change = recall_change(labels.ravel()[np.concatenate(tests)], dense, pruned)
            stability["recall_change"].append([change.get(label, np.nan) for label in by_class])
    return {key: np.array(values) for key, values in stability.items()}
