"""What hurts the loss least goes first, as is measured layer by layer."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from itertools import pairwise
from numbers import Integral
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.allocation.base import Allocation, KeepBudget, divide
from skprune.strategies.samples import Batch, Samples
from skprune.strategies.selection import keep_best
from skprune.structures import Elements

__all__ = ["Piece", "Sensitivity", "convex_pieces"]


class Piece(NamedTuple):
    """Elements of a layer that go one after the other, each for the same rise of the loss.

    Attributes
    ----------
    layer : str
        The layer.
    n_elements : int
        How many they are.
    rise : float
        By how much each of them raises the loss.
    """

    layer: str
    n_elements: int
    rise: float


class Sensitivity(Allocation):
    """Layers whose elements the loss misses least are pruned most.

    Before each step, the loss on some rows is measured without the least important elements of one
    layer alone, for several numbers of them, layer by layer. The rises of the loss are then taken
    to add up: of all ways to meet the target, that one is chosen whose sum is the smallest. Where
    the target is a budget, such as ``"macs"``, a rise counts by what is saved for it. The rows are
    gone through `n_points` times for each layer.

    Parameters
    ----------
    n_points : int, default=8
        At how many numbers of elements the loss is measured in each layer.
    n_samples : int, default=1000
        Number of rows, at the most.

    Notes
    -----
    Between the numbers of elements at which the loss was measured, it is taken to rise evenly, and
    where it rises more slowly after having risen fast, along the lower convex hull. Where there is
    nothing measured, as for the projections of ``regularizer="admm"``, it divides like
    ``"uniform"``.

    References
    ----------
    Han, S., Pool, J., Tran, J., & Dally, W. (2015). Learning both weights and connections for
    efficient neural networks. Advances in Neural Information Processing Systems 28. (Figure 6)

    Frantar, E., & Alistarh, D. (2022). SPDY: accurate pruning with speedup guarantees.
    International Conference on Machine Learning.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(strategy=Strategy(allocation="sensitivity"))
    PrunedClassifier(strategy=Strategy(allocation='sensitivity'))
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_points": [Interval(Integral, 1, None, closed="left")],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
    }

    _pieces: Sequence[Piece] | None = None
    _alive: Mapping[str, int]

    def __init__(self, n_points: int = 8, n_samples: int = 1000) -> None:
        self.n_points = n_points
        self.n_samples = n_samples

    def measured(
        self,
        elements: Elements,
        scores: Mapping[str, Tensor],
        samples: Samples,
        generator: torch.Generator,
        quantity: str,
    ) -> "Sensitivity":
        """Measure what the loss misses of each layer; see :class:`Allocation`."""
        batches = list(samples.batches(self.n_samples, generator))
        alive = {name: score > -torch.inf for name, score in scores.items()}
        dense = _loss(elements, alive, samples, batches)
        saved = _saved(elements, alive, quantity)
        pieces: list[Piece] = []
        for name, mask in alive.items():
            n_alive, n_least = int(mask.sum()), min(int(mask.sum()), elements.min_kept[name])
            gone = np.unique(np.linspace(0, n_alive - n_least, self.n_points + 1).round()).astype(
                int
            )
            rises = [0.0]
            for count in gone[1:].tolist():
                kept = keep_best(scores[name], n_alive - count)
                rises.append(_loss(elements, {**alive, name: kept}, samples, batches) - dense)
            pieces += [
                piece._replace(rise=piece.rise / saved[name] if saved[name] else np.inf)
                for piece in convex_pieces(name, gone.tolist(), rises)
            ]
        result = copy(self)
        result._pieces = sorted(pieces, key=lambda piece: piece.rise)
        result._alive = {name: int(mask.sum()) for name, mask in alive.items()}
        return result

    def counts(self, budget: KeepBudget) -> dict[str, int]:
        """Say how many elements each layer keeps; see :class:`Allocation`."""
        if self._pieces is None:
            return divide(budget, {name: float(size) for name, size in budget.sizes.items()})
        left = {name: budget.alive[name] for name in budget.sizes}
        # Where a layer may not keep all that it has, some are gone before the rest is divided.
        gone = {name: self._alive[name] - count for name, count in left.items()}
        n_too_many = sum(left.values()) - budget.n_keep
        for piece in self._pieces:
            name = piece.layer
            if name in left:
                n_before = min(gone[name], piece.n_elements)
                gone[name] -= n_before
                spare = left[name] - budget.min_kept[name]
                n_now = min(piece.n_elements - n_before, spare, n_too_many)
                left[name] -= n_now
                n_too_many -= n_now
        return left


def convex_pieces(layer: str, gone: Sequence[int], rises: Sequence[float]) -> Iterator[Piece]:
    """Give the lower convex hull of what the loss was without elements, piece by piece.

    Parameters
    ----------
    layer : str
        The layer.
    gone : sequence of int
        Numbers of elements that are gone, rising from 0.
    rises : sequence of float
        The rise of the loss without them. A fall counts as none, and what is more to lose as no
        less of a rise.

    Yields
    ------
    piece : Piece
        The rises of an element never fall from one piece to the next.

    Examples
    --------
    >>> from skprune.strategies.allocation.sensitivity import convex_pieces
    >>> list(convex_pieces("hidden", [0, 2, 4, 6], [0.0, 1.0, 1.0, 6.0]))
    [Piece(layer='hidden', n_elements=4, rise=0.25), Piece(layer='hidden', n_elements=2, rise=2.5)]
    """
    highest = np.maximum.accumulate(np.nan_to_num(np.asarray(rises, dtype=float), nan=np.inf))
    hull: list[tuple[int, float]] = []
    for point in zip(gone, highest.tolist(), strict=True):
        while len(hull) > 1 and _slope(hull[-2], point) <= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append(point)
    for one, other in pairwise(hull):
        yield Piece(layer, other[0] - one[0], _slope(one, other))


def _slope(one: tuple[int, float], other: tuple[int, float]) -> float:
    return (other[1] - one[1]) / (other[0] - one[0])


def _saved(elements: Elements, alive: Mapping[str, Tensor], quantity: str) -> dict[str, float]:
    """Say what an element of each layer saves on average, if the other layers are as they are."""
    if quantity == "elements":
        return dict.fromkeys(alive, 1.0)
    counts = {name: int(mask.sum()) for name, mask in alive.items()}
    whole = sum(elements.largest_costs(counts, quantity).values())
    saved = {}
    for name, count in counts.items():
        least = min(count, elements.min_kept[name])
        without = sum(elements.largest_costs({**counts, name: least}, quantity).values())
        saved[name] = (whole - without) / (count - least) if count > least else 0.0
    return saved


def _loss(
    elements: Elements,
    kept: Mapping[str, Tensor],
    samples: Samples,
    batches: Sequence[Batch],
) -> float:
    """Compute the mean loss with the weights of all other elements at zero."""
    network = elements.network
    weights = network.weights
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    modes = [(part, part.training) for part in network.module.modules()]
    total = n_rows = 0.0
    with torch.no_grad():
        try:
            network.module.eval()
            for name, factor in elements.expand_to_weights(kept).items():
                weights[name].mul_(factor.to(weights[name]))
            for batch in batches:
                share = len(batch.targets) if batch.weights is None else float(batch.weights.sum())
                total += float(samples.loss(network.module, batch)) * share
                n_rows += share
        finally:
            for name, weight in before.items():
                weights[name].copy_(weight)
            for part, training in modes:
                part.training = training
    return total / n_rows
