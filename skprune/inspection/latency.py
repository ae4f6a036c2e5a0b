"""How long predictions take by each runtime that a network can be deployed on."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from skprune.deployment.deployed import DeployedPredictor
from skprune.inspection._drawing import COLOURS, axes_for

__all__ = ["LatencyDisplay"]


class LatencyDisplay:
    """The time of a prediction, by the runtime and the number of rows.

    Make one by :meth:`from_estimator`.

    Parameters
    ----------
    seconds : mapping of str to mapping of int to float
        By the runtime's name, and by the number of rows: the time of one prediction.
    chosen : str, default=None
        The runtime that was chosen; its name is marked.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure that it is part of.
    bars_ : dict of int to matplotlib BarContainer
        The bars of each number of rows, one for each runtime.

    See Also
    --------
    skprune.deployment.deploy : Measures the runtimes.

    Examples
    --------
    >>> from skprune.inspection import LatencyDisplay
    >>> seconds = {"torch": {1: 7e-5, 1024: 2e-3}, "onnx": {1: 1e-5, 1024: 1e-3}}
    >>> display = LatencyDisplay(seconds=seconds, chosen="onnx").plot()
    >>> display.ax_.get_xlabel()
    'Time of a prediction'
    """

    ax_: Any
    figure_: Any

    def __init__(
        self, *, seconds: Mapping[str, Mapping[int, float]], chosen: str | None = None
    ) -> None:
        self.seconds = seconds
        self.chosen = chosen

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X_sample: Any = None,
        *,
        batch_sizes: Sequence[int] = (1, 1024),
        n_threads: int | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw how long predictions of a network take; measure it first, if nobody has.

        Parameters
        ----------
        estimator : object
            A predictor that ``deploy`` made with ``runtime="auto"``, or whatever ``deploy`` takes.
        X_sample : array-like of shape (n_rows, n_features) or (n_rows, ...), default=None
            Rows to measure with; see :func:`~skprune.deployment.deploy`.
        batch_sizes : sequence of int, default=(1, 1024)
            Numbers of rows to measure.
        n_threads : int, default=None
            How many threads compute at the most.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : LatencyDisplay
            The picture.

        Raises
        ------
        ValueError
            If a deployed predictor was made for one runtime, and so measured none.
        """
        if not isinstance(estimator, DeployedPredictor):
            from skprune.deployment.deploying import deploy

            estimator = deploy(estimator, X_sample, batch_sizes=batch_sizes, n_threads=n_threads)
        measured = estimator.measurements_.items()
        seconds = {name: of["seconds"] for name, of in measured if of.get("seconds")}
        if not seconds:
            raise ValueError(
                "This predictor was deployed on one runtime, and none was measured: "
                "deploy(..., runtime='auto'), or give the estimator that it was made of."
            )
        return cls(seconds=seconds, chosen=estimator.runtime_).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        self : LatencyDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        names = list(self.seconds)
        sizes = list(dict.fromkeys(size for times in self.seconds.values() for size in times))
        height = 0.8 / len(sizes)
        ax = axes_for(ax, self, figsize=(6.4, max(2.4, 1.4 + 0.3 * len(names) * len(sizes))))
        from matplotlib.ticker import EngFormatter

        self.ax_, self.figure_, self.bars_ = ax, ax.figure, {}
        formatter = EngFormatter("s", places=1)
        for number, size in enumerate(sizes):
            measured = [row for row, name in enumerate(names) if size in self.seconds[name]]
            times = [self.seconds[names[row]][size] for row in measured]
            rows = np.array(measured) + (number - (len(sizes) - 1) / 2) * height
            label = "1 row" if size == 1 else f"{size:,} rows"
            bars = ax.barh(rows, times, height, color=COLOURS[number % len(COLOURS)], label=label)
            ax.bar_label(bars, [formatter(time) for time in times], padding=3)
            self.bars_[size] = bars
        ax.set_yticks(
            range(len(names)),
            [f"{name} (chosen)" if name == self.chosen else name for name in names],
        )
        ax.invert_yaxis()
        ax.set_xscale("log")
        ax.margins(x=0.15)
        ax.xaxis.set_major_formatter(EngFormatter("s"))
        ax.set_xlabel("Time of a prediction")
        ax.set_ylabel("Runtime")
        # Below, where no bar is.
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(sizes), frameon=False)
        return self
