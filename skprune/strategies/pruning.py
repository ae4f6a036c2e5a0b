"""The pruning loop: score, allocate, remove, recover, and again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from math import ceil
from typing import Protocol

import torch
from torch import Tensor

from skprune._sklearn import InvalidParameterError
from skprune.exceptions import UnreachableSparsityError
from skprune.strategies.allocation import Demand, Explicit, Global
from skprune.strategies.importance import Scoring
from skprune.strategies.importance.base import Samples
from skprune.strategies.recovery import Trainer
from skprune.strategies.regrowth import Span
from skprune.strategies.schedule import Step
from skprune.strategies.scoring_progress import TrackedSamples
from skprune.strategies.selection import keep_best, n_removed, share_of
from skprune.strategies.strategy import ResolvedStrategy
from skprune.structures import Elements
from skprune.training.hooks import TrainingHook

__all__ = ["PruningTrainer", "check_epochs", "prune", "settle", "target_sparsity"]


class PruningTrainer(Trainer, Protocol):
    """Trains the network, and knows what it is trained on."""

    @property
    def samples(self) -> Samples:
        """The rows that the network is trained on."""


def settle(elements: Elements, strategy: ResolvedStrategy, *, only_named: bool) -> None:
    """Settle what is to be pruned: layers that the strategy leaves alone are taken out.

    Parameters
    ----------
    elements : Elements
        What can be removed.
    strategy : ResolvedStrategy
        How it is pruned.
    only_named : bool
        Whether layers that an allocation does not name are left alone.

    Raises
    ------
    InvalidParameterError
        If the strategy makes no sense for what is pruned; the message says why.
    ValueError
        If there is nothing to prune.
    """
    if strategy.regrowth is not None and not elements.masked:
        raise InvalidParameterError(
            f"regrowth={strategy.regrowth!r} lets removed elements come back, and what this "
            "structure removes is gone from the network. Use a structure that masks, such as "
            "'weight', or regrowth=None."
        )
    if strategy.regrowth is not None and elements.own_sparsity is not None:
        raise InvalidParameterError(
            f"regrowth={strategy.regrowth!r} exchanges elements anywhere in a layer, and this "
            "structure says how many stay in each group of them. Use structure='weight', or "
            "regrowth=None."
        )
    if elements.own_sparsity is not None and isinstance(strategy.allocation, Explicit):
        raise InvalidParameterError(
            "The structure fixes the sparsity of every layer, and the allocation names others. "
            "Protect the layers that are to keep their weights, and leave allocation out."
        )
    why = strategy.importance.incomparable(elements)
    if why is not None and isinstance(strategy.allocation, Global):
        raise InvalidParameterError(
            f"allocation={strategy.allocation!r} compares the scores of different layers, and "
            f"{why}. Use allocation='erk' or 'uniform', or another importance, such as 'magnitude'."
        )
    elements.leave_alone(strategy.allocation.left_alone(elements, only_named=only_named))
    if not elements.sizes:
        raise ValueError("There is nothing to prune: every layer is protected or left alone.")


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
    own = elements.own_sparsity
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
    n_keep, least = total - n_removed(sparsity, total), elements.least
    if n_keep < (n_least := sum(least.values())):
        smallest = min(elements.sizes, key=lambda name: elements.sizes[name] - least[name])
        raise UnreachableSparsityError(
            f"sparsity={sparsity} leaves {n_keep} of {total} elements to {n_layers} layers, so "
            f"that one such as {smallest!r} would be emptied. "
            f"The largest reachable sparsity is {1 - n_least / total:.12g}."
        )
    allocation.check(elements.sizes, n_keep, least)
    return sparsity


def check_epochs(strategy: ResolvedStrategy, target: float | None, epochs: int) -> None:
    """Raise an error if what a strategy does in training would have no training to do it in.

    Parameters
    ----------
    strategy : ResolvedStrategy
        How the network is pruned.
    target : float or None
        How much; None if the regularizer decides.
    epochs : int
        For how long the network is trained in all.

    Raises
    ------
    InvalidParameterError
        If there are too few epochs; the message says for what.
    """
    if target is None and epochs == 0:
        raise InvalidParameterError(
            f"With sparsity=None it is up to regularizer={strategy.regularizer!r} what is removed. "
            "It finds out by training, and there is none. Set fine_tune_epochs to 1 or more, or "
            "sparsity to a number."
        )
    lead = _lead_epochs(strategy, target, epochs)
    if strategy.regrowth is not None and epochs == lead:
        raise InvalidParameterError(
            f"regrowth={strategy.regrowth!r} lets removed elements come back in the training that "
            f"follows, and there is none: of {epochs} epochs, {lead} come before the pruning. Set "
            "fine_tune_epochs to more, the share of the importance below 1, or regrowth to None."
        )


def prune(
    elements: Elements,
    strategy: ResolvedStrategy,
    target: float | None,
    epochs: int,
    trainer: PruningTrainer,
    generator: torch.Generator,
    progress: Callable[[Sequence[Step]], Iterable[Step]] = iter,
    tell: Callable[[str], object] | None = None,
) -> None:
    """Prune a network step by step, in place.

    Parameters
    ----------
    elements : Elements
        What can be removed.
    strategy : ResolvedStrategy
        How.
    target : float or None
        How much; None to remove what the strategy's regularizer has made zero.
    epochs : int
        For how long the network is trained in all.
    trainer : PruningTrainer
        Trains the network before, between and after the steps.
    generator : torch.Generator
        The source of randomness.
    progress : callable, default=iter
        Wraps the steps, to see how far it has come.
    tell : callable, default=None
        Is told, in a few words, how far a long scoring is.

    Raises
    ------
    InvalidParameterError
        If what the strategy does in training has no epoch; see :func:`check_epochs`.
    """
    check_epochs(strategy, target, epochs)
    importance, regularizer = strategy.importance, strategy.regularizer
    recover = strategy.recovery.begin(trainer)
    observer = importance.observer()
    lead = _lead_epochs(strategy, target, epochs)
    if lead:
        hooks = [] if observer is None else [observer]
        if regularizer is not None:
            project = None if target is None else _projection(elements, strategy, target)
            hooks.append(regularizer.hook(elements, project))
        trainer.train(lead, hooks=hooks)
    epochs -= lead
    if target is None:
        elements.keep(_nonzero(elements))
        steps = [Step(elements.sparsity, epochs)]
    else:
        steps = _steps_to_go(elements, strategy.schedule.steps(target, epochs))
    regrow = None if strategy.regrowth is None else strategy.regrowth.begin(elements, generator)
    done = 0
    for step in progress(steps):
        hooks = []
        if regrow is not None:  # it sees what is about to go
            hooks.append(regrow(Span(done / epochs, (done + step.epochs) / epochs)))
        samples = trainer.samples if tell is None else TrackedSamples(trainer.samples, tell)
        _remove(elements, strategy, step, steps[-1].sparsity, samples, observer, generator)
        if tell is not None:
            tell("")
        # After the last step there is nothing left to watch for.
        observer = None if step is steps[-1] else importance.observer()
        if step.epochs:
            recover(step.epochs, hooks if observer is None else [observer, *hooks])
        done += step.epochs


def _lead_epochs(strategy: ResolvedStrategy, target: float | None, epochs: int) -> int:
    """Count the epochs of training before the first step.

    Unless they are to be all, one is left for what is kept: where there is one, it is for that,
    and not for a regularizer, unless that is to decide how much goes.
    """
    regularizer = strategy.regularizer
    share = max(strategy.importance.share, 0.0 if regularizer is None else regularizer.share)
    if share == 1 or (target is None and epochs == 1):
        return epochs
    return min(ceil(share_of(epochs, share)), max(epochs - 1, 0))


def _steps_to_go(elements: Elements, steps: list[Step]) -> list[Step]:
    """Leave out the steps to what is gone already; the others share their epochs in proportion."""
    n_gone = elements.n_elements - elements.n_kept
    if n_gone == 0:
        return steps
    left = [s for s in steps if n_removed(s.sparsity, elements.n_elements) > n_gone] or steps[-1:]
    epochs, weight = sum(step.epochs for step in steps), sum(step.epochs for step in left)
    marks = [round(epochs * m / max(weight, 1)) for m in accumulate(step.epochs for step in left)]
    return [
        Step(step.sparsity, mark - before)
        for step, before, mark in zip(left, [0, *marks], marks, strict=False)
    ]


def _remove(
    elements: Elements,
    strategy: ResolvedStrategy,
    step: Step,
    target: float,
    samples: Samples,
    observer: TrainingHook | None,
    generator: torch.Generator,
) -> None:
    weights = {name: weight.detach() for name, weight in elements.network.weights.items()}
    judgement = strategy.importance.judge(Scoring(weights, elements, generator, samples, observer))
    scores = {}
    for name, alive in elements.kept.items():
        score = judgement.scores[name].cpu()
        if not torch.isfinite(score[alive]).all():
            raise ValueError(
                f"{strategy.importance!r} gave scores that are not finite in layer {name!r}: its "
                "weights have diverged, or are too large to be squared."
            )
        scores[name] = score.masked_fill(~alive, -torch.inf)
    kept = _choose(elements, strategy, scores, step.sparsity, target)
    if judgement.compensate is not None:
        judgement.compensate(kept)
    elements.keep(kept)


def _choose(
    elements: Elements,
    strategy: ResolvedStrategy,
    scores: Mapping[str, Tensor],
    sparsity: float,
    target: float,
) -> dict[str, Tensor]:
    """Say what is kept by its scores; those of elements that are gone are minus infinity."""
    total = elements.n_elements
    required = elements.required(scores)
    scores = {
        name: score.masked_fill(required[name], torch.inf) if name in required else score
        for name, score in scores.items()
    }
    alive = {name: int((score > -torch.inf).sum()) for name, score in scores.items()}
    counts = strategy.allocation.counts(
        Demand(
            n_keep=min(total - n_removed(sparsity, total), sum(alive.values())),
            n_final=total - n_removed(target, total),
            sizes=elements.sizes,
            shapes=elements.shapes,
            scores=scores,
            alive=alive,
            least=elements.least,
        )
    )
    return {name: keep_best(scores[name], counts[name]) for name in elements.sizes}


def _projection(
    elements: Elements, strategy: ResolvedStrategy, target: float
) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    def project(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        squares = {name: weight.detach().square() for name, weight in weights.items()}
        scores = {
            name: total.cpu().masked_fill(~elements.kept[name], -torch.inf)
            for name, total in elements.total(squares).items()
        }
        kept = _choose(elements, strategy, scores, target, target)
        return {name: spread > 0 for name, spread in elements.spread(kept).items()}

    return project


def _nonzero(elements: Elements) -> dict[str, Tensor]:
    """Say which elements have a weight that is not zero; the best of each layer is kept anyway."""
    weights = {name: weight.detach().square() for name, weight in elements.network.weights.items()}
    totals = {name: total.cpu() for name, total in elements.total(weights).items()}
    required = elements.required(totals)
    kept = {}
    for name, total in totals.items():
        kept[name] = total > 0
        kept[name][total.argmax()] = True
        if name in required:
            kept[name] |= required[name]
    return kept
