"""What is removed together? One structure a file."""

from skprune.structures.base import Elements, Structure
from skprune.structures.unit import Unit
from skprune.structures.weight import Weight

__all__ = ["STRUCTURES", "Elements", "Structure", "Unit", "Weight"]

STRUCTURES: dict[str, type[Structure]] = {"weight": Weight, "unit": Unit}
