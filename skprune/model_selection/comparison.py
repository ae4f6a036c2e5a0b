"""Comparisons of candidates on the folds that they share."""

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

__all__ = ["PairedDifference", "mean_and_std_err", "paired_difference"]


class PairedDifference(NamedTuple):
    """By how much candidates score better than a reference, over the same folds.

    Attributes
    ----------
    difference : ndarray of shape (n_candidates,)
        Mean difference; NaN where no fold has both scores.
    std_err : ndarray of shape (n_candidates,)
        Its standard error; 0 where fewer than two folds have both scores.
    lower, upper : ndarray of shape (n_candidates,)
        Confidence interval by Student's t; NaN where fewer than two folds have both scores.
    """

    difference: np.ndarray
    std_err: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def paired_difference(
    scores: Any, reference: Any, *, test_ratio: float = 0.0, confidence: float = 0.9
) -> PairedDifference:
    """Compare candidates with a reference on the folds that they share.

    A fold that is hard is hard for both, so that differences vary far less than scores.

    Parameters
    ----------
    scores : array-like of shape (n_candidates, n_splits)
        Scores of the candidates; NaN where there is none.
    reference : array-like of shape (n_splits,)
        Scores of what they are compared with.
    test_ratio : float, default=0.0
        Where rows are tested more than once, as in a ``ShuffleSplit`` or a ``RepeatedKFold``: test
        rows of a split by its training rows, such as 1/9 for 10 folds. The variance is then
        corrected for what the splits have in common. 0 where each row is tested once.
    confidence : float, default=0.9
        Level of the confidence interval.

    Returns
    -------
    compared : PairedDifference
        The differences, positive where a candidate is better.

    Notes
    -----
    Of `n` differences whose variance is `s` squared, the variance of the mean is taken to be
    ``(1 / n + test_ratio) * s**2``.

    References
    ----------
    Nadeau, C., & Bengio, Y. (2003). Inference for the generalization error. Machine Learning, 52,
    239-281.

    Bouckaert, R. R., & Frank, E. (2004). Evaluating the replicability of significance tests for
    comparing learning algorithms. Pacific-Asia Conference on Knowledge Discovery and Data Mining.

    Examples
    --------
    >>> from skprune.model_selection import paired_difference
    >>> found = paired_difference([[0.7, 0.8, 0.93]], [0.7, 0.8, 0.9])
    >>> round(float(found.difference[0]), 3), round(float(found.std_err[0]), 3)
    (0.01, 0.01)
    """
    differences = np.asarray(scores, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    mean, error = mean_and_std_err(differences, test_ratio)
    n = (~np.isnan(differences)).sum(axis=1)
    margin = np.where(
        n > 1, student.ppf((1 + confidence) / 2, np.maximum(n - 1, 1)) * error, np.nan
    )
    return PairedDifference(mean, error, mean - margin, mean + margin)


def mean_and_std_err(values: np.ndarray, test_ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Average over the splits; see :func:`paired_difference`.

    Parameters
    ----------
    values : ndarray of shape (n_candidates, n_splits)
        Scores or differences; NaN where there is none.
    test_ratio : float
        Test rows of a split by its training rows where rows are tested more than once.

    Returns
    -------
    mean, std_err : ndarray of shape (n_candidates,)
        NaN where there is no value; a standard error of 0 where there are fewer than two.
    """
    known = ~np.isnan(values)
    n = known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(axis=1) / n
        squares = np.where(known, values - mean[:, np.newaxis], 0.0) ** 2
        variance = squares.sum(axis=1) / (n - 1)
        return mean, np.where(n > 1, np.sqrt((1 / n + test_ratio) * variance), 0.0)
