"""Scores against the sparsity, drawn as lines: what several pictures have in common."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from skprune.inspection._drawing import (
    add_legend,
    axes_for,
    extra_widths,
    figsize_for,
    foreground,
    in_words,
    look_of,
    mark_chosen,
    use_sparsity_axis,
)

__all__ = ["ScoreLines"]

_BANDS = {"std_err": "standard error", "std": "standard deviation"}


class ScoreLines:
    """The score against the sparsity, line by line."""

    ax_: Any
    figure_: Any
    sparsities: Mapping[str, np.ndarray]
    scores: Mapping[str, np.ndarray]
    score_name: str
    chosen: tuple[float, float] | None = None
    dense_scores: Any = None

    def plot(self, ax: Any = None, *, band: str | None = "std_err") -> Self:
        """Draw the picture.

        The axis of sparsity is logarithmic in what is left;
        ``display.ax_.set_xscale("linear")`` makes it linear.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.
        band : {"std_err", "std", None}, default="std_err"
            What the bands around the means show: one standard error of the mean over the splits,
            one standard deviation, or nothing.

        Returns
        -------
        self : PruningPathDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        if band is not None and band not in _BANDS:
            raise ValueError(f"band must be one of {[*_BANDS, None]}; got {band!r}.")
        ax = axes_for(ax, self, figsize_for(len(self.scores)))
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_, self.bands_ = {}, {}
        self.chosen_ = self.dense_line_ = None
        means = {label: scores.mean(axis=1) for label, scores in self.scores.items()}
        extra = extra_widths([(self.sparsities[label], mean) for label, mean in means.items()])
        for number, (label, scores) in enumerate(self.scores.items()):
            x, mean, look = self.sparsities[label], means[label], look_of(number, extra[number])
            self.lines_[label] = ax.plot(x, mean, label=label, **look)[0]
            n_splits = scores.shape[1]
            if band is not None and n_splits > 1:
                # The standard deviation is that of std_test_score, over n and not n - 1.
                half = scores.std(axis=1) / (np.sqrt(n_splits - 1) if band == "std_err" else 1)
                self.bands_[label] = ax.fill_between(
                    x, mean - half, mean + half, color=look["color"], alpha=0.25
                )
        if self.dense_scores is not None:
            self.dense_line_ = ax.axhline(
                np.mean(self.dense_scores), color=foreground(), linestyle=":", label="dense network"
            )
        if self.chosen is not None:
            self.chosen_ = mark_chosen(ax, *self.chosen)
        use_sparsity_axis(ax, np.concatenate(list(self.sparsities.values())))
        what = f" (mean ± {_BANDS[band]})" if self.bands_ and band is not None else ""
        ax.set_ylabel(in_words(self.score_name) + what)
        add_legend(ax)
        return self
