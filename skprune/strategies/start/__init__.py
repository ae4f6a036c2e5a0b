"""From which weights is the network pruned? One start a file."""

from skprune.strategies.start.base import Start
from skprune.strategies.start.early import Early
from skprune.strategies.start.init import Init
from skprune.strategies.start.trained import Trained

__all__ = ["STARTS", "Early", "Init", "Start", "Trained"]

STARTS: dict[str, type[Start]] = {
    "trained": Trained,
    "init": Init,
    "early": Early,
}
