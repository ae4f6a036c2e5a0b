"""The pruning loop: score, allocate, remove, ask for training, and again."""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from skprune.pruning.checks import check_epochs, lead_epochs
from skprune.pruning.choice import choose, nonzero
from skprune.pruning.peers import Peers
from skprune.pruning.target import Goal, goal_reached, steps_to_go
from skprune.strategies.hooks import TrainingHook
from skprune.strategies.importance import Scores, ScoringContext
from skprune.strategies.learning import Learning
from skprune.strategies.regrowth import StageSpan
from skprune.strategies.samples import Samples
from skprune.strategies.schedule import Step
from skprune.strategies.scoring_progress import TrackedSamples
from skprune.strategies.stage import DENSE, Stage
from skprune.strategies.strategy import ResolvedStrategy
from skprune.structures import Elements

__all__ = ["pruning_stages", "score_elements"]


def pruning_stages(
    elements: Elements,
    strategy: ResolvedStrategy,
    target: Goal | None,
    epochs: int,
    learning: Learning,
    generator: torch.Generator,
    tell: Callable[[str], object] | None = None,
    peers: Peers | None = None,
) -> Iterator[Stage]:
    """Prune a network step by step, in place, and say what training each step asks for.

    Between two stages the network is pruned, so each has to be trained before the next is
    asked for.

    Parameters
    ----------
    elements : Elements
        What can be removed.
    strategy : ResolvedStrategy
        How.
    target : Goal or None
        How much; None to remove what the strategy's regularizer has made zero.
    epochs : int
        For how long the network is trained in all.
    learning : Learning
        What the network learns.
    generator : torch.Generator
        The source of randomness.
    tell : callable, default=None
        Is told, in a few words, how far a long scoring is.
    peers : Peers, default=None
        Processes that prune the network together.

    Yields
    ------
    stage : Stage
        An epoch at a time of the dense training, where the strategy compares their masks; a
        training before the first step, if the strategy has one; then one after each step, of 0
        epochs where the schedule has none there.

    Raises
    ------
    InvalidParameterError
        If what the strategy does in training has no epoch; see :func:`check_epochs`.
    """
    check_epochs(strategy, target, epochs)
    importance, regularizer = strategy.importance, strategy.regularizer
    choosing = _Choosing(elements, strategy, learning.samples, generator, tell, peers)
    masks: list[dict[str, Tensor]] = []
    while len(masks) < strategy.start.n_waits(epochs) and not strategy.start.is_settled(masks):
        assert target is not None  # none is for a regularizer, which does not go with waiting
        yield Stage(1, DENSE, part=True)
        masks.append(choosing.kept(target.sparsity, target)[0])
    epochs -= len(masks)
    fill_in = strategy.recovery.begin(learning)
    observer = importance.observer()
    lead = lead_epochs(strategy, target, epochs)
    if lead:
        hooks = [] if observer is None else [observer]
        if regularizer is not None:
            project = None if target is None else _projection(elements, strategy, target)
            hooks.append(regularizer.hook(elements, project))
        yield Stage(lead, sparsity=elements.sparsity, hooks=tuple(hooks))
    epochs -= lead
    if target is None:
        kept = nonzero(elements)
        elements.keep(kept if peers is None else peers.agree_on_kept(kept, elements.network))
        target = goal_reached(elements)
        steps = [Step(target.sparsity, epochs)]
    else:
        steps = steps_to_go(elements, strategy.schedule.steps(target.sparsity, epochs), target)
    regrow = None if strategy.regrowth is None else strategy.regrowth.begin(elements, generator)
    done = 0
    for step in steps:
        hooks = []
        if regrow is not None:  # it sees what is about to go
            hooks.append(regrow(StageSpan(done / epochs, (done + step.epochs) / epochs)))
        if not _is_gone(elements, step, target):
            kept, compensate = choosing.kept(step.sparsity, target, observer)
            if compensate is not None:
                compensate(kept)
            elements.keep(kept)
            if peers is not None:
                peers.agree_on_tensors(elements.network)
        # After the last step there is nothing left to watch for.
        observer = None if step is steps[-1] else importance.observer()
        if observer is not None:
            hooks.insert(0, observer)
        stage = Stage(step.epochs, sparsity=step.sparsity, hooks=tuple(hooks))
        yield fill_in(stage) if step.epochs else stage
        done += step.epochs


def _is_gone(elements: Elements, step: Step, target: Goal) -> bool:
    """Whether earlier steps have removed as much as a step asks for."""
    if elements.n_kept == elements.n_elements:
        return False
    return elements.cost(elements.kept, target.quantity) <= target.limit_at(step.sparsity)


def score_elements(
    elements: Elements,
    strategy: ResolvedStrategy,
    samples: Samples,
    observer: TrainingHook | None,
    generator: torch.Generator,
) -> Scores:
    """Score what is left of a network.

    Parameters
    ----------
    elements : Elements
        What can be removed.
    strategy : ResolvedStrategy
        Its importance scores.
    samples : Samples
        The rows that the network is trained on.
    observer : TrainingHook or None
        What watched the training, where the importance needs that.
    generator : torch.Generator
        The source of randomness.

    Returns
    -------
    scores : Scores
        By layer, on the CPU; minus infinity for an element that is gone.

    Raises
    ------
    ValueError
        If a score is not finite.
    """
    weights = {name: weight.detach() for name, weight in elements.network.weights.items()}
    scored = strategy.importance.score(
        ScoringContext(weights, elements, generator, samples, observer)
    )
    scores = {}
    for name, alive in elements.kept.items():
        score = scored.scores[name].cpu()
        if not torch.isfinite(score[alive]).all():
            raise ValueError(
                f"{strategy.importance!r} gave scores that are not finite in layer {name!r}: its "
                "weights have diverged, or are too large to be squared."
            )
        scores[name] = score.masked_fill(~alive, -torch.inf)
    return Scores(dict(elements.adjusted(scores)), scored.compensate)


@dataclass(frozen=True)
class _Choosing:
    """Scores what is left, and says what of it is kept."""

    elements: Elements
    strategy: ResolvedStrategy
    samples: Samples
    generator: torch.Generator
    tell: Callable[[str], object] | None
    peers: Peers | None

    def kept(
        self, sparsity: float, target: Goal, observer: TrainingHook | None = None
    ) -> tuple[dict[str, Tensor], Callable[[Mapping[str, Tensor]], None] | None]:
        elements, strategy, generator = self.elements, copy(self.strategy), self.generator
        samples = self.samples if self.tell is None else TrackedSamples(self.samples, self.tell)
        scored = score_elements(elements, strategy, samples, observer, generator)
        strategy.allocation = strategy.allocation.measured(
            elements, scored.scores, samples, generator, target.quantity
        )
        kept = choose(elements, strategy, scored.scores, sparsity, target)
        if self.peers is not None:
            kept = self.peers.agree_on_kept(kept, elements.network)
        if self.tell is not None:
            self.tell("")
        return kept, scored.compensate


def _projection(
    elements: Elements, strategy: ResolvedStrategy, target: Goal
) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    def project(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        squares = {name: weight.detach().square() for name, weight in weights.items()}
        scores = {
            name: total.cpu().masked_fill(~elements.kept[name], -torch.inf)
            for name, total in elements.sum_by_element(squares).items()
        }
        kept = choose(elements, strategy, scores, target.sparsity, target)
        return {name: spread > 0 for name, spread in elements.expand_to_weights(kept).items()}

    return project
