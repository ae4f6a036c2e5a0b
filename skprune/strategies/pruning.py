"""The pruning loop: score, allocate, remove, recover, and again."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from skprune.exceptions import UnreachableSparsityError
from skprune.strategies.allocation import Allocation, Demand
from skprune.strategies.importance import Scoring
from skprune.strategies.recovery import Trainer
from skprune.strategies.schedule import Step
from skprune.strategies.selection import keep_best, n_removed
from skprune.strategies.strategy import ResolvedStrategy
from skprune.structures import Elements

__all__ = ["prune", "target_sparsity"]


def target_sparsity(elements: Elements, allocation: Allocation, sparsity: float | None) -> float:
    """Settle what is to be pruned, and how much of it.

    Parameters
    ----------
    elements : Elements
        What can be removed; layers that the allocation leaves alone are taken out.
    allocation : Allocation
        How the target is spread over the layers.
    sparsity : float or None
        What the user asked for; None for what the allocation means by itself.

    Returns
    -------
    sparsity : float
        The target.

    Raises
    ------
    UnreachableSparsityError
        If some layer would be emptied.
    ValueError
        If there is nothing to prune, or no sparsity at all.
    """
    elements.leave_alone(allocation.left_alone(elements, only_named=sparsity is None))
    if not elements.sizes:
        raise ValueError("There is nothing to prune: every layer is protected or left alone.")
    if sparsity is None:
        sparsity = allocation.own_target(elements.sizes)
    total, n_layers = elements.n_elements, len(elements.sizes)
    n_keep = total - n_removed(sparsity, total)
    if n_keep < n_layers:
        smallest = min(elements.sizes, key=elements.sizes.__getitem__)
        raise UnreachableSparsityError(
            f"sparsity={sparsity} leaves {n_keep} of {total} elements to {n_layers} layers, so "
            f"that one such as {smallest!r} would be emptied. "
            f"The largest reachable sparsity is {1 - n_layers / total:.12g}."
        )
    allocation.check(elements.sizes, n_keep)
    return sparsity


def prune(
    elements: Elements,
    strategy: ResolvedStrategy,
    steps: list[Step],
    trainer: Trainer,
    generator: torch.Generator,
    progress: Callable[[list[Step]], Iterable[Step]] = iter,
) -> None:
    """Prune a network step by step, in place.

    Parameters
    ----------
    elements : Elements
        What can be removed.
    strategy : ResolvedStrategy
        How.
    steps : list of Step
        When, and how much; the last one is the target.
    trainer : Trainer
        Trains the network between the steps.
    generator : torch.Generator
        The source of randomness for the scores.
    progress : callable, default=iter
        Wraps the steps, to show how far it has come.
    """
    for step in progress(steps):
        elements.keep(_select(elements, strategy, step, steps[-1].sparsity, generator))
        if step.epochs:
            strategy.recovery.recover(trainer, step.epochs)


def _select(
    elements: Elements,
    strategy: ResolvedStrategy,
    step: Step,
    target: float,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    weights = {name: weight.detach() for name, weight in elements.network.weights.items()}
    scores = strategy.importance.scores(Scoring(weights, elements, generator))
    for name, kept in elements.kept.items():
        score = scores[name].cpu()
        if not torch.isfinite(score[kept]).all():
            raise ValueError(
                f"{strategy.importance!r} gave scores that are not finite in layer {name!r}: its "
                "weights have diverged, or are too large to be squared."
            )
        scores[name] = score.masked_fill(~kept, -torch.inf)
    total = elements.n_elements
    counts = strategy.allocation.counts(
        Demand(
            n_keep=min(total - n_removed(step.sparsity, total), elements.n_kept),
            n_final=total - n_removed(target, total),
            sizes=elements.sizes,
            shapes=elements.shapes,
            scores=scores,
            alive={name: int(kept.sum()) for name, kept in elements.kept.items()},
        )
    )
    return {name: keep_best(scores[name], counts[name]) for name in elements.sizes}
