"""Everything that operates on modules: layers, units, masks, compaction."""

from skprune.network.mlp import MLP

__all__ = ["MLP"]
