"""What the pictures share: axes, the look of each line, the sparsity axis, the legend."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np

__all__ = [
    "add_legend",
    "axes_for",
    "extra_sizes",
    "extra_widths",
    "figsize_for",
    "foreground",
    "in_words",
    "look_of",
    "mark_chosen",
    "two_tones",
    "use_cost_axis",
    "use_sparsity_axis",
]

# Okabe and Ito's colours with a wine red and an olive in place of their black and yellow, which
# vanish on a black or a white ground. No two of the numbers of colours, markers and dashes have a
# factor in common, so that lines of one colour look different.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#993366",
    "#5C5C1F",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))

# What the axis says where there are too many sparsities to name each.
_ROUND_SPARSITIES = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)
_MANY_SPARSITIES = 12
_INCHES_PER_LABEL = 0.45

# A cost whose largest value is at least so many times the smallest has a logarithmic axis.
_WIDE = 8.0

# More labels than this cover too much of the axes.
_N_LABELS_INSIDE = 5
# More lines than this want a larger figure.
_N_LINES = 12
_POINTS_PER_LABEL = 15.0
# A legend that does not fit is set smaller; below 5 points nobody reads it.
_FONT_SIZES = ("medium", "small", "x-small", 6, 5)

# Lines that lie upon each other are drawn like nested tubes, in points; the outermost is not wider
# than the most.
_WIDER = 2.5
_WIDEST = 9.0
# Two points closer than this fraction of the range of y look like one.
_SAME = 0.003


def axes_for(ax: Any, display: Any, figsize: tuple[float, float] | None = None) -> Any:
    """Give the axes to draw on: the user's, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib Axes or None
        The user's.
    display : object
        Who draws, for the message.
    figsize : (float, float), default=None
        Width and height of a new figure, in inches.

    Returns
    -------
    ax : matplotlib Axes
        The axes.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{type(display).__name__}.plot needs matplotlib: pip install skprune[plot]"
        ) from error
    return plt.subplots(figsize=figsize, layout="constrained")[1] if ax is None else ax


def look_of(number: int, extra: float = 0.0) -> dict[str, Any]:
    """Choose the colour, the marker and the dashes of a line by its number.

    Parameters
    ----------
    number : int
        The number of the line.
    extra : float, default=0.0
        By how many points the line and its markers are larger than others.

    Returns
    -------
    look : dict of str to object
        Properties of a line of matplotlib's.
    """
    from matplotlib import rcParams

    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number % len(DASHES)],
        "linewidth": rcParams["lines.linewidth"] + extra,
        "markersize": rcParams["lines.markersize"] + extra,
    }


def figsize_for(n_lines: int) -> tuple[float, float] | None:
    """Give a new figure the height that a legend of many lines takes; None for few lines."""
    return None if n_lines <= _N_LINES else (9.0, max(4.8, 1 + n_lines * _POINTS_PER_LABEL / 72))


def extra_widths(lines: Sequence[tuple[Any, Any]]) -> list[float]:
    """Say how much wider lines have to be, to be seen beneath later ones in the same place.

    Parameters
    ----------
    lines : sequence of (array-like, array-like)
        The points of each line, in the order in which they are drawn.

    Returns
    -------
    widths : list of float
        In points; 0 for a line on which no other lies.
    """
    heights = [np.asarray(y, dtype=float) for _, y in lines]
    drawn = [y[np.isfinite(y)] for y in heights]
    drawn = [y for y in drawn if len(y)]
    reach = max(y.max() for y in drawn) - min(y.min() for y in drawn) if drawn else 0.0
    points = [dict(zip(x, y, strict=True)) for (x, _), y in zip(lines, heights, strict=True)]

    def coincide(one: int, other: int) -> bool:
        mine, theirs = points[one], points[other]
        same = [
            x in mine and x in theirs and abs(mine[x] - theirs[x]) <= _SAME * reach
            for x in sorted({*mine, *theirs})
        ]
        # Lines that only cross hide nothing.
        return all(same) or any(a and b for a, b in pairwise(same))

    return _nested(len(lines), coincide)


def extra_sizes(groups: Sequence[tuple[Any, Any]]) -> list[float]:
    """Say how much larger the markers of groups have to be, to be seen beneath later ones.

    Parameters
    ----------
    groups : sequence of (array-like, array-like)
        The points of each group, in the order in which they are drawn.

    Returns
    -------
    sizes : list of float
        In points; 0 for a group on none of whose points there is another.
    """
    points = [set(zip(map(float, x), map(float, y), strict=True)) for x, y in groups]
    return _nested(len(points), lambda one, other: not points[one].isdisjoint(points[other]))


def _nested(n: int, coincide: Callable[[int, int], bool]) -> list[float]:
    depths = [0] * n
    for index in reversed(range(n)):
        above = [depths[later] + 1 for later in range(index + 1, n) if coincide(index, later)]
        depths[index] = max(above, default=0)
    step = min(_WIDER, _WIDEST / max(1, *depths)) if depths else 0.0
    return [step * depth for depth in depths]


