"""The score and the selected features along a path of numbers of features."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from skprune.inspection._drawing import axes_for, foreground, in_words, look_of, mark_chosen
from skprune.inspection._search import search_in

__all__ = ["FeaturePathDisplay"]

# More features than this are not told apart; those that are selected most are drawn.
_N_FEATURES = 40


class FeaturePathDisplay:
    """The score against the number of features, and how often each feature was selected.

    Make one by :meth:`from_estimator`.

    Parameters
    ----------
    n_features : ndarray of int of shape (n_candidates,)
        The numbers of features.
    scores : ndarray of shape (n_candidates, n_splits)
        Scores on the test rows of each split.
    frequencies : ndarray of shape (n_candidates, n_columns)
        In which share of the splits each feature was selected.
    feature_names : sequence of str of length n_columns, default=None
        Names of the features; their numbers if None.
    score_name : str, default="score"
        Name of the metric.
    chosen : int, default=None
        Which candidate was chosen.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What the scores, or the features, were drawn on.
    figure_ : matplotlib Figure
        The figure that it is part of.
    line_, band_ : matplotlib Line2D, PolyCollection or None
        The mean score and its standard error; None where the features are drawn.
    chosen_ : matplotlib Line2D or None
        The mark around the number that was chosen.
    image_ : matplotlib AxesImage or None
        How often features were selected; None where the scores are drawn.

    See Also
    --------
    FeatureImportanceDisplay : What each feature is worth.

    Examples
    --------
    >>> import numpy as np
    >>> from skprune.inspection import FeaturePathDisplay
    >>> display = FeaturePathDisplay(
    ...     n_features=np.array([3, 1]),
    ...     scores=np.array([[0.9, 0.8], [0.7, 0.6]]),
    ...     frequencies=np.array([[1.0, 1.0, 1.0], [0.5, 0.0, 0.5]]),
    ... )
    >>> display.plot().ax_.get_xlabel()
    'Number of features'
    >>> display.plot(kind="features").image_.get_array().shape
    (3, 2)
    """

    ax_: Any
    figure_: Any

    def __init__(
        self,
        *,
        n_features: np.ndarray,
        scores: np.ndarray,
        frequencies: np.ndarray,
        feature_names: Sequence[str] | None = None,
        score_name: str = "score",
        chosen: int | None = None,
    ) -> None:
        self.n_features = n_features
        self.scores = scores
        self.frequencies = frequencies
        self.feature_names = feature_names
        self.score_name = score_name
        self.chosen = chosen

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        kind: str = "score",
        feature_names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw what a fitted selector found by cross-validation.

        Parameters
        ----------
        estimator : object
            A fitted ``PrunedFeatureSelectorCV``, or a ``Pipeline`` that ends in one.
        kind : {"score", "features"}, default="score"
            What is drawn; see :meth:`plot`.
        feature_names : sequence of str, default=None
            Names of the features; those that X had in the fit if None.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : FeaturePathDisplay
            The picture.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no path of features.
        """
        search = search_in(estimator, "support_path_", "PrunedFeatureSelectorCV has it")
        if feature_names is None:
            feature_names = getattr(search, "feature_names_in_", None)
        return cls(
            n_features=search.candidates_,
            scores=search.score_path_,
            frequencies=search.support_path_.mean(axis=1),
            feature_names=feature_names,
            score_name=search.metric_,
            chosen=search.best_index_,
        ).plot(ax, kind=kind)

    def plot(self, ax: Any = None, *, kind: str = "score") -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.
        kind : {"score", "features"}, default="score"
            What is drawn: the mean score and its standard error against the number of features, or
            in which share of the splits each feature was selected, the most frequent on top.

        Returns
        -------
        self : FeaturePathDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no such kind.
        """
        if kind not in ("score", "features"):
            raise ValueError(f"kind must be 'score' or 'features'; got {kind!r}.")
        ax = axes_for(ax, self)
        self.ax_, self.figure_ = ax, ax.figure
        self.line_ = self.band_ = self.chosen_ = self.image_ = None
        if kind == "score":
            self._plot_scores(ax)
        else:
            self._plot_features(ax)
        return self

    def _plot_scores(self, ax: Any) -> None:
        from matplotlib.ticker import NullFormatter

        x, mean, look = self.n_features, self.scores.mean(axis=1), look_of(0)
        self.line_ = ax.plot(x, mean, **look)[0]
        n_splits = self.scores.shape[1]
        label = in_words(self.score_name)
        if n_splits > 1:
            half = self.scores.std(axis=1) / np.sqrt(n_splits - 1)
            self.band_ = ax.fill_between(
                x, mean - half, mean + half, color=look["color"], alpha=0.25
            )
            label += " (mean ± standard error)"
        if self.chosen is not None:
            self.chosen_ = mark_chosen(ax, x[self.chosen], mean[self.chosen])
            ax.legend()
        ax.set_xscale("log")
        ax.set_xticks(x, [str(number) for number in x])
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set(xlabel="Number of features", ylabel=label)

    def _plot_features(self, ax: Any) -> None:
        # By how often they are selected among the fewest, then among more.
        falling = self.frequencies[np.argsort(-self.n_features)]
        order = np.lexsort(tuple(-frequency for frequency in falling))
        shown = order[:_N_FEATURES]
        names = self.feature_names
        labels = [str(i if names is None else names[i]) for i in shown]
        self.image_ = ax.imshow(
            self.frequencies[:, shown].T, cmap="cividis", vmin=0, vmax=1, aspect="auto"
        )
        self.figure_.colorbar(self.image_, ax=ax, label="Share of the folds that select it")
        ax.set_xticks(range(len(self.n_features)), [str(number) for number in self.n_features])
        ax.set_yticks(range(len(shown)), labels)
        if self.chosen is not None:
            for side in (-0.5, 0.5):
                ax.axvline(self.chosen + side, color=foreground(), linewidth=1)
        n_all = self.frequencies.shape[1]
        few = "Feature" if len(shown) == n_all else f"Feature (first {len(shown)} of {n_all})"
        ax.set(xlabel="Number of features", ylabel=few)
