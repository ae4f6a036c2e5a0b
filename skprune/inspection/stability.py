"""Whether the folds agree on what to prune, and which classes pay for it."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from skprune.components import near_match
from skprune.inspection._drawing import (
    add_legend,
    axes_for,
    extra_widths,
    figsize_for,
    foreground,
    look_of,
    use_sparsity_axis,
)
from skprune.inspection._labels import relabelled, short_labels
from skprune.inspection._search import search_in

__all__ = ["StabilityDisplay"]

_KINDS = {
    "mask": "Stability of the masks over the folds",
    "churn": "Prediction churn from the dense network",
    "recall_change": "Change of recall by pruning",
}
# More classes than this are not told apart; those that lose most are drawn.
_N_CLASSES = 10


class StabilityDisplay:
    """How stable pruning is, against the sparsity; a line for each strategy.

    Make one by :meth:`from_estimator`.

    Parameters
    ----------
    stability : dict of str to dict of str to ndarray
        By the strategy's name: ``"sparsity"``; ``"mask"``, ``"mask_lower"`` and ``"mask_upper"``,
        the stability of the masks and its confidence interval; and ``"churn"``, each of shape
        (n_sparsities,); of a classifier also ``"recall_change"`` of shape (n_sparsities,
        n_classes).
    classes : sequence of length n_classes, default=None
        Names of the classes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure that it is part of.
    lines_ : dict of str to matplotlib Line2D
        The line of each strategy, or of each class.
    bands_ : dict of str to matplotlib PolyCollection
        The confidence interval around each line; none where the kind has none.

    See Also
    --------
    skprune.model_selection.mask_stability : Measures the stability of masks.
    skprune.model_selection.prediction_churn : Measures on how many rows two models disagree.
    skprune.model_selection.recall_change : Measures what pruning costs each class.

    Examples
    --------
    >>> from skprune.inspection import StabilityDisplay
    >>> stability = {
    ...     "magnitude": {
    ...         "sparsity": [0.5, 0.9],
    ...         "mask": [0.7, 0.5],
    ...         "mask_lower": [0.6, 0.4],
    ...         "mask_upper": [0.8, 0.6],
    ...         "churn": [0.01, 0.05],
    ...     }
    ... }
    >>> display = StabilityDisplay(stability=stability)
    >>> display.plot().ax_.get_xlabel()
    'Sparsity'
    """

    ax_: Any
    figure_: Any

    def __init__(
        self,
        *,
        stability: Mapping[str, Mapping[str, Any]],
        classes: Any = None,
    ) -> None:
        self.stability = stability
        self.classes = classes

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        kind: str = "mask",
        labels: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the stability that a fitted cross-validated estimator found.

        Parameters
        ----------
        estimator : object
            A fitted ``PrunedClassifierCV`` or ``PrunedRegressorCV``, or a ``Pipeline`` that ends in
            one.
        kind : {"mask", "churn", "recall_change"}, default="mask"
            What is drawn; see :meth:`plot`.
        labels : sequence of str, default=None
            Names of the strategies, in the order of ``stability_``; None are the strategies
            themselves, shortened to what tells them apart.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : StabilityDisplay
            The picture.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator has no such kind, or `labels` are not one a strategy.
        """
        search = search_in(estimator, "stability_")
        names = relabelled(short_labels(list(search.stability_)), labels).values()
        return cls(
            stability=dict(zip(names, search.stability_.values(), strict=True)),
            classes=getattr(search, "classes_", None),
        ).plot(ax, kind=kind)

    def plot(self, ax: Any = None, *, kind: str = "mask") -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.
        kind : {"mask", "churn", "recall_change"}, default="mask"
            What is drawn: how much the masks of the folds agree (1: the same, 0: as by chance), on
            which fraction of the rows the pruned network's predictions differ from the dense
            network's, or what pruning adds to the recall of a class. The last has a line for each
            class (for the ten that lose most, if there are more); with several strategies it has a
            line for each strategy, of the class that loses most at each sparsity.

        Returns
        -------
        self : StabilityDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no such kind; a regressor has no recall.
        """
        known = [k for k in _KINDS if all(k in found for found in self.stability.values())]
        if kind not in known:
            raise ValueError(
                f"Unknown kind {kind!r}.{near_match(kind, known)} Known: "
                f"{', '.join(map(repr, known))}."
            )
        title, lines = self._lines(kind)
        ax = axes_for(ax, self, figsize_for(len(lines)))
        self.ax_, self.figure_ = ax, ax.figure
        extra = extra_widths(list(lines.values()))
        self.lines_, self.bands_ = {}, {}
        for number, (label, (x, y)) in enumerate(lines.items()):
            look, order = look_of(number, extra[number]), np.argsort(x)
            self.lines_[label] = ax.plot(x[order], y[order], label=label, **look)[0]
            if kind == "mask":
                lower, upper = (
                    np.asarray(self.stability[label][key], dtype=float)[order]
                    for key in ("mask_lower", "mask_upper")
                )
                self.bands_[label] = ax.fill_between(
                    x[order], lower, upper, color=look["color"], alpha=0.25
                )
        if kind != "churn":
            ax.axhline(0, color=foreground(), linestyle=":", linewidth=1)
        use_sparsity_axis(ax, np.concatenate([x for x, _ in lines.values()]))
        worst = " (worst class)" if kind == "recall_change" and title is None else ""
        ax.set_ylabel(_KINDS[kind] + worst)
        add_legend(ax, title)
        return self

    def _lines(self, kind: str) -> tuple[str | None, dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Give what each line shows, and a title for the legend where these are classes."""
        values = {
            label: (
                np.asarray(found["sparsity"], dtype=float),
                np.asarray(found[kind], dtype=float),
            )
            for label, found in self.stability.items()
        }
        if kind != "recall_change":
            return None, values
        if len(values) > 1:
            return None, {label: (x, change.min(axis=1)) for label, (x, change) in values.items()}
        ((x, change),) = values.values()
        n_classes = change.shape[1]
        names = range(n_classes) if self.classes is None else self.classes
        losers = np.argsort(change.min(axis=0), kind="stable")[:_N_CLASSES]
        few = n_classes <= _N_CLASSES
        title = "class" if few else f"classes that lose most\n({_N_CLASSES} of {n_classes})"
        shown = sorted(losers) if few else losers
        return title, {str(names[column]): (x, change[:, column]) for column in shown}
