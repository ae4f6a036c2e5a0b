"""Everything that operates on modules: layers, units, masks, compaction."""

from skprune.network.autoencoder import Autoencoder
from skprune.network.layers import Layer, register_layer
from skprune.network.mlp import MLP

__all__ = ["MLP", "Autoencoder", "Layer", "register_layer"]
