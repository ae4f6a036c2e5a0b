"""How much is to be pruned: what the user asks for, in numbers of this network."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import ceil, floor

import torch

from skprune._sklearn import InvalidParameterError
from skprune.exceptions import UnreachableSparsityError
from skprune.strategies.allocation import Explicit
from skprune.strategies.schedule import Step
from skprune.strategies.selection import n_removed
from skprune.strategies.strategy import ResolvedStrategy
from skprune.strategies.target import Target
from skprune.structures import Elements

__all__ = [
    "Goal",
    "goal_reached",
    "least_density",
    "resolve_target",
    "rounded_up",
    "steps_to_go",
]

# Digits of a fraction that is to be written down and read again.
_DIGITS = 6


@dataclass(frozen=True)
class Goal:
    """A target in numbers of a network.

    Attributes
    ----------
    quantity : {"elements", "weights", "parameters", "macs", "bytes"}
        What is counted.
    whole : int
        How much the whole network has of it.
    limit : int
        How much is left in the end at the most.
    sparsity : float
        The fraction that is gone then.
    """

    quantity: str
    whole: int
    limit: int
    sparsity: float

    def limit_at(self, sparsity: float) -> int:
        """Say how much is left at the most after a step.

        Parameters
        ----------
        sparsity : float
            The fraction that is gone after the step, of the quantity.

        Returns
        -------
        limit : int
            How much is left; at the target exactly as much as it says.
        """
        if sparsity >= self.sparsity:
            return self.limit
        return max(self.limit, _limit(self.quantity, self.whole, sparsity))

    def gone(self, elements: Elements) -> float:
        """Say which fraction of the quantity is gone by now.

        Parameters
        ----------
        elements : Elements
            What is pruned.

        Returns
        -------
        fraction : float
            In [0, 1).
        """
        return 1 - elements.cost(elements.kept, self.quantity) / self.whole

    def __str__(self) -> str:
        if self.quantity == "elements":
            return f"{self.sparsity:.6g}"
        return f"at most {self.limit:,} {self.quantity}"


def resolve_target(
    elements: Elements, strategy: ResolvedStrategy, target: Target | None
) -> Goal | None:
    """Settle how much is to be pruned.

    Parameters
    ----------
    elements : Elements
        What is to be pruned.
    strategy : ResolvedStrategy
        How it is pruned.
    target : Target or None
        What the user asked for; None for what the structure, the allocation or the regularizer
        means by itself.

    Returns
    -------
    goal : Goal or None
        The target; None if the regularizer decides.

    Raises
    ------
    UnreachableSparsityError
        If some layer would be emptied, or what cannot be removed costs more than is asked for.
    InvalidParameterError
        If the target contradicts the structure, or the strategy cannot hold it.
    ValueError
        If there is no target at all.
    """
    allocation, total = strategy.allocation, elements.n_elements
    own = elements.fixed_sparsity
    if own is not None:
        if target is not None and not _is_own(target, total, own):
            raise InvalidParameterError(
                f"The structure removes {own:.12g} of the weights by itself, and "
                f"{_written(target)} contradicts it. Set sparsity=None."
            )
        return Goal("elements", total, total - n_removed(own, total), own)
    if target is None:
        regularizer = strategy.regularizer
        if regularizer is not None and not isinstance(allocation, Explicit):
            regularizer.check_decides()
            return None
        return _own_goal(elements, strategy)
    if target.budget != "elements":
        return _goal_of_network(elements, strategy, target)
    goal = _goal_in(target, total)
    _check_elements(elements, strategy, _written(target), goal.limit)
    return goal


def _own_goal(elements: Elements, strategy: ResolvedStrategy) -> Goal:
    """Settle what the allocation means by itself, rounded up to what the structure asks for."""
    allocation, total = strategy.allocation, elements.n_elements
    sparsity = allocation.own_target(elements.sizes)
    limits = allocation.limits(elements.sizes, elements.min_kept)
    counts = rounded_up(elements, {name: most for name, (_, most) in limits.items()})
    n_keep = total - n_removed(sparsity, total)
    if (n_rounded := sum(counts.values())) != n_keep:
        n_keep, sparsity = n_rounded, 1 - n_rounded / total
    _check_elements(elements, strategy, f"sparsity={sparsity}", n_keep)
    return Goal("elements", total, n_keep, sparsity)


def goal_reached(elements: Elements) -> Goal:
    """Give the target that has been met by what is left now, as where a regularizer decides.

    Parameters
    ----------
    elements : Elements
        What is pruned.

    Returns
    -------
    goal : Goal
        In elements.
    """
    return Goal("elements", elements.n_elements, elements.n_kept, elements.sparsity)


def _goal_in(target: Target, whole: int) -> Goal:
    if target.sparsity is not None:
        limit = _limit(target.budget, whole, target.sparsity)
        return Goal(target.budget, whole, limit, float(target.sparsity))
    assert target.at_most is not None
    limit = min(floor(target.at_most), whole)
    return Goal(target.budget, whole, limit, 1 - limit / whole)


def _limit(quantity: str, whole: int, sparsity: float) -> int:
    """Say how much a sparsity leaves: the nearest number of elements, at most so much of others."""
    if quantity == "elements":
        return whole - n_removed(sparsity, whole)
    # What a floating-point number cannot say does not count.
    return floor(whole * (1 - Fraction(str(float(sparsity)))) + Fraction(whole, 2**52))


def _is_own(target: Target, total: int, own: float) -> bool:
    return target.budget == "elements" and (
        _goal_in(target, total).limit == total - n_removed(own, total)
    )


def _check_elements(
    elements: Elements, strategy: ResolvedStrategy, asked: str, n_keep: int
) -> None:
    """Raise an error if so many elements cannot be what is kept."""
    allocation, least = strategy.allocation, elements.min_kept
    total, n_layers = elements.n_elements, len(elements.sizes)
    if n_keep < (n_least := sum(least.values())):
        smallest = min(elements.sizes, key=lambda name: elements.sizes[name] - least[name])
        raise UnreachableSparsityError(
            f"{asked} leaves {n_keep} of {total} elements to {n_layers} layers, so "
            f"that one such as {smallest!r} would be emptied. "
            f"The largest reachable sparsity is {1 - n_least / total:.12g}."
        )
    limits = allocation.limits(elements.sizes, least)
    fewest = sum(rounded_up(elements, {n: low for n, (low, _) in limits.items()}).values())
    most = sum(rounded_up(elements, {n: high for n, (_, high) in limits.items()}).values())
    if not fewest <= n_keep <= most:
        raise UnreachableSparsityError(
            f"The allocation {allocation.restricts}, so that the sparsity over all can only be "
            f"between {1 - most / total:.12g} and {1 - fewest / total:.12g}, not "
            f"{1 - n_keep / total:.6g}. Set sparsity=None to let the mapping decide."
        )


def _goal_of_network(elements: Elements, strategy: ResolvedStrategy, target: Target) -> Goal:
    """Settle a target in what the whole network has of something."""
    quantity = target.budget
    whole = elements.cost(_all(elements), quantity)
    if whole == 0:
        raise InvalidParameterError(
            f"The network has no {quantity} that could be counted. Use another budget."
        )
    goal = _goal_in(target, whole)
    limits = strategy.allocation.limits(elements.sizes, elements.min_kept)
    fewest = rounded_up(elements, {name: least for name, (least, _) in limits.items()})
    most = rounded_up(elements, {name: most for name, (_, most) in limits.items()})
    smallest = elements.largest_costs(fewest, quantity)
    largest = sum(elements.largest_costs(most, quantity).values())
    if goal.limit < sum(smallest.values()):
        raise UnreachableSparsityError(
            f"{_written(target)} leaves at most {goal.limit:,} of the network's {whole:,} "
            f"{quantity}. {_in_the_way(elements, strategy, quantity, smallest)} "
            f"{_range(sum(smallest.values()), largest, whole, quantity)}"
        )
    if target.sparsity is not None and goal.limit > largest:
        raise UnreachableSparsityError(
            f"{_written(target)} leaves {goal.limit:,} of the network's {whole:,} {quantity}, and "
            f"the allocation {strategy.allocation.restricts}. "
            f"{_range(sum(smallest.values()), largest, whole, quantity)}"
        )
    layer = None if strategy.regrowth is None else elements.uneven_layer(quantity)
    if layer is not None:
        raise InvalidParameterError(
            f"regrowth={strategy.regrowth!r} exchanges elements of a layer for as many others, and "
            f"those of layer {layer!r} do not all have the same number of {quantity}, so that "
            f"{_written(target)} would not hold. Use budget='elements', or regrowth=None."
        )
    return goal


def _all(elements: Elements) -> dict[str, torch.Tensor]:
    return {name: torch.ones(size, dtype=torch.bool) for name, size in elements.sizes.items()}


def _in_the_way(
    elements: Elements, strategy: ResolvedStrategy, quantity: str, smallest: Mapping[str, int]
) -> str:
    if quantity == "bytes" and elements.removes_by == "mask":
        return (
            "What is masked is stored as zeros, in as many bytes as before. Use structure='unit', "
            "which makes the network smaller, or budget='weights'."
        )
    name = max(smallest, key=lambda layer: smallest[layer])
    return (
        f"What has to stay takes {sum(smallest.values()):,} of them, of which layer "
        f"{name or '(network)'!r} alone takes {smallest[name]:,}."
    )


def _range(smallest: int, largest: int, whole: int, quantity: str) -> str:
    return (
        f"Reachable are {smallest:,} to {largest:,} {quantity}, a sparsity of "
        f"{_down(1 - Fraction(largest, whole))} to {_down(1 - Fraction(smallest, whole))}."
    )


def _down(fraction: Fraction) -> str:
    """Write a fraction in decimals that are not above it."""
    return f"{floor(fraction * 10**_DIGITS) / 10**_DIGITS:.{_DIGITS}g}"


def _written(target: Target) -> str:
    """Write a target as the user gave it."""
    if target.sparsity is None:
        return repr(target)
    budget = "" if target.budget == "elements" else f", budget={target.budget!r}"
    return f"sparsity={target.sparsity}{budget}"


def rounded_up(elements: Elements, counts: Mapping[str, int]) -> dict[str, int]:
    """Round numbers of elements up to what the structure asks for, or to all that are left.

    Parameters
    ----------
    elements : Elements
        What is pruned.
    counts : mapping of str to int
        Number of elements of each layer, no more than are left of it.

    Returns
    -------
    counts : dict of str to int
        By layer.
    """
    step = elements.multiple
    if step == 1:
        return dict(counts)
    return {
        name: min(ceil(count / step) * step, int(elements.kept[name].sum()))
        for name, count in counts.items()
    }


def least_density(elements: Elements, quantity: str) -> float:
    """Say which fraction of a quantity is left at the least.

    Parameters
    ----------
    elements : Elements
        What is to be pruned.
    quantity : {"elements", "weights", "parameters", "macs", "bytes"}
        What is counted.

    Returns
    -------
    density : float
        In (0, 1].
    """
    smallest = sum(elements.largest_costs(elements.min_kept, quantity).values())
    density = smallest / elements.cost(_all(elements), quantity)
    return density if quantity == "elements" else min(ceil(density * 10**_DIGITS) / 10**_DIGITS, 1)


def steps_to_go(elements: Elements, steps: list[Step], goal: Goal) -> list[Step]:
    """Leave out the steps to what is gone already; the others share their epochs in proportion.

    Parameters
    ----------
    elements : Elements
        What is pruned.
    steps : list of Step
        The steps of a schedule.
    goal : Goal
        Where they lead.

    Returns
    -------
    steps : list of Step
        The last one is among them in any case.
    """
    if elements.n_kept == elements.n_elements:
        return steps
    now = elements.cost(elements.kept, goal.quantity)
    left = [step for step in steps if goal.limit_at(step.sparsity) < now] or steps[-1:]
    epochs, weight = sum(step.epochs for step in steps), sum(step.epochs for step in left)
    marks = [round(epochs * m / max(weight, 1)) for m in accumulate(step.epochs for step in left)]
    return [
        Step(step.sparsity, mark - before)
        for step, before, mark in zip(left, [0, *marks], marks, strict=False)
    ]
