"""How many features a stability selection selects in error, at the most."""

from math import floor, sqrt

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match

__all__ = ["ASSUMPTIONS", "false_selection_bound", "smallest_threshold"]

# What may be assumed of how often a feature that does not matter is selected.
ASSUMPTIONS = ("none", "unimodal")


def false_selection_bound(
    threshold: float,
    n_selected: float,
    n_features: int,
    *,
    n_pairs: int,
    assumption: str = "none",
) -> float:
    """Bound the expected number of features that are selected in error.

    These are features that a fit on half of the rows selects no more often than it would select
    features at random: with a probability of at most ``n_selected / n_features``.

    Parameters
    ----------
    threshold : float
        The share of fits that has to select a feature, in (0.5, 1].
    n_selected : float
        How many features a fit selects, in the mean.
    n_features : int
        How many features there are.
    n_pairs : int
        How many pairs of halves there are.
    assumption : {"none", "unimodal"}, default="none"
        What is assumed of such a feature.

        - ``"none"``: nothing (Shah and Samworth, Theorem 1). It is the bound of Meinshausen and
          Buehlmann, who had to assume more.
        - ``"unimodal"``: the share of pairs both of whose halves select it has a distribution with
          a single peak (Theorem 2). The bound is then smaller.

    Returns
    -------
    bound : float
        The expected number is no larger.

    Raises
    ------
    InvalidParameterError
        If the threshold is too low for any bound.

    References
    ----------
    Meinshausen, N., & Buehlmann, P. (2010). Stability selection. Journal of the Royal Statistical
    Society B, 72(4), 417-473.

    Shah, R. D., & Samworth, R. J. (2013). Variable selection with error control: another look at
    stability selection. Journal of the Royal Statistical Society B, 75(1), 55-80.

    Examples
    --------
    >>> from skprune.model_selection import false_selection_bound
    >>> false_selection_bound(0.75, 5, 50, n_pairs=50)
    1.0
    >>> round(false_selection_bound(0.75, 5, 50, n_pairs=50, assumption="unimodal"), 3)
    0.51
    """
    if assumption not in ASSUMPTIONS:
        raise InvalidParameterError(
            f"Unknown assumption {assumption!r}.{near_match(assumption, ASSUMPTIONS)} Known: "
            f"{', '.join(map(repr, ASSUMPTIONS))}."
        )
    rate = n_selected / n_features
    lowest = _lowest(rate, n_pairs, assumption)
    if not lowest < threshold <= 1:
        raise InvalidParameterError(
            f"threshold={threshold} gives no bound: it must be above {lowest:.6g}, and 1 at the "
            "most."
        )
    return _factor(threshold, n_pairs, assumption) * rate * n_selected


def smallest_threshold(
    max_false: float,
    n_selected: float,
    n_features: int,
    *,
    n_pairs: int,
    assumption: str = "none",
) -> float:
    """Find the smallest threshold at which so many features at most are selected in error.

    Parameters
    ----------
    max_false : float
        How many may be, in expectation.
    n_selected, n_features, n_pairs, assumption : object
        As for :func:`false_selection_bound`.

    Returns
    -------
    threshold : float
        One of the shares of ``2 * n_pairs`` fits that there can be.

    Raises
    ------
    InvalidParameterError
        If even a feature that all fits select is not certain enough.
    """
    n_fits = 2 * n_pairs
    lowest = _lowest(n_selected / n_features, n_pairs, assumption)
    for count in range(n_pairs + 1, n_fits + 1):
        threshold = count / n_fits
        if threshold > lowest and max_false >= false_selection_bound(
            threshold, n_selected, n_features, n_pairs=n_pairs, assumption=assumption
        ):
            return threshold
    most = sqrt(max_false * n_features / _factor(1.0, n_pairs, assumption))
    raise InvalidParameterError(
        f"Each fit selects {n_selected:.6g} of {n_features} features, which is too many for "
        f"max_false={max_false:.6g}: let it select {floor(most)} at the most."
    )


def _lowest(rate: float, n_pairs: int, assumption: str) -> float:
    """Say above which threshold there is a bound."""
    if assumption == "none":
        return 0.5
    if rate > 1 / sqrt(3):
        raise InvalidParameterError(
            f"assumption='unimodal' is for fits that select at most {1 / sqrt(3):.1%} of the "
            f"features; they select {rate:.1%}. Use assumption='none', or select fewer."
        )
    return 0.5 + min(rate**2, 0.5 / n_pairs + 0.75 * rate**2)


def _factor(threshold: float, n_pairs: int, assumption: str) -> float:
    """Say by how much more often than by chance a feature can reach the threshold."""
    if assumption == "none":
        return 1 / (2 * threshold - 1)
    if threshold <= 0.75:
        return 1 / (2 * (2 * threshold - 1 - 0.5 / n_pairs))
    return 4 * (1 - threshold + 0.5 / n_pairs) / (1 + 1 / n_pairs)
