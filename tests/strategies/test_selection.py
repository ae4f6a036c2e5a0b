"""Exact counts: of one layer, and of what is divided among several."""

from decimal import Decimal
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from skprune.strategies.allocation.apportion import apportion, apportion_layers
from skprune.strategies.selection import keep_best, n_removed

# Few values, so that many are equal; infinity marks what must stay, minus infinity what is gone.
scores = st_numpy.arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0, np.inf]),
)


@given(scores=scores, data=st.data())
def test_keep_best_keeps_what_a_stable_sort_puts_first(
    scores: np.ndarray, data: st.DataObject
) -> None:
    n_keep = data.draw(st.integers(0, len(scores)))
    kept = keep_best(torch.from_numpy(scores), n_keep).numpy()
    expected = np.zeros(len(scores), dtype=bool)
    expected[np.argsort(-scores, kind="stable")[:n_keep]] = True
    np.testing.assert_array_equal(kept, expected)


@given(
    scores=st_numpy.arrays(np.float32, st.integers(1, 200)).filter(lambda a: not np.isnan(a).any())
)
def test_keep_best_agrees_with_a_stable_sort_of_any_numbers(scores: np.ndarray) -> None:
    n_keep = len(scores) // 3
    kept = keep_best(torch.from_numpy(scores), n_keep).numpy()
    expected = np.argsort(-scores, kind="stable")[:n_keep]
    np.testing.assert_array_equal(np.flatnonzero(kept), np.sort(expected))


@pytest.mark.parametrize(("n_keep", "n_kept"), [(-1, 0), (0, 0), (3, 3), (4, 3)])
def test_keep_best_keeps_no_more_than_there_is(n_keep: int, n_kept: int) -> None:
    assert int(keep_best(torch.ones(3), n_keep).sum()) == n_kept


def test_keep_best_takes_more_elements_than_quantile_does() -> None:
    scores = torch.zeros(2**24 + 2)
    scores[-1] = 1.0
    kept = keep_best(scores, 2)
    assert kept.nonzero().flatten().tolist() == [0, len(scores) - 1]


@given(sparsity=st.floats(0, 1, exclude_max=True), n_elements=st.integers(0, 10**7))
def test_n_removed_is_the_nearest_whole_number(sparsity: float, n_elements: int) -> None:
    removed = n_removed(sparsity, n_elements)
    assert isinstance(removed, int)
    assert 0 <= removed <= n_elements
    assert abs(removed - Fraction(Decimal(repr(sparsity))) * n_elements) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("sparsity", "n_elements", "removed"),
    [
        *[(0.0, 7, 0), (0.5, 7, 4), (0.25, 10, 3), (0.24, 10, 2), (0.9, 10, 9), (0.99, 10, 10)],
        *[(0.29, 50, 15), (0.95, 90, 86), (0.145, 100, 15), (np.float32(0.29), 50, 15)],
    ],
)
def test_n_removed_rounds_halves_upward(sparsity: float, n_elements: int, removed: int) -> None:
    assert n_removed(sparsity, n_elements) == removed


def test_n_removed_rounds_every_half_upward() -> None:
    """All sparsities of two decimals, beside whole numbers alone."""
    for percent, n_elements in product(range(100), range(1, 200)):
        expected = (2 * percent * n_elements + 100) // 200
        assert n_removed(percent / 100, n_elements) == expected, (percent, n_elements)


@st.composite
def divisions(draw: st.DrawFn) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 8))
    lower = np.array(draw(st.lists(st.integers(0, 20), min_size=n, max_size=n)))
    room = np.array(draw(st.lists(st.integers(0, 50), min_size=n, max_size=n)))
    values = st.floats(0.01, 1000) | st.sampled_from([1.0, 2.0])
    weights = np.array(draw(st.lists(values, min_size=n, max_size=n)))
    upper = lower + room
    return draw(st.integers(int(lower.sum()), int(upper.sum()))), weights, lower, upper


def ideal_shares(
    total: float, weights: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """Shares in proportion to weights within bounds, by halving the interval of the scale."""
    low, high = 0.0, float((upper / weights).max()) + 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (
            (middle, high)
            if np.clip(middle * weights, lower, upper).sum() < total
            else (low, middle)
        )
    return np.clip(high * weights, lower, upper)


@given(division=divisions())
def test_apportion_is_exact_within_bounds_and_proportional(
    division: tuple[int, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    total, weights, lower, upper = division
    shares = apportion(total, weights, lower, upper)
    assert shares.sum() == total
    assert (shares >= lower).all()
    assert (shares <= upper).all()
    assert (np.abs(shares - ideal_shares(total, weights, lower, upper)) < 1 + 1e-6).all()


@given(division=divisions())
def test_apportion_gives_what_is_left_to_the_largest_fractions(
    division: tuple[int, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    total, weights, lower, upper = division
    shares = apportion(total, weights, lower, upper)
    ideal = ideal_shares(total, weights, lower, upper)
    rounded_up, fraction = shares > ideal + 1e-6, ideal - np.floor(ideal + 1e-6)
    rounded_down = (shares < ideal - 1e-6) & (shares < upper)
    if rounded_up.any() and rounded_down.any():
        assert fraction[rounded_up].min() >= fraction[rounded_down].max() - 1e-6


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (11, [1, 1, 1], [4, 4, 3]),
        (5, [2, 1, 1], [3, 1, 1]),
        (3, [1, 1, 1000], [1, 1, 1]),
        (100, [1, 1, 1000], [1, 1, 98]),
        (9, [1, 1, 1], [3, 3, 3]),
    ],
)
def test_apportion_worked_cases(total: int, weights: list[float], shares: list[int]) -> None:
    n = len(weights)
    found = apportion(total, np.array(weights), np.ones(n, int), np.full(n, 100))
    assert found.tolist() == shares


def test_apportion_by_name() -> None:
    shares = apportion_layers(
        10, {"a": 1.0, "b": 8.0}, {"b": 1, "a": 4}, {"b": 9, "a": 9, "other": 3}
    )
    assert shares == {"a": 4, "b": 6}
