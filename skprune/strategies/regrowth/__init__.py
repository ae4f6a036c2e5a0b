"""May removed weights come back? One regrowth a file."""

from skprune.strategies.regrowth.base import Regrowth, Span

__all__ = ["REGROWTHS", "Regrowth", "Span"]

REGROWTHS: dict[str, type[Regrowth]] = {}