def foreground() -> str:
    """Give the colour of text in the style at hand: it stands out on a light or dark ground."""
    from matplotlib import rcParams

    return rcParams["text.color"]


def in_words(name: str) -> str:
    """Write a metric's name as a label: ``"neg_log_loss"`` as "Negative log loss"."""
    words = name.replace("_", " ").strip()
    if words.startswith("neg "):
        words = f"negative {words.removeprefix('neg ')}"
    return words[:1].upper() + words[1:]


def use_sparsity_axis(ax: Any, sparsities: Iterable[float]) -> None:
    """Make the x-axis one of sparsity, on which what is left shrinks by equal factors.

    0.9, 0.95 and 0.98 would fall together on a linear axis, where they leave 10, 5 and 2 %.

    Parameters
    ----------
    ax : matplotlib Axes
        The axes. Those that have such an axis already keep its labels.
    sparsities : iterable of float
        What the labels should say, as far as there is room.
    """
    before = ax.get_xticks() if ax.get_xscale() == "function" else []
    values = np.unique([*before, *sparsities])
    if len(values) > _MANY_SPARSITIES:
        values = np.array([s for s in _ROUND_SPARSITIES if values[0] <= s <= values[-1]])
    ax.set_xscale("function", functions=(_log_of_what_is_left, _sparsity_of))
    ticks = _with_room(values, ax.get_window_extent().width / ax.figure.dpi)
    ax.set_xticks(ticks, [f"{tick:.4g}" for tick in ticks])
    ax.minorticks_off()
    ax.autoscale_view(scaley=False)
    ax.set_xlabel("Sparsity")


def _log_of_what_is_left(sparsity: Any) -> Any:
    return -np.log10(np.clip(1 - np.asarray(sparsity), 1e-12, None))


def _sparsity_of(position: Any) -> Any:
    return 1 - 10.0 ** -np.asarray(position)


def _with_room(values: np.ndarray, inches: float) -> np.ndarray:
    """Leave out the labels that would touch the next sparser one; the sparsest stays."""
    places = _log_of_what_is_left(values)
    room = _INCHES_PER_LABEL / inches * (places[-1] - places[0]) if len(places) else 0.0
    kept: list[int] = []
    for index in reversed(range(len(values))):
        if not kept or places[kept[-1]] - places[index] >= room:
            kept.append(index)
    return values[kept[::-1]]


def use_cost_axis(ax: Any, costs: np.ndarray, unit: str) -> None:
    """Count an x-axis in thousands and millions of a unit, by powers where the costs are wide."""
    from matplotlib.ticker import EngFormatter, LogLocator

    finite = costs[np.isfinite(costs)]
    if len(finite) and finite.min() > 0 and finite.max() >= _WIDE * finite.min():
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.minorticks_off()
    ax.xaxis.set_major_formatter(EngFormatter(unit))


def mark_chosen(ax: Any, x: float, y: float) -> Any:
    """Draw a ring around the candidate that was chosen."""
    return ax.plot(
        x,
        y,
        marker="o",
        markersize=14,
        markerfacecolor="none",
        markeredgecolor=foreground(),
        linestyle="none",
        label="chosen",
    )[0]


def two_tones(ax: Any) -> Any:
    """Make a colour map of two: the ground of the axes for 0, what stands out on it for 1."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("two_tones", [ax.get_facecolor(), foreground()])


def add_legend(ax: Any, title: str | None = None) -> None:
    """Say what is drawn; many labels stand beside the axes if the figure makes room for them.

    What does not fit in the figure gets columns, and smaller letters.

    Parameters
    ----------
    ax : matplotlib Axes
        The axes, with all that is drawn on them.
    title : str, default=None
        Stands above the labels.
    """
    n_labels = len(ax.get_legend_handles_labels()[1])
    if n_labels <= _N_LABELS_INSIDE:
        ax.legend(title=title)
        return
    beside = ax.figure.get_layout_engine() is not None
    place: dict[str, Any] = {}
    if beside:
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    room = _room_beside(ax) if beside else ax.get_window_extent().size
    for size in _FONT_SIZES if beside else _FONT_SIZES[1:]:
        for n_columns in range(1 if beside else 2, ceil(n_labels / 4) + 1):
            legend = ax.legend(title=title, fontsize=size, ncols=n_columns, **place)
            taken = legend.get_window_extent(ax.figure.canvas.get_renderer()).size
            if (taken <= room).all():
                return


def _room_beside(ax: Any) -> np.ndarray:
    """Give the width and height, in pixels, that a legend beside the axes may take."""
    grid = ax.get_subplotspec()
    n_rows, n_columns = (1, 1) if grid is None else grid.get_gridspec().get_geometry()
    return ax.figure.bbox.size * np.array([0.5 / n_columns, 0.85 / n_rows])
