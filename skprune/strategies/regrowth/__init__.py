"""May removed weights come back? One regrowth a file."""

from skprune.strategies.regrowth.base import Regrowth, StageSpan
from skprune.strategies.regrowth.rigl import RigL
from skprune.strategies.regrowth.set import SET
from skprune.strategies.regrowth.splicing import Splicing

__all__ = ["REGROWTHS", "SET", "Regrowth", "RigL", "Splicing", "StageSpan"]

REGROWTHS: dict[str, type[Regrowth]] = {"set": SET, "rigl": RigL, "splicing": Splicing}
