"""What restores the accuracy? One recovery a file."""

from skprune.strategies.recovery.base import Recovery, Trainer
from skprune.strategies.recovery.fine_tune import FineTune

__all__ = ["RECOVERIES", "FineTune", "Recovery", "Trainer"]

RECOVERIES: dict[str, type[Recovery]] = {"fine_tune": FineTune}
