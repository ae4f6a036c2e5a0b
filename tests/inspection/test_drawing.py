"""Colours that everyone tells apart, axes of sparsity and cost, and what needs matplotlib."""

import sys
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skprune.inspection import (
    LatencyDisplay,
    LayerSparsityDisplay,
    MaskDisplay,
    ParetoDisplay,
    PruningPathDisplay,
    StabilityDisplay,
)
from skprune.inspection._drawing import COLOURS, in_words, look_of, use_cost_axis, use_sparsity_axis
from tests.inspection.common import contrast, linear_rgb

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def as_seen(colour, sight):
    """In CIELAB, where a distance of 2.3 is just noticeable."""
    xyz = np.array(TO_XYZ) @ np.clip(np.array(sight) @ linear_rgb(colour), 0, 1)
    f = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 1e-3))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_no_two_colours_are_alike(sight):
    for one, other in combinations(COLOURS, 2):
        distance = np.linalg.norm(as_seen(one, SIGHT[sight]) - as_seen(other, SIGHT[sight]))
        assert distance > 15, (one, other)


@pytest.mark.parametrize("ground", ["white", "black"])
def test_no_colour_fades_into_the_ground(ground):
    assert all(contrast(colour, ground) > 2 for colour in COLOURS)


def test_no_two_lines_are_alike():
    assert len(COLOURS) == 8
    looks = [look_of(number) for number in range(88)]
    assert len({tuple(look.values()) for look in looks}) == 88
    assert len({look["marker"] for look in looks[:8]}) == 8


def test_each_halving_of_what_is_left_takes_as_much_room():
    ax = plt.subplots()[1]
    ax.plot([0.0, 0.5, 0.75, 0.875], [1, 2, 3, 4])
    use_sparsity_axis(ax, [0.0, 0.5, 0.75, 0.875])
    places = ax.transData.transform([(s, 0.0) for s in (0.0, 0.5, 0.75, 0.875)])[:, 0]
    np.testing.assert_allclose(np.diff(places), places[1] - places[0])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "0.5", "0.75", "0.875"]
    low, high = ax.transAxes.inverted().transform(ax.transData.transform([(0, 0), (0.875, 0)]))
    assert 0 < low[0] < 0.1 < 0.9 < high[0] < 1


@pytest.mark.parametrize(
    "sparsities",
    [
        [0.5],
        [0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999],
        np.linspace(0, 0.9, 10),
        np.linspace(0, 0.99, 100),
        [0.0, 0.01, 0.02, 0.03, 0.98],
    ],
)
@pytest.mark.parametrize("width", [3.0, 6.4])
def test_labels_have_room(sparsities, width):
    figure, ax = plt.subplots(figsize=(width, 3))
    ax.plot(sparsities, np.zeros(len(sparsities)))
    use_sparsity_axis(ax, sparsities)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert boxes
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    if len(sparsities) <= 12:
        assert float(ax.get_xticklabels()[-1].get_text()) == sparsities[-1]


def test_a_second_picture_keeps_the_labels_of_the_first():
    ax = plt.subplots()[1]
    use_sparsity_axis(ax, [0.5, 0.9])
    use_sparsity_axis(ax, [0.8, 0.95])
    np.testing.assert_allclose(ax.get_xticks(), [0.5, 0.8, 0.9, 0.95])


@pytest.mark.parametrize(
    ("costs", "scale"),
    [([100.0, 900.0], "log"), ([100.0, 200.0], "linear"), ([0.0, 900.0], "linear")],
)
def test_wide_costs_have_a_logarithmic_axis(costs, scale):
    ax = plt.subplots()[1]
    use_cost_axis(ax, np.array([*costs, np.nan]), "B")
    assert ax.get_xscale() == scale
    assert ax.xaxis.get_major_formatter()(2000.0) == "2 kB"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("score", "Score"),
        ("roc_auc", "Roc auc"),
        ("neg_mean_squared_error", "Negative mean squared error"),
    ],
)
def test_metrics_in_words(name, words):
    assert in_words(name) == words


@pytest.mark.parametrize(
    "display",
    [
        LatencyDisplay(seconds={"torch": {1: 1e-5}}),
        LayerSparsityDisplay(before={"a": 2}, after={"a": 1}),
        MaskDisplay(mask=np.eye(2, dtype=bool)),
        ParetoDisplay(
            scores=np.ones(1), costs=np.ones(1), labels=["a"], front=np.zeros(1, dtype=int)
        ),
        PruningPathDisplay(sparsities={"a": np.array([0.5])}, scores={"a": np.ones((1, 2))}),
        StabilityDisplay(stability={"a": {"sparsity": [0.5], "mask": [0.1]}}),
    ],
    ids=lambda display: type(display).__name__,
)
def test_matplotlib_is_asked_for(display, monkeypatch):
    assert not hasattr(display, "ax_")  # making one draws nothing
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    message = rf"{type(display).__name__}.plot needs matplotlib: pip install skprune\[plot\]"
    with pytest.raises(ImportError, match=message):
        display.plot()
