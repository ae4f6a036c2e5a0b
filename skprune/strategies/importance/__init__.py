"""What is a weight worth? One importance a file."""

from skprune.strategies.importance.base import Importance, Judgement, Scoring
from skprune.strategies.importance.lamp import LAMP
from skprune.strategies.importance.magnitude import Magnitude
from skprune.strategies.importance.random import RandomImportance

__all__ = [
    "IMPORTANCES",
    "LAMP",
    "Importance",
    "Judgement",
    "Magnitude",
    "RandomImportance",
    "Scoring",
]

IMPORTANCES: dict[str, type[Importance]] = {
    "random": RandomImportance,
    "magnitude": Magnitude,
    "lamp": LAMP,
}
