"""What pruning took from each layer of a network."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skprune.components import near_match
from skprune.inspection._drawing import COLOURS, axes_for, foreground
from skprune.metrics.scorers import pruned_part

__all__ = ["LayerSparsityDisplay"]

_QUANTITIES = {
    "weights": "Weights",
    "units": "Units",
    "parameters": "Parameters",
    "macs": "Multiply-accumulates",
    "bytes": "Bytes",
}


class LayerSparsityDisplay:
    """The sparsity of each layer, and how much is left of it.

    Make one by :meth:`from_estimator`.

    Parameters
    ----------
    before, after : dict of str to int
        What each layer had and what it has left, by the layer's name, in the network's order.
    kept : dict of str to int, default=None
        What the strategy kept of each layer. It is more than is left where units have died.
    quantity : str, default="weights"
        What is counted.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure that it is part of.
    bars_ : matplotlib BarContainer
        What is gone of each layer.
    dead_bars_ : matplotlib BarContainer or None
        What is gone although the strategy kept it: the weights of units that died.
    total_line_ : matplotlib Line2D
        The sparsity of the whole network.

    See Also
    --------
    MaskDisplay : Which weights of a layer are left.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier
    >>> from skprune.inspection import LayerSparsityDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> pruned = PrunedClassifier(sparsity=0.5, random_state=0).fit(X, y)
    >>> display = LayerSparsityDisplay.from_estimator(pruned)
    >>> list(display.before)
    ['hidden0', 'output']
    """

    ax_: Any
    figure_: Any

    def __init__(
        self,
        *,
        before: Mapping[str, int],
        after: Mapping[str, int],
        kept: Mapping[str, int] | None = None,
        quantity: str = "weights",
    ) -> None:
        self.before = before
        self.after = after
        self.kept = kept
        self.quantity = quantity

    @classmethod
    def from_estimator(cls, estimator: Any, *, quantity: str = "weights", ax: Any = None) -> Self:
        """Draw what pruning took from the layers of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted pruned estimator, by itself, at the end of a ``Pipeline``, or inside a search.
        quantity : {"weights", "units", "parameters", "macs", "bytes"}, default="weights"
            What is counted. Layers that have none are left out.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : LayerSparsityDisplay
            The picture.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If there is no such quantity.
        """
        if quantity not in _QUANTITIES:
            raise ValueError(
                f"Unknown quantity {quantity!r}.{near_match(quantity, _QUANTITIES)} Known: "
                f"{', '.join(map(repr, _QUANTITIES))}."
            )
        check_is_fitted(estimator)
        pruned = pruned_part(estimator)
        report = pruned.report_
        before = {name: getattr(size, quantity) for name, size in report.before.items()}
        before = {name: count for name, count in before.items() if count}
        after = {name: getattr(report.after[name], quantity) for name in before}
        kept = None
        if quantity == "weights":
            kept = dict.fromkeys(before, 0)
            for name, mask in pruned.masks_.items():
                kept[_layer_with(name, before)] += int(mask.sum())
        return cls(before=before, after=after, kept=kept, quantity=quantity).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to draw on; a new figure, as high as the network is deep, if None.

        Returns
        -------
        self : LayerSparsityDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        names = list(self.before)
        ax = axes_for(ax, self, figsize=(6.4, max(2.4, 1.6 + 0.32 * len(names))))
        self.ax_, self.figure_ = ax, ax.figure
        before = np.array([self.before[name] for name in names], dtype=float)
        after = np.array([self.after[name] for name in names], dtype=float)
        kept = after if self.kept is None else np.array([self.kept[name] for name in names])
        rows = np.arange(len(names))
        self.bars_ = ax.barh(rows, 1 - kept / before, color=COLOURS[0], label="pruned")
        self.dead_bars_ = None
        if (kept > after).any():
            self.dead_bars_ = ax.barh(
                rows,
                (kept - after) / before,
                left=1 - kept / before,
                color=COLOURS[5],
                label="on dead units",
            )
        self.total_line_ = ax.axvline(
            1 - after.sum() / before.sum(),
            color=foreground(),
            linestyle=":",
            label="whole network",
        )
        ax.set_yticks(rows, [name or "(network)" for name in names])
        ax.set_ylim(len(names) - 0.4, -0.6)
        right = ax.secondary_yaxis("right")
        right.set_yticks(
            rows, [f"{a:,.0f} of {b:,.0f}" for a, b in zip(after, before, strict=True)]
        )
        right.tick_params(length=0)
        ax.set_xlim(0, 1)
        ax.set_xlabel("Sparsity")
        right.set_ylabel(f"{_QUANTITIES.get(self.quantity, self.quantity)} left")
        # Below, where it is in the way of no title.
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, frameon=False)
        return self


def _layer_with(parameter: str, layers: Mapping[str, int]) -> str:
    """Name the layer that a parameter is part of, its submodules included."""
    owners = (name for name in layers if not name or parameter.startswith(f"{name}."))
    return max(owners, key=len)
