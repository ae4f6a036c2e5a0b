"""The pruning loop: score, allocate, remove, recover, and again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from skprune.strategies.selection import keep_best, n_removed
from skprune.strategies.strategy import ResolvedStrategy
from skprune.structures import Elements
from skprune.training.hooks import TrainingHook

__all__ = ["PruningTrainer", "prune", "settle", "target_sparsity"]


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
    target: float | None,
    epochs: int,
    trainer: PruningTrainer,
    generator: torch.Generator,
    progress: Callable[[Sequence[Step]], Iterable[Step]] = iter,
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
        Wraps the steps, to show how far it has come.
    """
    importance, regularizer = strategy.importance, strategy.regularizer
    recover = strategy.recovery.begin(trainer)
    observer = importance.observer()
    lead = _lead_epochs(strategy, epochs)
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
        steps = strategy.schedule.steps(target, epochs)
    done = 0
    for step in progress(steps):
        hooks = []
        if strategy.regrowth is not None and step.epochs:  # it sees what is about to go
            span = Span(done / epochs, (done + step.epochs) / epochs)
            hooks.append(strategy.regrowth.hook(elements, span, generator))
        _remove(elements, strategy, step, steps[-1].sparsity, trainer.samples, observer, generator)
        # After the last step there is nothing left to watch for.
        observer = None if step is steps[-1] else importance.observer()
        if step.epochs:
            recover(step.epochs, hooks if observer is None else [observer, *hooks])
        done += step.epochs


def _lead_epochs(strategy: ResolvedStrategy, epochs: int) -> int:
    """Count the epochs of training before the first step."""
    regularizer = strategy.regularizer
    share = max(strategy.importance.share, 0.0 if regularizer is None else regularizer.share)
    return min(-int(-share * epochs // 1), epochs)


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
    kept = {}
    for name, total in elements.total(weights).items():
        kept[name] = (total > 0).cpu()
        kept[name][total.argmax()] = True
    return kept
