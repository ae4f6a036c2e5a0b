"""Which features are selected on most halves of the rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, indexable
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.parallel import Parallel, delayed

from skprune._sklearn import InvalidParameterError, safe_indexing
from skprune.model_selection.error_bounds import false_selection_bound, smallest_threshold
from skprune.training.nets import is_fitted_net, unwrapped

__all__ = ["StabilitySelection", "stability_selection"]

_LARGEST_SEED = np.iinfo(np.int32).max


@dataclass(frozen=True)
class StabilitySelection:
    """What :func:`stability_selection` finds.

    Attributes
    ----------
    support : ndarray of bool of shape (n_features,)
        Which features are selected: those whose frequency reaches the threshold.
    frequencies : ndarray of shape (n_features,)
        In which share of the fits each feature was selected.
    threshold : float
        The frequency that was asked for.
    n_selected : float
        How many features a fit selected, in the mean.
    max_false : float
        The expected number of features that are selected in error is no larger; see
        :func:`~skprune.model_selection.false_selection_bound`.
    supports : ndarray of bool of shape (2 * n_pairs, n_features)
        What each fit selected; the two of a pair follow each other.
    """

    support: np.ndarray
    frequencies: np.ndarray
    threshold: float
    n_selected: float
    max_false: float
    supports: np.ndarray


def stability_selection(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    n_pairs: int = 25,
    threshold: float | None = None,
    max_false: float | None = None,
    assumption: str = "none",
    sample_weight: Any = None,
    n_jobs: int | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> StabilitySelection:
    """Select the features that a selector selects on most halves of the rows.

    The rows are divided into two halves many times, and a copy of the selector is fitted to each
    half, from scratch and with a seed of its own. That the halves of a pair have no row in common
    bounds how many features are selected in error.

    Parameters
    ----------
    estimator : PrunedFeatureSelector, another selector, or Pipeline that ends in one
        What selects. It is not changed, and no net in it may be trained already. A pipeline is
        fitted as a whole, so that for example rows are scaled by what is known of their half.
    X : array-like of shape (n_samples, n_features) or (n_samples, ...)
        Inputs.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    n_pairs : int, default=25
        How many times the rows are halved.
    threshold : float, default=None
        In which share of the fits a feature has to be selected, in (0.5, 1]; 0.75 if neither this
        nor `max_false` is given.
    max_false : float, default=None
        How many features may be selected in error, in expectation: the threshold is then the
        smallest that guarantees it.
    assumption : {"none", "unimodal"}, default="none"
        What the guarantee rests on, which :func:`~skprune.model_selection.false_selection_bound`
        explains.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the loss.
    n_jobs : int, default=None
        Number of fits at a time.
    random_state : int, RandomState instance or None, default=None
        Seed of the halves and of the fits.

    Returns
    -------
    selection : StabilitySelection
        What is selected, how often, and how many of it in error at the most.

    Raises
    ------
    InvalidParameterError
        If a net is trained already, `threshold` and `max_false` are both given, or the selector
        selects too many features for them.

    See Also
    --------
    skprune.model_selection.false_selection_bound : The bound by itself.

    Notes
    -----
    Rows that belong together, such as repeated measurements, would be in both halves, and are not
    what the bound is for. Of a classification each half has the same share of each class.

    References
    ----------
    Meinshausen, N., & Buehlmann, P. (2010). Stability selection. Journal of the Royal Statistical
    Society B, 72(4), 417-473.

    Shah, R. D., & Samworth, R. J. (2013). Variable selection with error control: another look at
    stability selection. Journal of the Royal Statistical Society B, 75(1), 55-80.

    Examples
    --------
    >>> import numpy as np
    >>> from skprune import PrunedFeatureSelector, stability_selection
    >>> X = np.random.default_rng(0).normal(size=(200, 10))
    >>> y = X[:, 2] - X[:, 7]
    >>> selector = PrunedFeatureSelector("regressor", n_features_to_select=3)
    >>> found = stability_selection(selector, X, y, n_pairs=4, random_state=0)
    >>> np.flatnonzero(found.support)
    array([2, 7])
    """
    _check_untrained(estimator)
    if threshold is not None and max_false is not None:
        raise InvalidParameterError(
            f"threshold={threshold} and max_false={max_false} each say how often a feature has to "
            "be selected. Give one of them."
        )
    for name, value in (("threshold", threshold), ("max_false", max_false)):
        if value is not None and not (isinstance(value, Real) and value > 0):
            raise InvalidParameterError(f"{name} must be a number above 0; got {value!r}.")
    if not isinstance(n_pairs, Integral) or n_pairs < 1:
        raise InvalidParameterError(f"n_pairs must be 1 or more; got {n_pairs!r}.")
    if threshold is not None and not 0.5 < threshold <= 1:
        raise InvalidParameterError(f"threshold must be in (0.5, 1]; got {threshold!r}.")
    X, y, sample_weight = indexable(X, y, sample_weight)
    random = check_random_state(random_state)
    strata = _strata(estimator, y)
    halves = [
        half
        for _ in range(n_pairs)
        for half in _pair(X.shape[0] if hasattr(X, "shape") else len(X), strata, random)
    ]
    seeds = random.randint(_LARGEST_SEED, size=len(halves))
    supports = np.array(
        Parallel(n_jobs=n_jobs)(
            delayed(_selected)(estimator, X, y, sample_weight, rows, int(seed))
            for rows, seed in zip(halves, seeds, strict=True)
        )
    )
    n_selected, n_features = float(supports.sum(axis=1).mean()), supports.shape[1]
    known: dict[str, Any] = {"n_pairs": n_pairs, "assumption": assumption}
    if max_false is not None:
        threshold = smallest_threshold(max_false, n_selected, n_features, **known)
    elif threshold is None:
        threshold = 0.75
    frequencies = supports.mean(axis=0)
    return StabilitySelection(
        support=frequencies >= threshold,
        frequencies=frequencies,
        threshold=float(threshold),
        n_selected=n_selected,
        max_false=false_selection_bound(threshold, n_selected, n_features, **known),
        supports=supports,
    )


def _check_untrained(estimator: Any) -> None:
    """Raise an error if a net in an estimator has seen the rows."""
    for name, value in estimator.get_params(deep=True).items():
        if is_fitted_net(unwrapped(value)):
            raise InvalidParameterError(
                f"{name} of the selector is a net that is trained already, on rows that are in "
                "both halves, so that no bound would hold. Pass one that is not fitted."
            )


def _strata(estimator: Any, y: Any) -> np.ndarray | None:
    """Give the classes whose shares both halves have; None where there are none."""
    selector = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if y is None or not is_classifier(selector) or type_of_target(y).startswith("multilabel"):
        return None
    return np.unique(np.ravel(y), return_inverse=True)[1]


def _pair(
    n_rows: int, strata: np.ndarray | None, random: np.random.RandomState
) -> Iterator[np.ndarray]:
    """Draw two halves of the rows that have none in common."""
    groups = (
        [np.arange(n_rows)]
        if strata is None
        else [np.flatnonzero(strata == label) for label in range(strata.max() + 1)]
    )
    drawn = [random.permutation(rows) for rows in groups]
    yield np.sort(np.concatenate([rows[: len(rows) // 2] for rows in drawn]))
    yield np.sort(np.concatenate([rows[len(rows) // 2 : len(rows) // 2 * 2] for rows in drawn]))


def _selected(
    estimator: Any, X: Any, y: Any, sample_weight: Any, rows: np.ndarray, seed: int
) -> np.ndarray:
    """Fit a copy of a selector to some rows, and say which features it selects."""
    copied = clone(estimator)
    random = check_random_state(seed)
    seeds = [
        name
        for name in sorted(copied.get_params(deep=True))
        if name == "random_state" or name.endswith("__random_state")
    ]
    copied.set_params(**{name: random.randint(_LARGEST_SEED) for name in seeds})
    piped = isinstance(copied, Pipeline)
    params = {}
    if sample_weight is not None:
        name = f"{copied.steps[-1][0]}__sample_weight" if piped else "sample_weight"
        params[name] = safe_indexing(sample_weight, rows)
    half = safe_indexing(X, rows)
    copied.fit(half, None if y is None else safe_indexing(y, rows), **params)
    selector = copied[-1] if piped else copied
    return selector.get_support()
