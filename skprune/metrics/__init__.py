"""How large a network is, and what it costs to run."""

from skprune.metrics.latency import predict_latency
from skprune.metrics.report import PruningReport
from skprune.metrics.size import count_macs, count_parameters, count_units, size_in_bytes

__all__ = [
    "PruningReport",
    "count_macs",
    "count_parameters",
    "count_units",
    "predict_latency",
    "size_in_bytes",
]
