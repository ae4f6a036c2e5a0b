"""Is pruning stable? Masks over refits, predictions and recall against the dense network's."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm
from sklearn.utils import check_consistent_length

__all__ = ["MaskStability", "mask_stability", "prediction_churn", "recall_change"]


class MaskStability(NamedTuple):
    """How much the masks of several fits agree.

    Attributes
    ----------
    stability : float
        1 if all are the same; 0 on average for masks drawn at random.
    lower, upper : float
        Confidence interval.
    variance : float
        Estimated variance of the stability.
    """

    stability: float
    lower: float
    upper: float
    variance: float


def mask_stability(masks: Sequence[Any], *, confidence: float = 0.95) -> MaskStability:
    """Measure how much the masks of several fits agree, corrected for chance.

    Parameters
    ----------
    masks : sequence of mapping of str to ndarray of bool, or of ndarray of bool
        The masks of each fit (``masks_``), over folds, seeds or resamples; all of equal shapes.
    confidence : float, default=0.95
        Level of the confidence interval.

    Returns
    -------
    stability : MaskStability
        The estimate and its interval.

    Raises
    ------
    ValueError
        If there are fewer than two masks, their shapes differ, or all keep everything or nothing,
        where agreement has no meaning.

    References
    ----------
    Nogueira, S., Sechidis, K., & Brown, G. (2018). On the stability of feature selection
    algorithms. Journal of Machine Learning Research, 18(174).

    Examples
    --------
    >>> import numpy as np
    >>> from skprune.model_selection import mask_stability
    >>> same = np.array([True, False, False])
    >>> mask_stability([same, same]).stability
    1.0
    """
    chosen = _stack(masks).astype(float)
    n_fits = len(chosen)
    frequency = chosen.mean(axis=0)
    mean_kept = frequency.mean()
    if mean_kept in (0.0, 1.0):
        raise ValueError(
            "All masks keep everything, or nothing: whether they agree says nothing of stability."
        )
    by_chance = mean_kept * (1 - mean_kept)
    stability = 1 - (n_fits / (n_fits - 1) * frequency * (1 - frequency)).mean() / by_chance
    kept = chosen.mean(axis=1)
    influence = (
        (chosen * frequency).mean(axis=1)
        - kept * mean_kept
        + stability / 2 * (2 * mean_kept * kept - kept - mean_kept + 1)
    ) / by_chance
    variance = 4 / n_fits**2 * ((influence - influence.mean()) ** 2).sum()
    margin = norm.ppf(1 - (1 - confidence) / 2) * np.sqrt(variance)
    return MaskStability(
        float(stability), float(stability - margin), float(stability + margin), float(variance)
    )


def _stack(masks: Sequence[Any]) -> np.ndarray:
    if len(masks) < 2:
        raise ValueError(f"Stability needs the masks of at least 2 fits; got {len(masks)}.")
    first = masks[0]
    if isinstance(first, Mapping):
        for number, mask in enumerate(masks):
            shapes = {name: np.shape(part) for name, part in mask.items()}
            expected = {name: np.shape(part) for name, part in first.items()}
            if shapes != expected:
                raise ValueError(f"The masks of fit {number} have shapes {shapes}, not {expected}.")
        return np.stack([np.concatenate([np.ravel(m[name]) for name in first]) for m in masks])
    for number, mask in enumerate(masks):
        if np.shape(mask) != np.shape(first):
            raise ValueError(
                f"The mask of fit {number} has shape {np.shape(mask)}, not {np.shape(first)}."
            )
    return np.stack([np.ravel(mask) for mask in masks])


def prediction_churn(first: Any, second: Any) -> float:
    """Measure on how many rows two models disagree.

    Parameters
    ----------
    first, second : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Predicted classes, or labels; for several outputs a row counts once if any differs.

    Returns
    -------
    churn : float
        Fraction of the rows with different predictions.

    References
    ----------
    Milani Fard, M., Cormier, Q., Canini, K., & Gupta, M. (2016). Launch and iterate: reducing
    prediction churn. Advances in Neural Information Processing Systems 29.

    Examples
    --------
    >>> from skprune.model_selection import prediction_churn
    >>> prediction_churn(["a", "b", "b", "a"], ["a", "b", "a", "a"])
    0.25
    """
    check_consistent_length(first, second)
    differs = np.asarray(first) != np.asarray(second)
    return float(differs.reshape(len(differs), -1).any(axis=1).mean())


def recall_change(y_true: Any, dense: Any, pruned: Any) -> dict[Any, float]:
    """Measure for each class how much of its recall pruning costs.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        The true classes.
    dense, pruned : array-like of shape (n_samples,)
        Predictions of the dense and of the pruned network.

    Returns
    -------
    change : dict of class to float
        Recall after pruning minus recall before, by class; negative where pruning forgets.

    References
    ----------
    Hooker, S., Courville, A., Clark, G., Dauphin, Y., & Frome, A. (2019). What do compressed deep
    neural networks forget? arXiv:1911.05248.

    Examples
    --------
    >>> from skprune.model_selection import recall_change
    >>> recall_change(["a", "a", "b"], ["a", "a", "b"], ["a", "b", "b"])
    {'a': -0.5, 'b': 0.0}
    """
    check_consistent_length(y_true, dense, pruned)
    y_true, dense, pruned = map(np.asarray, (y_true, dense, pruned))
    return {
        label: float((pruned[mine] == label).mean() - (dense[mine] == label).mean())
        for label in np.unique(y_true).tolist()
        if (mine := y_true == label).any()
    }
