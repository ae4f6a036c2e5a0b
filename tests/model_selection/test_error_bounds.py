"""The bound of stability selection, against the papers and the worst distributions there are."""

import numpy as np
import pytest
from scipy.optimize import linprog

from skprune._sklearn import InvalidParameterError
from skprune.model_selection import false_selection_bound
from skprune.model_selection.error_bounds import smallest_threshold


def worst_probability(threshold: float, rate: float, n_pairs: int, *, unimodal: bool) -> float:
    """How often a feature can reach a threshold, by linear programming over all distributions.

    The share of pairs both of whose halves select a feature is a whole number of n_pairs, of mean
    rate**2 at the most, since the halves are independent; a feature that is selected by a share t
    of the fits is selected by both halves of at least 2 * t - 1 of the pairs.
    """
    values = np.arange(n_pairs + 1) / n_pairs
    reached = (values >= 2 * threshold - 1 - 1e-9).astype(float)
    worst = 0.0
    for mode in range(n_pairs + 1) if unimodal else [0]:
        rising = [np.eye(n_pairs + 1)[i] - np.eye(n_pairs + 1)[i + 1] for i in range(n_pairs)]
        shape = [row if i < mode else -row for i, row in enumerate(rising)] if unimodal else []
        found = linprog(
            -reached,
            A_ub=np.array([values, *shape]),
            b_ub=np.array([rate**2, *[0.0] * len(shape)]),
            A_eq=np.ones((1, n_pairs + 1)),
            b_eq=[1.0],
        )
        if found.success:
            worst = max(worst, -found.fun)
    return worst


@pytest.mark.parametrize("n_pairs", [4, 10])
@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("assumption", ["none", "unimodal"])
def test_no_distribution_reaches_a_threshold_more_often(
    n_pairs: int, rate: float, assumption: str
) -> None:
    tightest = np.inf
    for count in range(n_pairs + 2, 2 * n_pairs + 1):
        threshold = count / (2 * n_pairs)
        if threshold <= 0.5 + rate**2:
            continue
        # Of one feature, of which each fit selects `rate`.
        bound = false_selection_bound(threshold, rate, 1, n_pairs=n_pairs, assumption=assumption)
        worst = worst_probability(threshold, rate, n_pairs, unimodal=assumption == "unimodal")
        assert worst <= bound * (1 + 1e-6)
        tightest = min(tightest, bound / worst)
    assert tightest < 1.25  # and hardly less often


def test_the_worked_case_of_meinshausen_and_buehlmann() -> None:
    """With a threshold of 0.9 and sqrt(0.8 p) features a fit, one at most is selected in error."""
    assert false_selection_bound(0.9, np.sqrt(0.8 * 200), 200, n_pairs=50) == pytest.approx(1.0)


def test_the_smallest_threshold_is_the_first_that_is_low_enough() -> None:
    for assumption in ("none", "unimodal"):
        known = {"n_pairs": 20, "assumption": assumption}
        threshold = smallest_threshold(0.5, 5, 60, **known)
        assert false_selection_bound(threshold, 5, 60, **known) <= 0.5
        assert false_selection_bound(threshold - 1 / 40, 5, 60, **known) > 0.5
    with pytest.raises(InvalidParameterError, match="select 2 at the most"):
        smallest_threshold(0.1, 10, 50, n_pairs=20)
    assert smallest_threshold(0.1, 2, 50, n_pairs=20) <= 1


@pytest.mark.parametrize(
    ("threshold", "options", "message"),
    [
        (0.5, {}, r"threshold=0\.5 gives no bound: it must be above 0\.5"),
        (1.1, {}, r"threshold=1\.1 gives no bound"),
        (0.505, {"assumption": "unimodal"}, r"it must be above 0\.51"),
        (0.9, {"assumption": "unimodl"}, "Did you mean 'unimodal'"),
        (0.9, {"assumption": "unimodal", "n_selected": 40}, "they select 80.0%"),
    ],
)
def test_what_gives_no_bound_is_an_error(threshold: float, options: dict, message: str) -> None:
    options = {"n_selected": 5, "n_features": 50, "n_pairs": 50, **options}
    with pytest.raises(InvalidParameterError, match=message):
        false_selection_bound(threshold, **options)
