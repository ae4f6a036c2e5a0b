"""What skprune knows of layers: a class for each type, registered; users can add their own."""

from skprune.network.layers import (  # noqa: F401  each registers the types that it is about
    activation,
    attention,
    convolution,
    embedding,
    linear,
    norm,
    recurrent,
)
from skprune.network.layers.base import ChannelAxis, Count, Layer, Side
from skprune.network.layers.parameters import layer_of, weight_normed, weight_parameters
from skprune.network.layers.registry import layer_for, register_layer

__all__ = [
    "ChannelAxis",
    "Count",
    "Layer",
    "Side",
    "layer_for",
    "layer_of",
    "register_layer",
    "weight_normed",
    "weight_parameters",
]
