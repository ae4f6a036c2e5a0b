"""What the pictures share: axes, the look of each line, the sparsity axis, the legend."""

from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = [
    "add_legend",
    "axes_for",
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


def look_of(number: int) -> dict[str, Any]:
    """Choose the colour, the marker and the dashes of a line by its number."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number % len(DASHES)],
    }


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
    """Say what is drawn; many labels stand beside the axes if the figure makes room for them."""
    n_labels = len(ax.get_legend_handles_labels()[1])
    if n_labels <= _N_LABELS_INSIDE:
        ax.legend(title=title)
    elif ax.figure.get_layout_engine() is None:
        ax.legend(title=title, ncols=2, fontsize="small")
    else:
        ax.legend(title=title, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
