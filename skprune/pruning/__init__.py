"""The engine of pruning, which knows torch and the strategies, and no skorch."""

from skprune.pruning.prune import prune
from skprune.pruning.pruner import PrunedModule, Pruner

__all__ = ["PrunedModule", "Pruner", "prune"]
