"""Paired differences against SciPy and a formula in loops, smoothing against loops and by hand."""

from math import sqrt
from statistics import mean, stdev

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from skprune.model_selection import paired_difference
from skprune.model_selection.smoothing import smoothed

NAN = float("nan")


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_where_each_row_is_tested_once_the_interval_is_that_of_a_paired_t_test(confidence):
    rng = np.random.default_rng(0)
    scores, reference = rng.normal(size=(4, 7)), rng.normal(size=7)
    found = paired_difference(scores, reference, confidence=confidence)
    for row, own in enumerate(scores):
        test = ttest_1samp(own - reference, 0.0)
        interval = test.confidence_interval(confidence)
        assert found.difference[row] == pytest.approx(mean(own - reference))
        assert found.difference[row] / found.std_err[row] == pytest.approx(test.statistic)
        assert found.lower[row] == pytest.approx(interval.low)
        assert found.upper[row] == pytest.approx(interval.high)


def test_the_variance_of_repeated_folds_is_that_of_nadeau_and_bengio():
    rng = np.random.default_rng(1)
    own, reference = rng.normal(size=30), rng.normal(size=30)
    found = paired_difference([own], reference, test_ratio=1 / 9)
    spread = stdev((own - reference).tolist())
    assert found.std_err[0] == pytest.approx(sqrt(1 / 30 + 1 / 9) * spread)
    uncorrected = paired_difference([own], reference)
    assert found.upper[0] - found.lower[0] == pytest.approx(
        (uncorrected.upper[0] - uncorrected.lower[0]) * sqrt((1 / 30 + 1 / 9) * 30)
    )


def test_the_corrected_interval_covers_where_the_plain_one_does_not():
    """Means of overlapping samples, whose true difference is 0."""
    rng = np.random.default_rng(2)
    n, n_test, n_splits, hits = 60, 15, 40, {0.0: 0, 1 / 3: 0}
    for _ in range(300):
        rows = rng.normal(size=n)
        folds = [rows[rng.permutation(n)[:n_test]].mean() for _ in range(n_splits)]
        for ratio in hits:
            found = paired_difference([folds], np.zeros(n_splits), test_ratio=ratio)
            hits[ratio] += found.lower[0] <= 0 <= found.upper[0]
    assert hits[0.0] < 200
    assert hits[1 / 3] >= 255


def test_folds_without_a_score_do_not_count():
    found = paired_difference(
        [[0.5, NAN, 0.9], [NAN, NAN, 0.4], [NAN, 0.3, NAN]], [0.4, 0.2, NAN], test_ratio=0.5
    )
    np.testing.assert_allclose(found.difference, [0.1, NAN, 0.1])
    assert found.std_err.tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(found.lower).all()
    assert np.isnan(found.upper).all()


def by_loops(scores, costs, paths):
    result = scores.copy()
    n_candidates, n_splits = scores.shape
    for i in range(n_candidates):
        below = [j for j in range(n_candidates) if paths[j] == paths[i] and costs[j] < costs[i]]
        above = [j for j in range(n_candidates) if paths[j] == paths[i] and costs[j] > costs[i]]
        beside = [max(below, key=lambda j: costs[j])] if below else []
        beside += [min(above, key=lambda j: costs[j])] if above else []
        for fold in range(n_splits):
            known = [scores[j, fold] for j in beside if not np.isnan(scores[j, fold])]
            result[i, fold] = (2 * scores[i, fold] + sum(known)) / (2 + len(known))
    return result


def test_neighbours_are_averaged_fold_by_fold_and_path_by_path():
    rng = np.random.default_rng(3)
    scores, costs = rng.normal(size=(9, 3)), rng.permutation(9).astype(float)
    paths = np.array(["a", "b", "a", "b", "a", "b", "a", "b", "c"])
    scores[4, 1] = NAN
    found = smoothed(scores, costs, paths, "neighbors")
    np.testing.assert_allclose(found, by_loops(scores, costs, paths))
    np.testing.assert_array_equal(found[8], scores[8])
    np.testing.assert_array_equal(smoothed(scores, costs, paths, None), scores)


def test_a_candidate_without_scores_is_nobodys_neighbour():
    scores = np.array([[1.0], [NAN], [4.0]])
    found = smoothed(scores, np.array([0.1, 0.2, 0.3]), np.zeros(3), "neighbors")
    np.testing.assert_allclose(found, [[2.0], [NAN], [3.0]])
    found = smoothed(scores, np.array([0.1, NAN, NAN]), np.zeros(3), "neighbors")
    np.testing.assert_array_equal(found, scores)


def test_beyond_the_best_means_that_rise_again_are_levelled():
    # Means 5, 7, 4, 6, 1: the best is the second; 4 and 6 pool to 5.
    scores = np.array([[4.0, 6.0], [6.0, 8.0], [3.0, 5.0], [5.0, 7.0], [1.0, 1.0]])
    found = smoothed(scores, np.arange(5.0), np.zeros(5), "isotonic")
    expected = scores + np.array([[0.0], [0.0], [1.0], [-1.0], [0.0]])
    np.testing.assert_allclose(found, expected)
