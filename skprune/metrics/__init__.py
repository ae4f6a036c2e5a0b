"""How large a network is, and what it costs to run."""

from skprune.metrics.groups import UnitGroup, UnitGroups
from skprune.metrics.latency import predict_latency
from skprune.metrics.report import PruningReport
from skprune.metrics.scorers import (
    compression_scorer,
    latency_scorer,
    macs_scorer,
    n_parameters_scorer,
    size_scorer,
    sparsity_scorer,
)
from skprune.metrics.size import count_macs, count_parameters, count_units, size_in_bytes

__all__ = [
    "PruningReport",
    "UnitGroup",
    "UnitGroups",
    "compression_scorer",
    "count_macs",
    "count_parameters",
    "count_units",
    "latency_scorer",
    "macs_scorer",
    "n_parameters_scorer",
    "predict_latency",
    "size_in_bytes",
    "size_scorer",
    "sparsity_scorer",
]
