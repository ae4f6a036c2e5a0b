"""Divide a whole number of elements among layers, exactly."""

from collections.abc import Mapping

import numpy as np

__all__ = ["apportion", "apportion_layers"]


def apportion(n_keep: int, weights: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Divide `n_keep` in proportion to weights, within bounds.

    Shares that would pass a bound stay at it and the rest is divided anew; what rounding leaves
    over goes to the largest fractions, the first of equals.

    Parameters
    ----------
    n_keep : int
        What is divided; between the sums of the bounds.
    weights : ndarray of shape (n_layers,)
        Positive weights.
    lower, upper : ndarray of int of shape (n_layers,)
        Bounds of each share.

    Returns
    -------
    shares : ndarray of int of shape (n_layers,)
        The shares; their sum is `n_keep`.

    Examples
    --------
    >>> import numpy as np
    >>> from skprune.strategies.allocation.apportion import apportion
    >>> apportion(10, np.array([1.0, 1.0, 8.0]), np.array([1, 1, 1]), np.array([9, 9, 5]))
    array([3, 2, 5])
    """
    ideal = _within_bounds(n_keep, weights.astype(float), lower, upper)
    shares = np.clip(np.floor(ideal + 1e-9).astype(np.int64), lower, upper)
    while (left := n_keep - int(shares.sum())) != 0:
        room = shares < upper if left > 0 else shares > lower
        fraction = np.where(room, np.sign(left) * (ideal - shares), -np.inf)
        order = np.argsort(-fraction, kind="stable")[: min(abs(left), int(room.sum()))]
        shares[order] += np.sign(left)
    return shares


def apportion_layers(
    n_keep: int,
    weights: Mapping[str, float],
    lower: Mapping[str, int],
    upper: Mapping[str, int],
) -> dict[str, int]:
    """Divide `n_keep` among layers by name; see :func:`apportion`."""
    shares = apportion(
        n_keep,
        np.array(list(weights.values())),
        np.array([lower[name] for name in weights]),
        np.array([upper[name] for name in weights]),
    )
    return dict(zip(weights, shares.tolist(), strict=True))


def _within_bounds(
    total: float, weights: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """Clip ``scale * weights`` to the bounds, for the scale at which the sum is the total."""
    breaks = np.unique(np.concatenate([lower / weights, upper / weights]))
    sums = np.array([np.clip(scale * weights, lower, upper).sum() for scale in breaks])
    place = int(np.searchsorted(sums, total))
    if place == 0:
        return np.clip(breaks[0] * weights, lower, upper)
    if place == len(breaks):
        return np.clip(breaks[-1] * weights, lower, upper)
    low, high = breaks[place - 1], breaks[place]
    rise = sums[place] - sums[place - 1]
    scale = low + (high - low) * ((total - sums[place - 1]) / rise if rise else 0.0)
    return np.clip(scale * weights, lower, upper)
