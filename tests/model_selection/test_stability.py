"""Stability against explicit loops, the closed form, and the special cases of the paper."""

import numpy as np
import pytest

from skprune.model_selection import mask_stability, prediction_churn, recall_change


def by_loops(masks):
    """Compute Nogueira's estimator and its variance as the paper writes them, sum by sum."""
    m, d = masks.shape
    p = [sum(masks[i, f] for i in range(m)) / m for f in range(d)]
    k = [sum(masks[i]) for i in range(m)]
    mean_k = sum(k) / m
    denominator = mean_k / d * (1 - mean_k / d)
    phi = 1 - sum(m / (m - 1) * q * (1 - q) for q in p) / d / denominator
    parts = []
    for i in range(m):
        agreement = sum(masks[i, f] * p[f] for f in range(d)) / d
        part = agreement - k[i] * mean_k / d**2
        part += phi / 2 * (2 * mean_k * k[i] / d**2 - k[i] / d - mean_k / d + 1)
        parts.append(part / denominator)
    mean = sum(parts) / m
    return phi, 4 / m**2 * sum((part - mean) ** 2 for part in parts)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_papers_sums(seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((6, 40)) < rng.uniform(0.1, 0.9)
    result = mask_stability(list(masks))
    phi, variance = by_loops(masks.astype(int))
    assert result.stability == pytest.approx(phi, abs=1e-12)
    assert result.variance == pytest.approx(variance, abs=1e-12)


def test_equal_masks_are_fully_stable_whatever_they_keep():
    mask = np.array([True, False, True, False])
    assert mask_stability([mask] * 3) == (1.0, 1.0, 1.0, 0.0)


def test_two_complementary_halves_are_as_unstable_as_can_be():
    # The paper's lower bound is -1 / (M - 1).
    mask = np.array([True, True, False, False])
    assert mask_stability([mask, ~mask]).stability == pytest.approx(-1.0)


def test_random_masks_have_no_stability_on_average():
    rng = np.random.default_rng(0)
    values = [
        mask_stability([rng.permutation(np.arange(50) < 10) for _ in range(5)]).stability
        for _ in range(400)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / 20


def test_kuncheva_index_for_masks_of_equal_size():
    # For equal sizes the measure is Kuncheva's: the mean over pairs of (r d - k^2) / (k (d - k)).
    rng = np.random.default_rng(1)
    d, k = 30, 8
    masks = [rng.permutation(np.arange(d) < k) for _ in range(5)]
    pairs = [
        ((a & b).sum() * d - k**2) / (k * (d - k))
        for i, a in enumerate(masks)
        for b in masks[i + 1 :]
    ]
    assert mask_stability(masks).stability == pytest.approx(np.mean(pairs))


def test_the_interval_covers_at_its_level():
    rng = np.random.default_rng(2)
    probability = rng.uniform(0.05, 0.95, 60)
    truth = mask_stability(list(rng.random((4000, 60)) < probability)).stability
    covered = 0
    for _ in range(300):
        result = mask_stability(list(rng.random((20, 60)) < probability), confidence=0.95)
        covered += result.lower <= truth <= result.upper
    assert 0.90 <= covered / 300 <= 0.99


def test_masks_of_layers_count_together():
    masks = [{"a": np.array([[True, False]]), "b": np.array([True, True])} for _ in range(2)]
    masks[1]["b"] = np.array([True, False])
    flat = [np.array([True, False, True, True]), np.array([True, False, True, False])]
    assert mask_stability(masks) == mask_stability(flat)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([np.ones(3, bool)], "at least 2 fits; got 1"),
        ([np.ones(3, bool)] * 2, "keep everything, or nothing"),
        ([np.ones(3, bool), np.ones(4, bool)], r"fit 1 has shape \(4,\), not \(3,\)"),
        ([{"a": np.ones(3)}, {"b": np.ones(3)}], r"fit 1 have shapes \{'b': \(3,\)\}"),
    ],
)
def test_masks_that_cannot_be_compared(masks, message):
    with pytest.raises(ValueError, match=message):
        mask_stability(masks)


def test_churn_counts_rows():
    assert prediction_churn([0, 1, 2, 2], [0, 1, 1, 0]) == 0.5
    assert prediction_churn([[0, 1], [1, 1]], [[0, 1], [0, 0]]) == 0.5
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        prediction_churn([0, 1], [0])


def test_recall_change_by_class():
    truth = np.array([0, 0, 0, 0, 1, 1])
    dense = np.array([0, 0, 0, 1, 1, 1])
    pruned = np.array([0, 0, 1, 1, 1, 0])
    assert recall_change(truth, dense, pruned) == {0: -0.25, 1: -0.5}
