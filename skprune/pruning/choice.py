"""Which elements are kept."""

from collections.abc import Mapping

import torch
from torch import Tensor

from skprune.strategies.allocation import KeepBudget
from skprune.strategies.selection import keep_best, n_removed
from skprune.strategies.strategy import ResolvedStrategy
from skprune.structures import Elements

__all__ = ["choose", "nonzero"]


def choose(
    elements: Elements,
    strategy: ResolvedStrategy,
    scores: Mapping[str, Tensor],
    sparsity: float,
    target: float,
) -> dict[str, Tensor]:
    """Say which elements are kept by their scores.

    Parameters
    ----------
    elements : Elements
        What can be removed.
    strategy : ResolvedStrategy
        Its allocation says how many each layer keeps.
    scores : mapping of str to Tensor of shape (n_elements,)
        What each element is worth, by layer; minus infinity for one that is gone.
    sparsity : float
        The fraction that is gone afterwards.
    target : float
        The fraction that is gone in the end.

    Returns
    -------
    kept : dict of str to Tensor of bool of shape (n_elements,)
        By layer.
    """
    total = elements.n_elements
    required = elements.must_keep(scores)
    scores = {
        name: score.masked_fill(required[name], torch.inf) if name in required else score
        for name, score in scores.items()
    }
    alive = {name: int((score > -torch.inf).sum()) for name, score in scores.items()}
    counts = strategy.allocation.counts(
        KeepBudget(
            n_keep=min(total - n_removed(sparsity, total), sum(alive.values())),
            n_final=total - n_removed(target, total),
            sizes=elements.sizes,
            shapes=elements.shapes,
            scores=scores,
            alive=alive,
            min_kept=elements.min_kept,
        )
    )
    return {name: keep_best(scores[name], counts[name]) for name in elements.sizes}


def nonzero(elements: Elements) -> dict[str, Tensor]:
    """Say which elements have a weight that is not zero; the best of each layer is kept anyway.

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
    return kept
