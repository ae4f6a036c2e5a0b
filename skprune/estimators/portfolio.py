"""Which strategies a search goes through when the user names none, and which of them to drop."""

from collections.abc import Sequence
from math import ceil

import numpy as np

from skprune.estimators.folds import Fold
from skprune.estimators.path import StrategyPath
from skprune.structures import Elements

__all__ = ["AUTO", "NOT_BEGUN", "PORTFOLIO", "default_strategy", "halved", "n_begun"]

# The name of the portfolio, where a strategy's name would be.
AUTO = "auto"

# The cheap ones first.
PORTFOLIO = ("magnitude", "gradual_magnitude", "hessian", "lottery_ticket")

# What is said of a strategy that there was no time for.
NOT_BEGUN = "not begun: a fold had had its share of max_time"

# The time of a path by `hessian` grows with the network: at 45,400 weights it takes 1.3 times that
# of `magnitude`, at 5,400 only 0.7 times (benchmarks/choose.py --cost).
_MOST_FOR_HESSIAN = 50_000


def default_strategy(elements: Elements, *, own_network: bool) -> str:
    """Name the strategy that is meant where none is named; see ``benchmarks/choose.py``.

    Parameters
    ----------
    elements : Elements
        What can be removed.
    own_network : bool
        Whether the user has brought a module.

    Returns
    -------
    name : str
        The name.
    """
    n_weights = sum(weight.numel() for weight in elements.network.weights.values())
    if own_network or n_weights > _MOST_FOR_HESSIAN or elements.fixed_sparsity is not None:
        return "magnitude"
    return "hessian"


def halved(
    folds: Sequence[Fold], branches: Sequence[StrategyPath], metric: str
) -> tuple[list[Fold], list[StrategyPath]]:
    """Keep the better half of the strategies.

    A strategy is as good as its mean over the path, where what is better than the dense network
    counts as being as good: it is to keep the score far along the path.

    Parameters
    ----------
    folds : sequence of Fold
        What was found until now.
    branches : sequence of StrategyPath
        One for each strategy.
    metric : str
        Name of the metric that decides.

    Returns
    -------
    folds : list of Fold
        The same without the points of those that are dropped.
    branches : list of StrategyPath
        Those that are kept, half of them and at least one, in the same order.
    """
    ends = np.cumsum([len(branch.sparsities) for branch in branches])
    points = [range(end - len(b.sparsities), end) for end, b in zip(ends, branches, strict=True)]
    worth = [
        np.mean(
            [
                min(fold.points[i].scores[metric], fold.dense.scores[metric])
                for fold in folds
                for i in mine
            ]
        )
        for mine in points
    ]
    # Of equally good ones, the cheaper, which come first; what has no score is the worst.
    order = np.argsort(-np.nan_to_num(worth, nan=-np.inf), kind="stable")
    kept = sorted(order[: ceil(len(branches) / 2)].tolist())
    left = [i for number in kept for i in points[number]]
    return [_with_points(fold, left) for fold in folds], [branches[number] for number in kept]


def n_begun(fold: Fold, branches: Sequence[StrategyPath]) -> int:
    """Count the strategies that there was time for on a fold; see :func:`judge_fold`."""
    ends = np.cumsum([len(branch.sparsities) for branch in branches]).tolist()
    return int(ends.index(len(fold.points))) + 1


def _with_points(fold: Fold, numbers: list[int]) -> Fold:
    outcome = fold.outcome
    if outcome is not None:  # it tells of the dense network first
        outcome = outcome.some([0, *(1 + i for i in numbers)])
    return Fold(fold.dense, [fold.points[i] for i in numbers], outcome)
