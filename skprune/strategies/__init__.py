"""How to prune: the strategy, its axes, and the loop that carries it out."""

from skprune.strategies.allocation import ALLOCATIONS, ERK, Allocation, Explicit, Global, Uniform
from skprune.strategies.importance import (
    IMPORTANCES,
    LAMP,
    Importance,
    Magnitude,
    RandomImportance,
)
from skprune.strategies.named import STRATEGIES
from skprune.strategies.recovery import RECOVERIES, FineTune, Recovery
from skprune.strategies.regrowth import REGROWTHS, Regrowth
from skprune.strategies.regularization import REGULARIZERS, Regularizer
from skprune.strategies.schedule import SCHEDULES, Cubic, Iterative, OneShot, Schedule
from skprune.strategies.strategy import Strategy

__all__ = [
    "ALLOCATIONS",
    "ERK",
    "IMPORTANCES",
    "LAMP",
    "RECOVERIES",
    "REGROWTHS",
    "REGULARIZERS",
    "SCHEDULES",
    "STRATEGIES",
    "Allocation",
    "Cubic",
    "Explicit",
    "FineTune",
    "Global",
    "Importance",
    "Iterative",
    "Magnitude",
    "OneShot",
    "RandomImportance",
    "Recovery",
    "Regrowth",
    "Regularizer",
    "Schedule",
    "Strategy",
    "Uniform",
]
