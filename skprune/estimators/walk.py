"""The steps of a strategy gone once, from dense to the sparsest: each sparsity branches off."""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import NamedTuple

from skprune.estimators.run import NetRun
from skprune.pruning.target import Goal
from skprune.seeding import GeneratorStates, seeded
from skprune.strategies.schedule import Schedule, Step
from skprune.strategies.strategy import ResolvedStrategy

__all__ = ["Leg", "shares_its_steps", "walk", "walk_legs"]


class Leg(NamedTuple):
    """The part of a walk that leads from one sparsity to the next.

    Attributes
    ----------
    steps : list of Step
        The steps up to the sparsity, which is the last one's.
    epochs_after : int
        For how long the walk trains at the sparsity before it goes on.
    epochs_aside : int
        For how long the network that branches off there is trained.
    """

    steps: list[Step]
    epochs_after: int
    epochs_aside: int


class LaidOut(Schedule):
    """Steps that are laid out already.

    Parameters
    ----------
    laid_out : list of Step
        The steps.
    """

    def __init__(self, laid_out: list[Step]) -> None:
        self.laid_out = laid_out

    def steps(self, sparsity: float, epochs: int) -> list[Step]:
        """Lay out the steps; see :class:`Schedule`."""
        return self.laid_out


def shares_its_steps(strategy: ResolvedStrategy) -> bool:
    """Whether a strategy goes to each sparsity by way of the smaller ones.

    A single step does not. What looks on at the training from its beginning, such as a
    regularizer, a regrowth, an importance that observes or a start that compares masks, would have
    to begin anew at a branch.

    Parameters
    ----------
    strategy : ResolvedStrategy
        The strategy.

    Returns
    -------
    shares : bool
        True if there is anything to share.
    """
    return (
        strategy.regularizer is None
        and strategy.regrowth is None
        and strategy.importance.observer() is None
        and not strategy.start.compares_masks
        and len(strategy.schedule.steps(0.5, 1)) > 1
    )


def walk_legs(strategy: ResolvedStrategy, goals: Sequence[Goal], epochs: int) -> list[Leg]:
    """Lay out a walk: the schedule's steps to the sparsest goal, and one to each other goal.

    Parameters
    ----------
    strategy : ResolvedStrategy
        How the network is pruned.
    goals : sequence of Goal
        How much, rising.
    epochs : int
        For how long each network is trained in all once pruning begins.

    Returns
    -------
    legs : list of Leg
        One for each goal. A network that branches off is trained for the epochs that the walk has
        not had by then; where each step begins with early weights, for as long as the schedule
        trains after its last step.
    """
    sparsest = goals[-1]
    steps = strategy.schedule.steps(sparsest.sparsity, epochs)
    tail = steps[-1].epochs
    limits = [sparsest.limit_at(step.sparsity) for step in steps]
    legs, first, done = [], 0, 0
    for goal in goals:
        # The schedule may have a step to the goal itself, or several that round to it.
        here = first + sum(limit > goal.limit for limit in limits[first:])
        after = here + sum(limit == goal.limit for limit in limits[here:])
        done += sum(step.epochs for step in steps[first:here])
        epochs_after = sum(step.epochs for step in steps[here:after])
        epochs_aside = tail if strategy.recovery.starts_over else epochs - done
        legs.append(Leg([*steps[first:here], Step(goal.sparsity, 0)], epochs_after, epochs_aside))
        first, done = after, done + epochs_after
    return legs


def walk(
    run: NetRun, goals: Sequence[Goal], epochs: int, wanted: Sequence[bool]
) -> Iterator[NetRun]:
    """Prune a network to one goal after another, and train a copy of it at each.

    Parameters
    ----------
    run : NetRun
        What prunes the network, of which nothing is gone.
    goals : sequence of Goal
        How much, rising.
    epochs : int
        For how long each network is trained in all once pruning begins.
    wanted : sequence of bool
        For each goal, whether a copy is to be trained there. The walk ends at the last such goal.

    Yields
    ------
    branch : NetRun
        The run of each copy: the network as a fit leaves it whose schedule has the steps that the
        walk has taken by then.
    """
    device = run.dense.trainer.net.device
    with seeded(run.dense.seeds["fine_tune"], device):
        states = GeneratorStates(device)
    legs = walk_legs(run.strategy, goals, epochs)
    last = max(number for number, branches_off in enumerate(wanted) if branches_off)
    for number, (leg, goal) in enumerate(zip(legs[: last + 1], goals, strict=False)):
        n_epochs = sum(step.epochs for step in leg.steps)
        run.prune(goal, n_epochs, schedule=LaidOut(leg.steps), states=states)
        if wanted[number]:
            branch = run.copy()
            aside = [Step(goal.sparsity, leg.epochs_aside)]
            branch.prune(goal, leg.epochs_aside, schedule=LaidOut(aside), states=copy(states))
            yield branch
        if number < last and leg.epochs_after:
            after = [Step(goal.sparsity, leg.epochs_after)]
            run.prune(goal, leg.epochs_after, schedule=LaidOut(after), states=states)
