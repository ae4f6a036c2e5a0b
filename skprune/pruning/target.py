"""How much is to be pruned."""

from skprune._sklearn import InvalidParameterError
from skprune.exceptions import UnreachableSparsityError
from skprune.strategies.allocation import Explicit
from skprune.strategies.selection import n_removed
from skprune.strategies.strategy import ResolvedStrategy
from skprune.structures import Elements

__all__ = ["target_sparsity"]


def target_sparsity(
    elements: Elements, strategy: ResolvedStrategy, sparsity: float | None
) -> float | None:
    """Settle how much is to be pruned.

    Parameters
    ----------
    elements : Elements
        What is to be pruned.
    strategy : ResolvedStrategy
        How it is pruned.
    sparsity : float or None
        What the user asked for; None for what the structure, the allocation or the regularizer
        means by itself.

    Returns
    -------
    sparsity : float or None
        The target; None if the regularizer decides.

    Raises
    ------
    UnreachableSparsityError
        If some layer would be emptied.
    InvalidParameterError
        If the sparsity contradicts the structure.
    ValueError
        If there is no sparsity at all.
    """
    allocation = strategy.allocation
    total, n_layers = elements.n_elements, len(elements.sizes)
    own = elements.fixed_sparsity
    if own is not None:
        if sparsity is not None and n_removed(sparsity, total) != n_removed(own, total):
            raise InvalidParameterError(
                f"The structure removes {own:.12g} of the weights by itself, and "
                f"sparsity={sparsity} contradicts it. Set sparsity=None."
            )
        sparsity = own
    elif sparsity is None:
        regularizer = strategy.regularizer
        if regularizer is not None and not isinstance(allocation, Explicit):
            regularizer.check_decides()
            return None
        sparsity = allocation.own_target(elements.sizes)
    n_keep, least = total - n_removed(sparsity, total), elements.min_kept
    if n_keep < (n_least := sum(least.values())):
        smallest = min(elements.sizes, key=lambda name: elements.sizes[name] - least[name])
        raise UnreachableSparsityError(
            f"sparsity={sparsity} leaves {n_keep} of {total} elements to {n_layers} layers, so "
            f"that one such as {smallest!r} would be emptied. "
            f"The largest reachable sparsity is {1 - n_least / total:.12g}."
        )
    allocation.check(elements.sizes, n_keep, least)
    return sparsity
