"""When, and how much? One schedule a file."""

from skprune.strategies.schedule.base import Schedule, Step
from skprune.strategies.schedule.cubic import Cubic
from skprune.strategies.schedule.iterative import Iterative
from skprune.strategies.schedule.one_shot import OneShot

__all__ = ["SCHEDULES", "Cubic", "Iterative", "OneShot", "Schedule", "Step"]

SCHEDULES: dict[str, type[Schedule]] = {
    "one_shot": OneShot,
    "iterative": Iterative,
    "cubic": Cubic,
}
