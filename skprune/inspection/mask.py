"""Which weights of a layer are left, and to which inputs they go."""

from collections.abc import Sequence
from math import prod
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skprune.components import near_match
from skprune.inspection._drawing import axes_for, two_tones
from skprune.metrics.scorers import pruned_part
from skprune.network.layers import layer_for, layer_of

__all__ = ["MaskDisplay"]


class MaskDisplay:
    """What is left of a layer's weights, as an image.

    Make one by :meth:`from_estimator`.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_outputs, n_inputs, ...)
        True where a weight is kept. Of a convolution the weights of a kernel are counted together.
    layer : str, default=""
        Name of the layer, for the title.
    image_shape : sequence of int, default=None
        Height and width of the image that the inputs make up, or channels, height and width: the
        picture then shows how many weights are kept for each pixel.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure that it is part of.
    image_ : matplotlib AxesImage
        The image.
    colorbar_ : matplotlib Colorbar or None
        What the colours of counts mean; none where a weight is either kept or not.

    See Also
    --------
    LayerSparsityDisplay : How much of each layer is left.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skprune import PrunedClassifier
    >>> from skprune.inspection import MaskDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> pruned = PrunedClassifier(sparsity=0.9, random_state=0).fit(X, y)
    >>> display = MaskDisplay.from_estimator(pruned, "hidden0", image_shape=(8, 8))
    >>> display.mask.shape
    (100, 64)
    >>> display.image_.get_array().shape
    (8, 8)
    """

    ax_: Any
    figure_: Any

    def __init__(
        self, *, mask: np.ndarray, layer: str = "", image_shape: Sequence[int] | None = None
    ) -> None:
        self.mask = mask
        self.layer = layer
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        layer: str,
        *,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw a layer of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted pruned estimator, by itself, at the end of a ``Pipeline``, or inside a search.
        layer : str
            Name of the layer, such as ``"hidden0"``, or of its weight, as in ``masks_``.
        image_shape : sequence of int, default=None
            Height and width of the image that the layer's inputs make up, or channels, height and
            width: the picture then shows how many weights are kept for each pixel.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : MaskDisplay
            The picture.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If there is no such layer, or its inputs do not make up such an image.
        """
        check_is_fitted(estimator)
        pruned = pruned_part(estimator)
        layers = {layer_of(name): name for name in pruned.masks_}
        layer = layer_of(layer)
        if layer not in layers:
            raise ValueError(
                f"The network has no layer {layer!r} with weights.{near_match(layer, layers)} Its "
                f"layers: {', '.join(map(repr, layers))}."
            )
        mask = _outputs_first(pruned.module_, layers[layer], pruned.masks_[layers[layer]])
        return cls(mask=mask, layer=layer, image_shape=image_shape).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        self : MaskDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the layer's inputs do not make up an image of `image_shape`.
        """
        counts = self.mask.sum(axis=tuple(range(2, self.mask.ndim)))  # a kernel's weights together
        most = self.mask[0, 0].size
        if self.image_shape is not None:
            counts, most = _as_image(counts.sum(axis=0), self.image_shape), None
        ax = axes_for(ax, self)
        from matplotlib.ticker import MaxNLocator

        self.ax_, self.figure_ = ax, ax.figure
        self.image_ = ax.imshow(
            counts,
            cmap=two_tones(ax) if most == 1 else "cividis",
            vmin=0,
            vmax=most,
            aspect="auto" if self.image_shape is None else "equal",
        )
        self.colorbar_ = None
        if most != 1:
            where = "in each kernel" if self.image_shape is None else "for each pixel"
            self.colorbar_ = self.figure_.colorbar(
                self.image_, ax=ax, label=f"Weights kept {where}", ticks=MaxNLocator(integer=True)
            )
        if self.image_shape is None:
            ax.set(xlabel="Input", ylabel="Output")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        else:
            ax.set(xticks=[], yticks=[])
        ax.set_title(f"{self.layer}: {self.mask.sum():,} of {self.mask.size:,} weights kept")
        return self


def _outputs_first(module: nn.Module, parameter: str, mask: np.ndarray) -> np.ndarray:
    """Bring the outputs to the front: transposed convolutions and embeddings have inputs there."""
    layer, _, tensor = parameter.rpartition(".")
    axes = layer_for(module.get_submodule(layer)).axes("out")
    dim = next((axis.dim for axis in axes if axis.tensor == tensor), 0)
    return np.moveaxis(mask, dim, 0)


def _as_image(counts: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    if len(shape) not in (2, 3) or min(shape) < 1 or prod(shape) != len(counts):
        raise ValueError(
            f"image_shape={tuple(shape)} does not fit the layer's {len(counts)} inputs: give the "
            "height and width of the image, or its channels, height and width."
        )
    image = counts.reshape(shape)
    return image.sum(axis=0) if image.ndim == 3 else image
