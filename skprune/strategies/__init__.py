"""How to prune: the strategy, its axes, and the loop that carries it out."""

from skprune.strategies.allocation import ALLOCATIONS, ERK, Allocation, Explicit, Global, Uniform
from skprune.strategies.importance import (
    IMPORTANCES,
    LAMP,
    OBD,
    OBS,
    SNIP,
    APoZ,
    Fisher,
    GraSP,
    Importance,
    LayerOBS,
    Magnitude,
    Movement,
    RandomImportance,
    SynFlow,
    Taylor,
    Wanda,
)
from skprune.strategies.named import STRATEGIES
from skprune.strategies.recovery import RECOVERIES, Distill, FineTune, Recovery, Rewind
from skprune.strategies.regrowth import REGROWTHS, SET, Regrowth, RigL, Splicing
from skprune.strategies.regularization import (
    ADMM,
    L0,
    L1,
    REGULARIZERS,
    GroupLasso,
    Regularizer,
)
from skprune.strategies.schedule import SCHEDULES, Cubic, Iterative, OneShot, Schedule
from skprune.strategies.stage import Stage
from skprune.strategies.strategy import Strategy
from skprune.strategies.target import Target

__all__ = [
    "ADMM",
    "ALLOCATIONS",
    "ERK",
    "IMPORTANCES",
    "L0",
    "L1",
    "LAMP",
    "OBD",
    "OBS",
    "RECOVERIES",
    "REGROWTHS",
    "REGULARIZERS",
    "SCHEDULES",
    "SET",
    "SNIP",
    "STRATEGIES",
    "APoZ",
    "Allocation",
    "Cubic",
    "Distill",
    "Explicit",
    "FineTune",
    "Fisher",
    "Global",
    "GraSP",
    "GroupLasso",
    "Importance",
    "Iterative",
    "LayerOBS",
    "Magnitude",
    "Movement",
    "OneShot",
    "RandomImportance",
    "Recovery",
    "Regrowth",
    "Regularizer",
    "Rewind",
    "RigL",
    "Schedule",
    "Splicing",
    "Stage",
    "Strategy",
    "SynFlow",
    "Target",
    "Taylor",
    "Uniform",
    "Wanda",
]
