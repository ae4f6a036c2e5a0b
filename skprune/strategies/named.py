"""The named strategies: each row a point in the space of the axes."""

from collections.abc import Callable
from functools import partial

from skprune.strategies.strategy import Strategy

__all__ = ["STRATEGIES"]

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "random": partial(Strategy, importance="random", allocation="uniform"),
    "magnitude": Strategy,
    "lamp": partial(Strategy, importance="lamp", allocation="global"),
    "iterative_magnitude": partial(Strategy, importance="magnitude", schedule="iterative"),
    "gradual_magnitude": partial(Strategy, importance="magnitude", schedule="cubic"),
    "random_at_init": partial(Strategy, importance="random", allocation="erk", start="init"),
}
