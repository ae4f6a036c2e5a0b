"""Follows channels through a network, from operation to operation, by labels."""

from skprune.network.tracing.trace import trace_units

__all__ = ["trace_units"]
