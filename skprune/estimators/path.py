"""A path of sparsities from one dense training."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match, resolve
from skprune.estimators.base import BasePruned
from skprune.estimators.inputs import with_targets
from skprune.estimators.run import Dense, NetRun, found_again
from skprune.estimators.walk import shares_its_steps, walk
from skprune.pruning.checks import check_epochs
from skprune.pruning.target import Goal
from skprune.seeding import given_back
from skprune.strategies.named import STRATEGIES
from skprune.strategies.strategy import ResolvedStrategy, Strategy
from skprune.strategies.target import Target
from skprune.structures import STRUCTURES, Elements, Structure
from skprune.training.nets import copy_net, is_fitted_net
from skprune.training.progress import progress_bar
from skprune.training.stage import Interrupted

__all__ = [
    "PATHS",
    "PruningPath",
    "StrategyPath",
    "branches_of",
    "check_path",
    "elements_of",
    "interruptible",
    "iter_path",
    "n_fits_of",
    "pruning_path",
    "unfitted",
]

# How a network gets from one sparsity to the next.
PATHS = ("restart", "branch", "chained")

# Densities between which a number of sparsities is spread.
_DENSEST, _SPARSEST = 0.5, 0.02

# Beyond these digits sparsities are not told apart.
_MOST_DIGITS = 12


class StrategyPath(NamedTuple):
    """The points of a path that one strategy prunes to.

    Attributes
    ----------
    strategy : str or Strategy
        How the network is pruned.
    sparsities : list of float
        To where, rising.
    only : float or None
        The one of them that an estimator is wanted for; None for all of them.
    """

    strategy: Any
    sparsities: list[float]
    only: float | None = None


class PruningPath(NamedTuple):
    """What :func:`pruning_path` finds.

    Attributes
    ----------
    estimators : list of estimator
        The fitted estimator of each point, strategy by strategy, the sparsities rising.
    dense : estimator
        The one with the dense network that all began with: its ``sparsity_`` is 0.
    """

    estimators: list[BasePruned]
    dense: BasePruned


def pruning_path(
    estimator: BasePruned,
    X: Any,
    y: Any = None,
    *,
    sparsities: int | Sequence[float] = 8,
    strategies: Any = None,
    path: str = "restart",
    sample_weight: Any = None,
) -> PruningPath:
    """Prune a network to many sparsities, having trained it once.

    Parameters
    ----------
    estimator : PrunedClassifier or PrunedRegressor
        What is fitted; its own `sparsity` does not count, its `budget` says what the sparsities
        are fractions of. It stays as it is. A net in it that has
        weights of its own is not trained before it is pruned, as in a fit.
    X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
        Inputs.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    sparsities : int or sequence of float, default=8
        The sparsities, in any order; a number stands for so many whose densities fall evenly, by
        ratio and to two digits (more where two would be equal), from 0.5 to 0.02, or to the
        smallest that leaves each layer an element. A structure that fixes the sparsity, such as
        N:M, stands for its own.
    strategies : str, Strategy, or list of these, default=None
        Strategies that share the dense network; the estimator's own if None.
    path : {"restart", "branch", "chained"}, default="restart"
        How the network gets to each sparsity.

        - ``"restart"``: each sparsity starts from the dense network, and each estimator is the one
          that a fit of its own would give.
        - ``"branch"``: the steps of a strategy that prunes in steps are gone once, from dense to
          the sparsest, and each sparsity branches off for its own fine-tuning; see
          :class:`~skprune.PrunedClassifierCV`.
        - ``"chained"``: each sparsity starts from the network of the one before, and trains for a
          share of the fine-tuning epochs; see :class:`~skprune.PrunedClassifierCV`.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the loss.

    Returns
    -------
    path : PruningPath
        The fitted estimators.

    Raises
    ------
    InvalidParameterError
        If a sparsity is out of range or stands twice, or a name is unknown.
    UnreachableSparsityError
        If a sparsity that was asked for would empty a layer; before any training.
    KeyboardInterrupt
        If Ctrl-C ended a training.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier, pruning_path
    >>> X, y = load_iris(return_X_y=True)
    >>> path = pruning_path(PrunedClassifier(random_state=0), X, y, sparsities=[0.5, 0.9])
    >>> [round(estimator.sparsity_, 6) for estimator in [path.dense, *path.estimators]]
    [0.0, 0.5, 0.9]
    """
    check_path(path)
    if isinstance(estimator.sparsity, Target) and estimator.sparsity.budget != estimator.budget:
        raise InvalidParameterError(
            f"The estimator's own sparsity={estimator.sparsity!r} does not count on a path, and "
            f"its budget would be lost. Set budget={estimator.sparsity.budget!r} on the estimator."
        )
    X, y = with_targets(estimator, X, y)
    chosen = [estimator.strategy] if strategies is None else strategies
    with given_back(), interruptible():
        branches = branches_of(unfitted(estimator), X, y, sample_weight, chosen, sparsities)
        n_fits = n_fits_of(branches)
        with progress_bar("pruning_path", n_fits, "fit", shown=estimator.verbose > 0) as bar:
            fitted = []
            for point in iter_path(estimator, X, y, sample_weight, branches, path):
                fitted.append(point)
                if bar is not None:
                    bar.update()
    dense, *estimators = fitted
    return PruningPath(estimators, dense)


@contextmanager
def interruptible() -> Iterator[None]:
    """Tell of Ctrl-C as Python does: half a path is of no use."""
    try:
        yield
    except Interrupted as error:
        raise KeyboardInterrupt(f"Interrupted while {error}.") from error


def check_path(path: str) -> None:
    """Raise an error if there is no path of a name."""
    if path not in PATHS:
        raise InvalidParameterError(
            f"Unknown path {path!r}.{near_match(path, PATHS)} Known: {', '.join(map(repr, PATHS))}."
        )


def branches_of(
    estimator: BasePruned, X: Any, y: Any, sample_weight: Any, strategies: Any, sparsities: Any
) -> list[StrategyPath]:
    """Lay out a path, having checked that it can be gone.

    Parameters
    ----------
    estimator : BasePruned
        What is to be fitted; what it learns of the data's shape is set on it.
    X, y, sample_weight : object
        The data.
    strategies : str, Strategy, or list of these
        How the network is pruned.
    sparsities : int or sequence of float
        To where.

    Returns
    -------
    branches : list of StrategyPath
        One for each strategy.

    Raises
    ------
    InvalidParameterError
        If a sparsity is out of range or stands twice, or there is none.
    UnreachableSparsityError
        If a sparsity that was asked for would empty a layer.
    """
    names = list(strategies) if isinstance(strategies, (list, tuple)) else [strategies]
    if not names:
        raise InvalidParameterError("strategies is empty: there is nothing to choose from.")
    counted = isinstance(sparsities, Integral) and not isinstance(sparsities, bool)
    asked = None if counted else _checked(sparsities)
    resolved = _resolved(names)
    dense, _ = estimator._prepare(X, y, sample_weight, at_init=_any_at_init(resolved))
    branches = []
    for name, strategy in zip(names, resolved, strict=True):
        run = _run(estimator, dense, strategy)
        elements = run.elements
        if asked is not None:
            mine = asked
        elif elements.fixed_sparsity is not None:
            mine = [elements.fixed_sparsity]
        else:
            mine = _spread(int(sparsities), run.least_density(estimator.budget))
        for sparsity in (mine[0], mine[-1]):
            run.target(Target(sparsity, budget=estimator.budget))
        branches.append(StrategyPath(name, mine))
    return branches


def elements_of(estimator: BasePruned, X: Any, y: Any, sample_weight: Any) -> Elements:
    """Give what can be removed of a network.

    Parameters
    ----------
    estimator : BasePruned
        What is to be fitted; what it learns of the data's shape is set on it.
    X, y, sample_weight : object
        The data.

    Returns
    -------
    elements : Elements
        By its structure, without what is protected.
    """
    (strategy,) = _resolved(["magnitude"])
    dense, _ = estimator._prepare(X, y, sample_weight, at_init=False)
    return _run(estimator, dense, strategy).elements


def n_fits_of(branches: Sequence[StrategyPath]) -> int:
    """Count the estimators that :func:`iter_path` fits, that of the dense network among them."""
    return 1 + sum(len(branch.sparsities) for branch in branches)


def iter_path(
    estimator: BasePruned,
    X: Any,
    y: Any,
    sample_weight: Any,
    branches: Sequence[StrategyPath],
    path: str,
) -> Iterator[BasePruned]:
    """Go along a path.

    Parameters
    ----------
    estimator : BasePruned
        What is fitted; copies of it are.
    X, y, sample_weight : object
        The data.
    branches : sequence of StrategyPath
        The points.
    path : {"restart", "branch", "chained"}
        How the network gets from one to the next.

    Yields
    ------
    fitted : BasePruned
        The fitted estimators: first that of the dense network, then branch by branch. No two of
        them have a parameter in common that can be changed.
    """
    first = unfitted(estimator)
    resolved = _resolved([branch.strategy for branch in branches])
    at_init = _any_at_init(resolved)
    dense, target = first._prepare(X, y, sample_weight, at_init=at_init)

    def goal_of(run: NetRun, sparsity: float) -> Goal:
        goal = run.target(Target(sparsity, budget=first.budget))
        assert goal is not None
        return goal

    def epochs_of(run: NetRun, number: int, sparsity: float) -> int:
        epochs = run.epochs(first.fine_tune_epochs)
        if path == "chained" and not run.strategy.recovery.starts_over:
            return _chained(run, epochs, goal_of(run, sparsity), first=number == 0)
        return epochs

    # What cannot be pruned is found before anything is trained.
    for branch, strategy in zip(branches, resolved, strict=True):
        run = _run(first, dense, strategy)
        if path == "chained" and strategy.start.compares_masks:
            raise InvalidParameterError(
                f"path='chained' goes on from the network of the sparsity before, and "
                f"start={strategy.start!r} prunes a network that is not trained to the end. Use "
                "path='restart', or start='trained'."
            )
        for number, sparsity in enumerate(branch.sparsities):
            check_epochs(strategy, goal_of(run, sparsity), epochs_of(run, number, sparsity))
    untrained = dense.copy() if at_init else dense
    dense.train(found_again(first.memory, first.random_state))

    def runs_of(made: Callable[[], NetRun], branch: StrategyPath) -> Iterator[tuple[float, NetRun]]:
        wanted = branch.sparsities if branch.only is None else [branch.only]
        upto = [sparsity for sparsity in branch.sparsities if sparsity <= wanted[-1]]
        run = made()
        if path == "branch" and shares_its_steps(run.strategy):
            goals = [goal_of(run, sparsity) for sparsity in branch.sparsities]
            epochs = run.epochs(first.fine_tune_epochs)
            branched = walk(run, goals, epochs, [s in wanted for s in branch.sparsities])
            yield from zip(wanted, branched, strict=True)
            return
        for number, sparsity in enumerate(upto if path == "chained" else wanted):
            if path != "chained" and number > 0:
                run = made()
            run.prune(goal_of(run, sparsity), epochs_of(run, number, sparsity))
            if sparsity in wanted:
                yield sparsity, run.copy() if path == "chained" else run

    def fitted(run: NetRun, **params: Any) -> BasePruned:
        result = copy(first).set_params(**unfitted(estimator).get_params(deep=False))
        result.set_params(**params)
        result._set_fitted(run, target)
        return result

    yield fitted(_run(first, dense.copy(), resolved[0]), sparsity=0.0)
    for branch, strategy in zip(branches, resolved, strict=True):
        start = dense if strategy.start.trains_dense else untrained

        def made(start: Dense = start, strategy: ResolvedStrategy = strategy) -> NetRun:
            return _run(first, start.copy(), strategy)

        for sparsity, run in runs_of(made, branch):
            yield fitted(run, strategy=clone(branch.strategy, safe=False), sparsity=sparsity)


def unfitted(estimator: BasePruned) -> BasePruned:
    """Copy an estimator as ``clone`` does, and the weights that its net came with as well.

    Parameters
    ----------
    estimator : BasePruned
        The estimator; it is left as it is.

    Returns
    -------
    copied : BasePruned
        One that is not fitted.
    """
    copied = clone(estimator)
    if isinstance(estimator.estimator, estimator._nets) and is_fitted_net(estimator.estimator):
        copied.estimator = copy_net(estimator.estimator)
    return copied


def _resolved(strategies: Sequence[Any]) -> list[ResolvedStrategy]:
    return [resolve(s, STRATEGIES, "strategy", Strategy).resolved() for s in strategies]


def _any_at_init(strategies: Sequence[ResolvedStrategy]) -> bool:
    return any(not strategy.start.trains_dense for strategy in strategies)


def _run(estimator: BasePruned, dense: Dense, strategy: ResolvedStrategy) -> NetRun:
    structure = resolve(estimator.structure, STRUCTURES, "structure", Structure).validated()
    return NetRun(dense, strategy, structure, estimator.protect or (), only_named=False)


def _chained(run: NetRun, epochs: int, goal: Goal, *, first: bool) -> int:
    """Say how many of the epochs of a restart a link of a chain trains for.

    Of those of the fine-tuning, the share that it removes of what is left: the network has been
    trained at the sparsity before. Where pruning comes before the training, the first link has
    all of the latter.
    """
    training = 0 if run.strategy.start.trains_dense else run.dense.trainer.net.max_epochs
    epochs -= training
    gone = goal.gone(run.elements)
    share = (goal.sparsity - gone) / (1 - gone)
    return min(max(1, round(epochs * share)), epochs) + (training if first else 0)


def _checked(sparsities: Any) -> list[float]:
    values = np.asarray(sparsities, dtype=object)
    if values.ndim != 1 or not len(values):
        raise InvalidParameterError(
            f"sparsities must be a number of them, or a list of one or more; got {sparsities!r}."
        )
    for place, value in enumerate(values):
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < 1:
            hint = ""
            if isinstance(value, Target):
                hint = " They are fractions of the budget, which is set on the estimator."
            raise InvalidParameterError(
                f"sparsities must be in [0, 1); number {place} is {value!r}.{hint}"
            )
    result = sorted(float(value) for value in values)
    for one, other in pairwise(result):
        if one == other:
            raise InvalidParameterError(f"sparsities has {one} twice.")
    return result


def _spread(n_sparsities: int, least_density: float) -> list[float]:
    """Spread sparsities so that the densities fall by the same ratio, as far as they can."""
    if n_sparsities < 1:
        raise InvalidParameterError(f"sparsities must be 1 or more; got {n_sparsities}.")
    sparsest = max(_SPARSEST, least_density)
    if n_sparsities == 1:
        return [1 - sparsest]
    # Where half of a small network cannot go, half of the way that there is.
    densest = _DENSEST if sparsest < _DENSEST else sparsest**0.5
    ratio = sparsest / densest
    densities = [densest * ratio ** (i / (n_sparsities - 1)) for i in range(n_sparsities)]
    for digits in range(2, _MOST_DIGITS):
        rounded = {round(1 - _rounded(d, digits, least_density), _MOST_DIGITS) for d in densities}
        if len(rounded) == n_sparsities:
            return sorted(rounded)
    raise InvalidParameterError(
        f"There are no {n_sparsities} sparsities between {1 - densest:.6g} and "
        f"{1 - sparsest:.6g} that differ, and sparsities={n_sparsities} asks for so many."
    )


def _rounded(density: float, digits: int, least: float) -> float:
    """Round to a few digits, which read more easily, where that leaves enough."""
    rounded = float(f"{density:.{digits}g}")
    return rounded if rounded >= least else density
