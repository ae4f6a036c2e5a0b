"""What each feature is worth, as bars or as an image."""

from collections.abc import Sequence
from math import prod
from typing import Any, Self

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skprune.inspection._drawing import COLOURS, axes_for

__all__ = ["FeatureImportanceDisplay"]

_N_FEATURES = 30


class FeatureImportanceDisplay:
    """What each feature is worth, and which are selected.

    Make one by :meth:`from_estimator`.

    Parameters
    ----------
    importances : ndarray of shape (n_features,)
        What each feature is worth.
    support : ndarray of bool of shape (n_features,)
        Which are selected.
    feature_names : sequence of str of length n_features, default=None
        Names of the features; their numbers if None.
    image_shape : sequence of int, default=None
        Height and width of the image that the features make up, or channels, height and width: the
        picture is then that image.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure that it is part of.
    bars_ : matplotlib BarContainer or None
        A bar for each feature; None for an image.
    image_ : matplotlib AxesImage or None
        The image, in which pixels that are not selected are blank; None for bars.

    See Also
    --------
    FeaturePathDisplay : The score against the number of features.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skprune import PrunedFeatureSelector
    >>> from skprune.inspection import FeatureImportanceDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> selector = PrunedFeatureSelector(n_features_to_select=16, random_state=0).fit(X, y)
    >>> display = FeatureImportanceDisplay.from_estimator(selector, image_shape=(8, 8))
    >>> int(display.image_.get_array().count())
    16
    """

    ax_: Any
    figure_: Any

    def __init__(
        self,
        *,
        importances: np.ndarray,
        support: np.ndarray,
        feature_names: Sequence[str] | None = None,
        image_shape: Sequence[int] | None = None,
    ) -> None:
        self.importances = importances
        self.support = support
        self.feature_names = feature_names
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Sequence[str] | None = None,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw what a fitted selector found.

        Parameters
        ----------
        estimator : object
            A fitted ``PrunedFeatureSelector`` or ``PrunedFeatureSelectorCV``, or a ``Pipeline``
            that ends in one.
        feature_names : sequence of str, default=None
            Names of the features; those that X had in the fit if None.
        image_shape : sequence of int, default=None
            Height and width of the image that the features make up, or channels, height and width.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : FeatureImportanceDisplay
            The picture.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is no selector.
        ValueError
            If the features do not make up such an image.
        """
        while isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        if not hasattr(estimator, "importances_"):
            check_is_fitted(estimator)
            raise TypeError(
                f"{type(estimator).__name__} has no importances_. PrunedFeatureSelector and "
                "PrunedFeatureSelectorCV have it."
            )
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        return cls(
            importances=estimator.importances_,
            support=estimator.get_support(),
            feature_names=feature_names,
            image_shape=image_shape,
        ).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        self : FeatureImportanceDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the features do not make up an image of `image_shape`.
        """
        n_selected, n_all = int(self.support.sum()), len(self.support)
        image = None if self.image_shape is None else self._image(self.image_shape)
        ax = axes_for(ax, self)
        self.ax_, self.figure_ = ax, ax.figure
        self.bars_ = self.image_ = None
        if image is None:
            self._plot_bars(ax)
        else:
            self.image_ = ax.imshow(image, cmap="viridis", vmin=0)
            self.figure_.colorbar(self.image_, ax=ax, label="Importance")
            ax.set(xticks=[], yticks=[])
        ax.set_title(f"{n_selected:,} of {n_all:,} features selected")
        return self

    def _plot_bars(self, ax: Any) -> None:
        from matplotlib.patches import Patch

        # What is selected comes first, whatever it is worth.
        order = np.lexsort((-self.importances, ~self.support))[:_N_FEATURES]
        names = self.feature_names
        labels = [str(i if names is None else names[i]) for i in order]
        colours = [COLOURS[0] if self.support[i] else COLOURS[4] for i in order]
        places = range(len(order))
        self.bars_ = ax.barh(places, self.importances[order], color=colours)
        ax.set_yticks(places, labels)
        ax.invert_yaxis()
        n_all = len(self.support)
        few = "Feature" if len(order) == n_all else f"Feature (first {len(order)} of {n_all})"
        ax.set(xlabel="Importance", ylabel=few)
        shown = {"selected": COLOURS[0], "removed": COLOURS[4]}
        ax.legend(handles=[Patch(color=colour, label=label) for label, colour in shown.items()])

    def _image(self, shape: Sequence[int]) -> np.ndarray:
        if len(shape) not in (2, 3) or min(shape) < 1 or prod(shape) != len(self.support):
            raise ValueError(
                f"image_shape={tuple(shape)} does not fit {len(self.support)} features: give the "
                "height and width of the image, or its channels, height and width."
            )
        values = np.where(self.support, self.importances, 0.0).reshape(shape)
        support: Any = self.support.reshape(shape)
        if len(shape) == 3:
            values, support = values.sum(axis=0), support.any(axis=0)
        return np.ma.masked_array(values, ~support)
