"""Allocations that know no layer by name."""

from skprune.strategies.allocation.base import Allocation
from skprune.strategies.allocation.erk import ERK
from skprune.strategies.allocation.global_ import Global
from skprune.strategies.allocation.sensitivity import Sensitivity
from skprune.strategies.allocation.uniform import Uniform

__all__ = ["ALLOCATIONS"]

ALLOCATIONS: dict[str, type[Allocation]] = {
    "uniform": Uniform,
    "global": Global,
    "erk": ERK,
    "sensitivity": Sensitivity,
}
