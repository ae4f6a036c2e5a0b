"""What restores the accuracy? One recovery a file."""

from skprune.strategies.recovery.base import FillIn, Recovery
from skprune.strategies.recovery.distill import Distill
from skprune.strategies.recovery.fine_tune import FineTune
from skprune.strategies.recovery.rewind import Rewind

__all__ = ["RECOVERIES", "Distill", "FillIn", "FineTune", "Recovery", "Rewind"]

RECOVERIES: dict[str, type[Recovery]] = {
    "fine_tune": FineTune,
    "rewind": Rewind,
    "distill": Distill,
}
