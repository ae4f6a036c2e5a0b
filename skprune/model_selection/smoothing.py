"""Less noise in the scores along a path of sparsities."""

from typing import Any

import numpy as np
from sklearn.isotonic import isotonic_regression

__all__ = ["SMOOTHINGS", "smoothed"]

# The weight of a candidate's own score, where each of its two neighbours has 1.
_OWN_WEIGHT = 2.0

SMOOTHINGS = ("neighbors", "isotonic")


def smoothed(scores: np.ndarray, costs: np.ndarray, paths: Any, how: str | None) -> np.ndarray:
    """Smooth scores along each path.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates, n_splits)
        Scores, or differences of them; NaN where there is none.
    costs : ndarray of shape (n_candidates,)
        Along a path, the candidates are in the order of these.
    paths : ndarray of shape (n_candidates,)
        What the candidates of one path have in common.
    how : {"neighbors", "isotonic"} or None
        ``"neighbors"``: each score is averaged, fold by fold, with those of the two candidates
        beside it, and counts double; the ends of a path have one neighbour.
        ``"isotonic"``: beyond the best of a path, means that rise again are levelled.
        None: they are as they are.

    Returns
    -------
    scores : ndarray of shape (n_candidates, n_splits)
        The smoothed scores. A candidate without scores gets none and gives none.
    """
    result = scores.copy()
    if how is None:
        return result
    smooth = _with_neighbours if how == "neighbors" else _falling_from_the_best
    for path in dict.fromkeys(paths.tolist()):
        here = np.flatnonzero((paths == path) & ~np.isnan(costs) & ~np.isnan(scores).all(axis=1))
        here = here[np.argsort(costs[here], kind="stable")]
        if len(here) > 1:
            result[here] = smooth(scores[here])
    return result


def _with_neighbours(scores: np.ndarray) -> np.ndarray:
    known = ~np.isnan(scores)
    weights, values = known.astype(float), np.where(known, scores, 0.0)
    total, weight = _OWN_WEIGHT * values, _OWN_WEIGHT * weights
    for own, beside in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        total[own] += values[beside]
        weight[own] += weights[beside]
    return np.where(known, total / np.maximum(weight, 1.0), np.nan)


def _falling_from_the_best(scores: np.ndarray) -> np.ndarray:
    means = np.nanmean(scores, axis=1)
    best = int(np.argmax(means))
    level = means.copy()
    level[best:] = isotonic_regression(means[best:], increasing=False)
    return scores + (level - means)[:, None]
