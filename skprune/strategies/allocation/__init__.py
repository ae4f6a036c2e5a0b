"""How is the target spread over the layers? One allocation a file."""

from skprune.strategies.allocation.base import Allocation, KeepBudget
from skprune.strategies.allocation.erk import ERK
from skprune.strategies.allocation.explicit import Explicit
from skprune.strategies.allocation.global_ import Global
from skprune.strategies.allocation.named import ALLOCATIONS
from skprune.strategies.allocation.sensitivity import Sensitivity
from skprune.strategies.allocation.uniform import Uniform

__all__ = [
    "ALLOCATIONS",
    "ERK",
    "Allocation",
    "Explicit",
    "Global",
    "KeepBudget",
    "Sensitivity",
    "Uniform",
]
