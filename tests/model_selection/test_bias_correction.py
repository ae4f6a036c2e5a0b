"""Bias-corrected scores against loops, and against a truth that is known."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from skprune.estimators.outcomes import _MeanOfRows
from skprune.model_selection.bias_correction import bias_corrected_score


def best_mean(scores):
    return int(np.argmax(np.nanmean(scores, axis=1)))


def corrected_by_loops(right, tests, n_draws, seed):
    """Draw rows; choose by the mean of the folds' scores of them; score by all the others."""
    rng = np.random.default_rng(seed)
    rows = sorted({int(row) for test in tests for row in test})
    scores = []
    for _ in range(n_draws):
        drawn = [rows[i] for i in rng.integers(len(rows), size=len(rows))]
        others = set(rows) - set(drawn)
        means = []
        for own in right:
            by_fold = []
            for fold, test in enumerate(tests):
                values = [own[fold][list(test).index(r)] for r in drawn if r in test]
                by_fold += [sum(values) / len(values)] if values else []
            means.append(sum(by_fold) / len(by_fold))
        chosen = means.index(max(means))
        values = [
            right[chosen][fold][i]
            for fold, test in enumerate(tests)
            for i, row in enumerate(test)
            if row in others
        ]
        scores.append(sum(values) / len(values))
    return sum(scores) / n_draws, *np.quantile(scores, [0.05, 0.95])


@pytest.mark.parametrize(
    "tests",
    [
        [np.arange(0, 12), np.arange(12, 20), np.arange(20, 33)],
        # A row that is tested twice counts in both splits alike.
        [np.arange(0, 20), np.array([25, 3, 19, 7, 11, 31, 8, 2, 15, 1])],
    ],
)
def test_against_loops(tests):
    rng = np.random.default_rng(0)
    right = [[rng.integers(0, 2, len(test)).astype(float) for test in tests] for _ in range(4)]
    outcomes = [
        _MeanOfRows(np.stack([own[fold] for own in right]), None) for fold in range(len(tests))
    ]
    found = bias_corrected_score(outcomes, tests, best_mean, n_draws=60, random_state=5)
    expected = corrected_by_loops(right, tests, 60, 5)
    np.testing.assert_allclose(found, expected)


def test_the_best_of_many_that_guess_is_no_better_than_a_guess():
    """The truth is 0.5, whoever is chosen; what luck adds to the best score is not in the other."""
    rng = np.random.default_rng(1)
    tests = np.split(np.arange(100), 5)
    covered, errors, of_best = 0, [], []
    for _ in range(100):
        right = rng.integers(0, 2, (8, 100)).astype(float)
        outcomes = [_MeanOfRows(right[:, test], None) for test in tests]
        found = bias_corrected_score(outcomes, tests, best_mean, n_draws=100)
        covered += found.lower <= 0.5 <= found.upper
        errors.append(found.score - 0.5)
        of_best.append(right.mean(axis=1).max() - 0.5)
    assert covered >= 85
    assert abs(np.mean(errors)) < 0.01
    assert np.mean(of_best) > 0.05


def test_a_draw_without_a_score_does_not_count():
    nothing = bias_corrected_score(
        [_MeanOfRows(np.full((2, 4), np.nan), None)], [np.arange(4)], lambda scores: 0, n_draws=5
    )
    assert np.isnan(nothing).all()


def test_the_score_is_that_of_the_metric():
    rng = np.random.default_rng(2)
    y, predicted, weights = rng.integers(0, 3, (3, 40))
    counts = rng.integers(0, 3, 40)
    outcome = _MeanOfRows((y == predicted)[None].astype(float), weights)
    expected = accuracy_score(y, predicted, sample_weight=weights * counts)
    assert outcome(counts) == pytest.approx([expected])
