"""Which elements are kept."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from skprune.pruning.target import Goal, rounded_up
from skprune.strategies.allocation import KeepBudget
from skprune.strategies.selection import keep_best
from skprune.strategies.strategy import ResolvedStrategy
from skprune.structures import Elements

__all__ = ["choose", "nonzero"]


def choose(
    elements: Elements,
    strategy: ResolvedStrategy,
    scores: Mapping[str, Tensor],
    sparsity: float,
    goal: Goal,
) -> dict[str, Tensor]:
    """Say which elements are kept by their scores.

    As many are kept as cost at most what the step leaves, while one more, the next in the order of
    the allocation, would cost more.

    Parameters
    ----------
    elements : Elements
        What can be removed.
    strategy : ResolvedStrategy
        Its allocation says how many each layer keeps.
    scores : mapping of str to Tensor of shape (n_elements,)
        What each element is worth, by layer; minus infinity for one that is gone.
    sparsity : float
        The fraction that is gone afterwards, of the goal's quantity.
    goal : Goal
        What is to be left in the end.

    Returns
    -------
    kept : dict of str to Tensor of bool of shape (n_elements,)
        By layer.
    """
    ranked = _Ranked(elements, strategy, scores)
    n_final = ranked.n_within(goal.limit, goal.quantity)
    limit = goal.limit_at(sparsity)
    n_keep = n_final if limit == goal.limit else ranked.n_within(limit, goal.quantity, n_final)
    return ranked.kept(n_keep, n_final)


class _Ranked:
    """Elements in the order of what they are worth, to keep any number of the best."""

    def __init__(
        self, elements: Elements, strategy: ResolvedStrategy, scores: Mapping[str, Tensor]
    ) -> None:
        required = elements.must_keep(scores)
        self._scores = {
            name: score.masked_fill(required[name], torch.inf) if name in required else score
            for name, score in scores.items()
        }
        self._alive = {name: int((s > -torch.inf).sum()) for name, s in self._scores.items()}
        self._elements = elements
        self._allocation = strategy.allocation

    def kept(self, n_keep: int, n_final: int) -> dict[str, Tensor]:
        """Say which elements are kept if a number of them are, and another number in the end."""
        counts = self._counts(n_keep, n_final)
        return {name: keep_best(self._scores[name], counts[name]) for name in counts}

    def _counts(self, n_keep: int, n_final: int) -> dict[str, int]:
        elements = self._elements
        counts = self._allocation.counts(
            KeepBudget(
                n_keep=n_keep,
                n_final=n_final,
                sizes=elements.sizes,
                shapes=elements.shapes,
                scores=self._scores,
                alive=self._alive,
                min_kept=elements.min_kept,
            )
        )
        return rounded_up(elements, {name: counts[name] for name in elements.sizes})

    def n_within(self, limit: int, quantity: str, n_final: int | None = None) -> int:
        """Find a number of elements that cost at most a limit, while one more would cost more.

        Without `n_final`, the elements are those that are kept in the end.
        """
        elements, alive = self._elements, sum(self._alive.values())
        if quantity == "elements" and elements.multiple == 1:
            return min(limit, alive)

        # Where one element costs what another does, it does not matter which are kept.
        all_alike = elements.removes_by == "mask" and elements.uneven_layer(quantity) is None

        def cost(n_keep: int) -> int:
            n_last = n_keep if n_final is None else n_final
            if all_alike:
                counts = self._counts(n_keep, n_last)
                return sum(elements.largest_costs(counts, quantity).values())
            return elements.cost(self.kept(n_keep, n_last), quantity)

        if n_final is not None:
            return _last(cost, limit, n_final, alive)
        limits = self._allocation.limits(elements.sizes, elements.min_kept)
        fewest = sum(least for least, _ in limits.values())
        most = sum(min(most, self._alive[name]) for name, (_, most) in limits.items())
        return _last(cost, limit, fewest, most)


def _last(cost: Callable[[int], int], limit: int, low: int, high: int) -> int:
    """Find a number that costs at most a limit while the next costs more; the last if none does.

    `low` does not cost more. Costs grow nearly in proportion, so it looks on both sides of where
    the limit would then be, and in the middle where that has not helped.
    """
    if low >= high or (above := cost(high)) <= limit:
        return high
    below = cost(low)
    while (width := high - low) > 1:
        expected = low + round(width * (limit - below) / (above - below))
        margin = width // 1024
        for look_at in (expected - margin, expected + margin + 1, None):
            if high - low == 1 or (look_at is None and high - low <= width // 2):
                break
            number = (low + high) // 2 if look_at is None else min(max(look_at, low + 1), high - 1)
            if (costs := cost(number)) <= limit:
                low, below = number, costs
            else:
                high, above = number, costs
    return low


def nonzero(elements: Elements) -> dict[str, Tensor]:
    """Say which elements have a weight that is not zero.

    The best of each layer is kept anyway, and others where the structure rounds their number up.

    Parameters
    ----------
    elements : Elements
        What can be removed.

    Returns
    -------
    kept : dict of str to Tensor of bool of shape (n_elements,)
        By layer.
    """
    weights = {name: weight.detach().square() for name, weight in elements.network.weights.items()}
    totals = {name: total.cpu() for name, total in elements.sum_by_element(weights).items()}
    required = elements.must_keep(totals)
    kept = {}
    for name, total in totals.items():
        kept[name] = total > 0
        kept[name][total.argmax()] = True
        if name in required:
            kept[name] |= required[name]
    counts = rounded_up(elements, {name: int(mask.sum()) for name, mask in kept.items()})
    return {
        name: keep_best(
            totals[name]
            .masked_fill(kept[name], torch.inf)
            .masked_fill(~elements.kept[name], -torch.inf),
            counts[name],
        )
        for name in kept
    }
