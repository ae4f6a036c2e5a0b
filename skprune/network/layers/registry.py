"""Which class answers for which type of layer."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from skprune.network.layers.base import Layer

__all__ = ["layer_for", "register_layer"]

_Maker = TypeVar("_Maker", bound=Callable[[Any], Layer])

_REGISTERED: dict[type[nn.Module], Callable[[Any], Layer]] = {}


def register_layer(*types: type[nn.Module]) -> Callable[[_Maker], _Maker]:
    """Tell skprune of a type of layer, so that its units can be pruned.

    Parameters
    ----------
    *types : type of nn.Module
        The types; subclasses count, unless they are registered themselves.

    Returns
    -------
    decorator : callable
        For a subclass of :class:`Layer`, or a function that makes one of a module.

    Raises
    ------
    TypeError
        If something is no type of module, if what is decorated makes no layers, or if a class has
        input rows and a weight whose first dimension is not that of the outputs.

    Examples
    --------
    A layer with a weight of its own, and a gain for each output:

    >>> import torch
    >>> from torch import nn
    >>> from skprune.network import Layer, register_layer
    >>> from skprune.network.layers import layer_for
    >>> class Gained(nn.Module):
    ...     def __init__(self, n_inputs, n_outputs):
    ...         super().__init__()
    ...         self.n_inputs, self.n_outputs = n_inputs, n_outputs
    ...         self.table = nn.Parameter(torch.randn(n_inputs, n_outputs))
    ...         self.gain = nn.Parameter(torch.ones(n_outputs))
    ...
    ...     def forward(self, X):
    ...         return X @ self.table * self.gain
    >>> @register_layer(Gained)
    ... class GainedLayer(Layer):
    ...     out_axes, out_widths = {"table": 1, "gain": 0}, ("n_outputs",)
    ...     in_axes, in_widths = {"table": 0}, ("n_inputs",)
    ...     has_weights = True
    ...     channels_last = True
    >>> layer_for(Gained(4, 8)).n_channels("out")
    8
    """
    for kind in types:
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise TypeError(f"register_layer takes types of torch.nn.Module; got {kind!r}.")

    def register(maker: _Maker) -> _Maker:
        if not callable(maker):
            raise TypeError(
                "register_layer decorates a subclass of Layer, or a function that makes one of a "
                f"module; got {maker!r}."
            )
        if isinstance(maker, type) and issubclass(maker, Layer):
            _check_rows(maker)
        _REGISTERED.update(dict.fromkeys(types, maker))
        return maker

    return register


def _check_rows(kind: type[Layer]) -> None:
    """Raise an error if a layer has rows of inputs, and a weight without rows of outputs."""
    for name in kind.out_axes.keys() & (kind.in_axes or {}).keys():
        if (kind.has_input_rows or kind.multiplies_rows) and kind.out_axes[name] != 0:
            raise TypeError(
                f"{kind.__name__} sets has_input_rows or multiplies_rows, for which the outputs "
                f"have to be dimension 0 of {name!r}; out_axes says {kind.out_axes[name]}. Leave "
                "these out, or turn the parameter round."
            )


def layer_for(module: Any) -> Layer:
    """Give what is known of a layer.

    Parameters
    ----------
    module : nn.Module
        The layer.

    Returns
    -------
    layer : Layer
        Of the class that is registered for its type, or for the nearest type above it.

    Raises
    ------
    TypeError
        If the module has no such tensor or attribute as the class says.
    """
    for kind in type(module).__mro__:
        if kind in _REGISTERED:
            layer = _REGISTERED[kind](module)
            if kind is type(module):  # a subclass may do without
                _check_names(layer)
            return layer
    return Layer(module)


def _check_names(layer: Layer) -> None:
    """Raise an error if a class names what the module does not have."""
    axes = (*layer.out_axes, *(layer.in_axes or ()))
    for name in (*axes, *layer.out_widths, *layer.in_widths):
        if not hasattr(layer.module, name):
            place = "_axes" if name in axes else "_widths"
            raise TypeError(
                f"{type(layer).__name__} is registered for {type(layer.module).__name__}, which "
                f"has no {name!r}. Let out{place} and in{place} name what it has."
            )
