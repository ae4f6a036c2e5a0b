"""Predictions that are as fast as the pruned network is."""

from skprune.deployment.chunks import forward_in_chunks

__all__ = ["forward_in_chunks"]
