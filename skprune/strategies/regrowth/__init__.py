"""May removed weights come back? One regrowth a file."""

from skprune.strategies.regrowth.base import Regrowth, Span
from skprune.strategies.regrowth.rigl import RigL
from skprune.strategies.regrowth.set import SET
from skprune.strategies.regrowth.splicing import Splicing

__all__ = ["REGROWTHS", "SET", "Regrowth", "RigL", "Span", "Splicing"]

REGROWTHS: dict[str, type[Regrowth]] = {"set": SET, "rigl": RigL, "splicing": Splicing}
