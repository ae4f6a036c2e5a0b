"""Names of lines: short, different, the user's own; and lines in the same place are all seen."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skprune import Strategy
from skprune.inspection import ParetoDisplay, PruningPathDisplay, StabilityDisplay
from skprune.inspection._drawing import extra_sizes, extra_widths
from skprune.inspection._labels import short_labels
from skprune.strategies import STRATEGIES, Distill, Iterative
from tests.inspection.common import SPARSITIES, assert_readable, fitted_search

OBJECTS = [
    Strategy(importance="lamp", schedule=Iterative(n_steps=n), recovery=Distill(alpha=alpha))
    for n, alpha in [(5, 0.3), (5, 0.7), (9, 0.3)]
]
LABELS = [
    "… schedule=Iterative()",
    "recovery=Distill(alpha=0.7), schedule=It…",
    "… schedule=Iterative(n_steps=9)",
]
DISPLAYS = [PruningPathDisplay, ParetoDisplay]


def results_of(strategies):
    """Scores of each strategy at each sparsity, the higher the later."""
    rows = [(strategy, sparsity) for strategy in strategies for sparsity in SPARSITIES]
    scores = np.linspace(0.5, 1.0, len(rows))
    return {
        "param_strategy": [strategy for strategy, _ in rows],
        "param_sparsity": [sparsity for _, sparsity in rows],
        "split0_test_score": scores,
        "split1_test_score": scores + 0.01,
        "mean_test_score": scores,
        "mean_test_macs": np.array([-1000.0 * (1.01 - sparsity) for _, sparsity in rows]),
    }


def stability_of(strategies):
    stability = {
        "sparsity": SPARSITIES,
        "mask": np.linspace(1, 0, len(SPARSITIES)),
        "mask_lower": np.linspace(1, 0, len(SPARSITIES)),
        "mask_upper": np.linspace(1, 0, len(SPARSITIES)),
        "churn": np.linspace(0, 1, len(SPARSITIES)),
    }
    return dict.fromkeys(strategies, stability)


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("given", ["none", "constrained", "panels", "plain"])
def test_all_named_strategies_fit_into_the_figure(display, given):
    axes = {
        "none": lambda: None,
        "constrained": lambda: plt.subplots(layout="constrained")[1],
        "panels": lambda: plt.subplots(1, 2, figsize=(13, 4), layout="constrained")[1][0],
        "plain": lambda: plt.subplots()[1],
    }
    options = {"dense_scores": [0.9, 0.8]} if display is PruningPathDisplay else {}
    picture = display.from_cv_results(
        results_of(STRATEGIES), best_index=1, ax=axes[given](), **options
    )
    assert_readable(picture)
    legend = picture.ax_.get_legend().get_window_extent()
    assert legend.y0 >= picture.figure_.bbox.y0
    assert legend.x1 <= picture.figure_.bbox.x1
    texts = [text.get_text() for text in picture.ax_.get_legend().get_texts()]
    assert set(STRATEGIES) <= set(texts)


def test_all_named_strategies_fit_into_the_figure_of_stability():
    assert_readable(StabilityDisplay(stability=stability_of(STRATEGIES)).plot())


@pytest.mark.parametrize("display", DISPLAYS)
def test_strategies_given_as_objects_are_told_apart(display):
    picture = display.from_cv_results(results_of(OBJECTS))
    lines = picture.lines_ if display is PruningPathDisplay else picture.points_
    assert list(lines) == LABELS
    assert_readable(picture)


def test_what_strategies_have_in_common_is_left_out():
    first, second = (
        repr(Strategy(importance="lamp", regularizer="l1", schedule=Iterative(n_steps=n)))
        for n in (7, 9)
    )
    assert short_labels([first, "magnitude", second]) == [
        "schedule=Iterative(n_steps=7)",
        "magnitude",
        "schedule=Iterative(n_steps=9)",
    ]


def test_labels_that_begin_alike_are_cut_before_the_difference():
    texts = ["a" * 100 + "b" + "c" * 50, "a" * 100 + "d" + "c" * 50]
    labels = short_labels(texts)
    assert len(set(labels)) == 2
    assert all(len(label) <= 42 for label in labels)
    assert "b" in labels[0]
    assert "d" in labels[1]


def test_labels_differ_whatever_the_texts():
    rng = np.random.default_rng(0)
    for _ in range(200):
        texts = {
            "Strategy(" + ", ".join(rng.choice(["ab=1", "b=(2, 3)", "c='" + "x" * 30], 4)) + ")"
            for _ in range(8)
        }
        texts |= {"y" * int(n) for n in rng.integers(30, 60, 4)}
        assert len(set(short_labels(sorted(texts)))) == len(texts)


@pytest.mark.parametrize("display", DISPLAYS)
def test_labels_of_the_user(display):
    labels = ["five", "five, softer", "nine"]
    picture = display.from_cv_results(results_of(OBJECTS), labels=labels)
    lines = picture.lines_ if display is PruningPathDisplay else picture.points_
    assert list(lines) == labels
    texts = [text.get_text() for text in picture.ax_.get_legend().get_texts()]
    assert [text for text in texts if text in labels] == labels


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["one", "two"], "got 2 labels for 3 lines"),
        ("one", "got 'one' for 3 lines"),
        (["one", "two", "one"], "'one' is there twice"),
    ],
)
def test_labels_that_are_not_one_a_line(labels, message):
    for display in DISPLAYS:
        with pytest.raises(ValueError, match=message):
            display.from_cv_results(results_of(OBJECTS), labels=labels)
    assert plt.get_fignums() == []


def test_labels_of_a_fitted_search():
    search = fitted_search(OBJECTS[:2], sparsities=[0.5, 0.8])
    for display in (PruningPathDisplay, StabilityDisplay):
        picture = display.from_estimator(search)
        assert list(picture.lines_) == [
            "recovery=Distill(alpha=0.3)",
            "recovery=Distill(alpha=0.7)",
        ]
        assert list(display.from_estimator(search, labels=["a", "b"]).lines_) == ["a", "b"]
    with pytest.raises(ValueError, match="got 1 labels for 2 lines"):
        StabilityDisplay.from_estimator(search, labels=["a"])


def test_lines_in_the_same_place_are_all_seen():
    results = results_of(["first", "second", "third"])
    for name in ("split0_test_score", "split1_test_score"):
        results[name] = np.tile(np.linspace(1, 0.5, len(SPARSITIES)), 3)
        results[name][-1] -= 0.3  # the third goes on its own at the end
    display = PruningPathDisplay.from_cv_results(results, band=None)
    widths = [line.get_linewidth() for line in display.lines_.values()]
    assert widths[0] >= widths[1] + 2 >= widths[2] + 4
    marks = [line.get_markersize() for line in display.lines_.values()]
    assert marks[0] >= marks[1] + 2 >= marks[2] + 4
    # As it looks: somewhere each colour is to be seen.
    display.ax_.get_legend().remove()
    display.figure_.canvas.draw()
    pixels = np.asarray(display.figure_.canvas.buffer_rgba())[..., :3].reshape(-1, 3)
    for line in display.lines_.values():
        colour = [int(line.get_color()[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == colour).all(axis=1).sum() > 300


def test_lines_that_only_cross_are_as_wide_as_ever():
    x = [0.5, 0.8, 0.9]
    assert extra_widths([(x, [1.0, 0.5, 0.0]), (x, [0.0, 0.5, 1.0])]) == [0, 0]
    assert extra_widths([(x, [1.0, 0.5, 0.0]), (x[:2], [1.0, 0.5])]) == [2.5, 0]
    assert extra_widths([]) == []
    assert max(extra_widths([(x, [1.0, 1.0, 0.0])] * 22)) == 9


def test_points_in_the_same_place_are_all_seen():
    assert extra_sizes([([1, 2], [1, 2]), ([3], [3]), ([2], [2])]) == [2.5, 0, 0]
