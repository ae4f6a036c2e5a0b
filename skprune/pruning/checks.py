"""What makes sense together: strategy, structure, epochs."""

from math import ceil

from skprune._sklearn import InvalidParameterError
from skprune.pruning.target import Goal
from skprune.strategies.allocation import Explicit
from skprune.strategies.selection import share_of
from skprune.strategies.strategy import ResolvedStrategy
from skprune.structures import Elements

__all__ = ["check_combination", "check_epochs", "check_steps", "lead_epochs", "takes_part"]


def check_combination(elements: Elements, strategy: ResolvedStrategy, *, only_named: bool) -> None:
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
    if strategy.regrowth is not None and elements.removes_by == "slice":
        raise InvalidParameterError(
            f"regrowth={strategy.regrowth!r} lets removed elements come back, and what this "
            "structure removes is gone from the network. Use a structure that masks, such as "
            "'weight', or regrowth=None."
        )
    if strategy.regrowth is not None and elements.fixed_sparsity is not None:
        raise InvalidParameterError(
            f"regrowth={strategy.regrowth!r} exchanges elements anywhere in a layer, and this "
            "structure says how many stay in each group of them. Use structure='weight', or "
            "regrowth=None."
        )
    if elements.fixed_sparsity is not None and isinstance(strategy.allocation, Explicit):
        raise InvalidParameterError(
            "The structure fixes the sparsity of every layer, and the allocation names others. "
            "Protect the layers that are to keep their weights, and leave allocation out."
        )
    complex_weights = [n for n, w in elements.network.weights.items() if w.is_complex()]
    if complex_weights and not (strategy.importance.takes_complex and not strategy.regularizer):
        what = strategy.regularizer or strategy.importance
        raise InvalidParameterError(
            f"The weight {complex_weights[0]!r} is complex, and {what!r} takes real numbers. Use "
            "an importance that takes absolute values, such as 'magnitude', without a regularizer."
        )
    if strategy.start.compares_masks and strategy.regularizer is not None:
        raise InvalidParameterError(
            f"start={strategy.start!r} prunes as soon as the masks agree, and "
            f"regularizer={strategy.regularizer!r} has to train before that. Use start='trained', "
            "or regularizer=None."
        )
    if strategy.start.compares_masks and strategy.importance.observer() is not None:
        raise InvalidParameterError(
            f"start={strategy.start!r} looks after each epoch at what would be kept, and "
            f"importance={strategy.importance!r} says so only once it has watched its share of "
            "the training. Use start='trained', or another importance, such as 'magnitude'."
        )
    why = strategy.importance.incomparable(elements)
    if why is not None and strategy.allocation.compares_layers:
        raise InvalidParameterError(
            f"allocation={strategy.allocation!r} compares the scores of different layers, and "
            f"{why}. Use allocation='erk' or 'uniform', or another importance, such as 'magnitude'."
        )
    elements.leave_alone(strategy.allocation.left_alone(elements, only_named=only_named))
    if not elements.sizes:
        raise ValueError("There is nothing to prune: every layer is protected or left alone.")


def check_epochs(strategy: ResolvedStrategy, target: Goal | None, epochs: int) -> None:
    """Raise an error if what a strategy does in training would have no training to do it in.

    Parameters
    ----------
    strategy : ResolvedStrategy
        How the network is pruned.
    target : Goal or None
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
    lead = lead_epochs(strategy, target, epochs)
    if strategy.regrowth is not None and epochs == lead:
        raise InvalidParameterError(
            f"regrowth={strategy.regrowth!r} lets removed elements come back in the training that "
            f"follows, and there is none: of {epochs} epochs, {lead} come before the pruning. Set "
            "fine_tune_epochs to more, the lead_fraction of the importance below 1, or regrowth to "
            "None."
        )


def lead_epochs(strategy: ResolvedStrategy, target: Goal | None, epochs: int) -> int:
    """Count the epochs of training before the first step.

    Unless they are to be all, one is left for what is kept: where there is one, it is for that,
    and not for a regularizer, unless that is to decide how much goes.

    Parameters
    ----------
    strategy : ResolvedStrategy
        How the network is pruned.
    target : Goal or None
        How much; None if the regularizer decides.
    epochs : int
        For how long the network is trained in all.

    Returns
    -------
    epochs : int
        Those of `epochs` that come before the first step.
    """
    regularizer = strategy.regularizer
    share = max(
        strategy.importance.lead_fraction, 0.0 if regularizer is None else regularizer.lead_fraction
    )
    if share == 1 or (target is None and epochs == 1):
        return epochs
    return min(ceil(share_of(epochs, share)), max(epochs - 1, 0))


def takes_part(strategy: ResolvedStrategy, target: Goal | None, epochs: int) -> bool:
    """Say whether a strategy does something in the steps of the training after the dense one.

    Parameters
    ----------
    strategy : ResolvedStrategy
        How the network is pruned.
    target : Goal or None
        How much; None if the regularizer decides.
    epochs : int
        For how long the network is trained in all.

    Returns
    -------
    takes_part : bool
        Whether there are hooks.
    """
    if lead_epochs(strategy, target, epochs):
        return True
    return epochs > 0 and (
        strategy.regrowth is not None or strategy.importance.observer() is not None
    )


def check_steps(n_steps: int | None) -> None:
    """Raise an error if it is not known how many steps a training has that hooks take part in.

    Parameters
    ----------
    n_steps : int or None
        How many there are.

    Raises
    ------
    InvalidParameterError
        If there are none.
    """
    if not n_steps:
        raise InvalidParameterError(
            "The strategy takes part in the training, and has to know how many steps an epoch "
            "has. Pass data, or steps_per_epoch."
        )
