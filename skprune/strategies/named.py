"""The named strategies: each row a point in the space of the axes."""

from collections.abc import Callable

from skprune.strategies.schedule import Iterative
from skprune.strategies.strategy import Strategy

__all__ = ["STRATEGIES"]

# Functions, so that no two estimators share a component that one of them may set parameters of.
STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "random": lambda: Strategy("random", "uniform"),
    # Magnitude.
    "magnitude": Strategy,
    "lamp": lambda: Strategy("lamp", "global"),
    "iterative_magnitude": lambda: Strategy(schedule="iterative"),
    "gradual_magnitude": lambda: Strategy(schedule="cubic"),
    # Sparse optimisation.
    "sparse_optimization": lambda: Strategy(schedule="cubic", regularizer="group_lasso"),
    "admm": lambda: Strategy(schedule="cubic", regularizer="admm"),
    "l0": lambda: Strategy(schedule="cubic", regularizer="l0"),
    # Gradients.
    "gradient": lambda: Strategy("taylor", schedule="cubic"),
    # The weights of a network that is trained already hardly move any more.
    "movement": lambda: Strategy("movement", start="init"),
    # The Hessian.
    "hessian": lambda: Strategy("obs", "global", Iterative(20)),
    "layer_obs": lambda: Strategy("layer_obs", schedule="cubic"),
    # Dynamic.
    "dynamic": lambda: Strategy(schedule="cubic", regrowth="rigl"),
    "splicing": lambda: Strategy(regrowth="splicing"),
    "set": lambda: Strategy("random", start="init", regrowth="set"),
    "rigl": lambda: Strategy("random", start="init", regrowth="rigl"),
    # Knowledge transfer.
    "distillation": lambda: Strategy(schedule="cubic", recovery="distill"),
    # Lottery tickets: as many epochs of training after each step.
    "lottery_ticket": lambda: Strategy(schedule=Iterative(5, end=0.8), recovery="rewind"),
    # Early in the training.
    "early_bird": lambda: Strategy(start="early"),
    # Before training.
    "random_at_init": lambda: Strategy("random", start="init"),
    "snip": lambda: Strategy("snip", "global", start="init"),
    "grasp": lambda: Strategy("grasp", "global", start="init"),
    "synflow": lambda: Strategy("synflow", "global", Iterative(100, end=0.0), start="init"),
}
