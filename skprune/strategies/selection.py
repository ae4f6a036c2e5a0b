"""Keep exactly so many of the best, ties included."""

from fractions import Fraction
from math import floor

import torch
from torch import Tensor

__all__ = ["keep_best", "n_removed", "share_of"]

# So many of the best are found faster by another algorithm.
_FEW = 64


def share_of(number: int, fraction: float) -> Fraction:
    """Give a fraction of a whole number exactly, the fraction as it is written in decimals.

    0.29 of 100 is 29, where floating-point numbers give a little less.

    Examples
    --------
    >>> from skprune.strategies.selection import share_of
    >>> int(share_of(100, 0.29)), int(0.29 * 100)
    (29, 28)
    """
    return Fraction(str(fraction)) * number


def n_removed(sparsity: float, n_elements: int) -> int:
    """Count the elements that a sparsity removes: the nearest whole number, halves upward.

    Examples
    --------
    >>> from skprune.strategies.selection import n_removed
    >>> n_removed(0.25, 10), n_removed(0.29, 50)
    (3, 15)
    """
    return floor(share_of(n_elements, sparsity) + Fraction(1, 2))


def keep_best(scores: Tensor, n_keep: int) -> Tensor:
    """Mark the highest scores; of equal ones, the first.

    Parameters
    ----------
    scores : Tensor of shape (n_elements,)
        Scores without NaN.
    n_keep : int
        How many to keep.

    Returns
    -------
    kept : Tensor of bool of shape (n_elements,)
        Exactly `n_keep` are True.

    Examples
    --------
    >>> import torch
    >>> from skprune.strategies.selection import keep_best
    >>> keep_best(torch.tensor([1.0, 3.0, 1.0, 2.0]), 3)
    tensor([ True,  True, False,  True])
    """
    if n_keep <= 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    if n_keep >= len(scores):
        return torch.ones_like(scores, dtype=torch.bool)
    if n_keep <= _FEW:
        threshold = scores.topk(n_keep).values[-1]
    else:
        threshold = scores.kthvalue(len(scores) - n_keep + 1).values
    kept = scores > threshold
    ties = (scores == threshold).nonzero().flatten()
    kept[ties[: n_keep - int(kept.sum())]] = True
    return kept
