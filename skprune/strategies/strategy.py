"""A strategy: a point in the space of the axes."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from skprune._sklearn import InvalidParameterError
from skprune.components import Component, near_match, resolve
from skprune.strategies.allocation import ALLOCATIONS, Allocation, Explicit
from skprune.strategies.importance import IMPORTANCES, Importance
from skprune.strategies.recovery import RECOVERIES, Recovery
from skprune.strategies.regrowth import REGROWTHS, Regrowth
from skprune.strategies.regularization import REGULARIZERS, Regularizer
from skprune.strategies.schedule import SCHEDULES, Schedule

__all__ = ["STARTS", "ResolvedStrategy", "Strategy"]

STARTS = ("trained", "init")


class Strategy(Component):
    """How to prune: one value on each of a few axes that combine freely.

    Parameters
    ----------
    importance : str or Importance, default="magnitude"
        What a weight is worth: ``"random"``, ``"magnitude"``, ``"lamp"``; by gradients
        ``"taylor"``, ``"movement"``, ``"snip"``, ``"grasp"``, ``"synflow"``; by curvature
        ``"fisher"``, ``"obd"``, ``"obs"``, ``"layer_obs"``; by activations ``"wanda"``, ``"apoz"``.
    allocation : str, mapping of str to float or pair, or Allocation, default="erk"
        How the target is spread over layers: ``"uniform"``, ``"global"``, ``"erk"``, or the
        sparsity of each layer by name (two numbers are bounds of it, None leaves a layer alone; see
        :class:`~skprune.strategies.Explicit`).
    schedule : str or Schedule, default="one_shot"
        When to prune, and how much: ``"one_shot"``, ``"iterative"``, ``"cubic"``.
    recovery : str or Recovery, default="fine_tune"
        What restores the accuracy: ``"fine_tune"``, ``"rewind"`` (lottery tickets), ``"distill"``.
    start : {"trained", "init"}, default="trained"
        From which weights. With ``"init"`` the network is pruned before it is trained, and all
        the training, dense and fine-tuning epochs together, goes to what is left.
    regularizer : str or Regularizer, default=None
        How training pushes elements to zero before they are removed (sparse optimisation):
        ``"l1"``, ``"group_lasso"``, ``"l0"``, ``"admm"``.
    regrowth : str or Regrowth, default=None
        How removed elements may come back (dynamic pruning): ``"set"``, ``"rigl"``,
        ``"splicing"``. They cannot where they are gone from the network, as units are.

    Examples
    --------
    >>> from skprune import Strategy
    >>> Strategy(importance="lamp", schedule="cubic").set_params(schedule__n_steps=20)
    Strategy(importance='lamp', schedule=Cubic(n_steps=20))
    """

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {
        "importance": IMPORTANCES,
        "allocation": ALLOCATIONS,
        "schedule": SCHEDULES,
        "recovery": RECOVERIES,
        "regularizer": REGULARIZERS,
        "regrowth": REGROWTHS,
    }

    _parameter_constraints: ClassVar[dict] = {"start": [str]}

    def __init__(
        self,
        importance: str | Importance = "magnitude",
        allocation: str | Mapping[str, float | tuple[float, float] | None] | Allocation = "erk",
        schedule: str | Schedule = "one_shot",
        recovery: str | Recovery = "fine_tune",
        start: str = "trained",
        *,
        regularizer: str | Regularizer | None = None,
        regrowth: str | Regrowth | None = None,
    ) -> None:
        self.importance = importance
        self.allocation = allocation
        self.schedule = schedule
        self.recovery = recovery
        self.start = start
        self.regularizer = regularizer
        self.regrowth = regrowth

    def set_params(self, **params: Any) -> Self:
        """Set parameters, nested ones included; see :class:`~skprune.components.NamesComponents`.

        Parameters
        ----------
        **params : dict
            Parameter names, nested with double underscores, and their values.

        Returns
        -------
        self : object
            The object itself.
        """
        nested = any(key.startswith("allocation__") for key in params)
        if nested and isinstance(self.allocation, Mapping) and "allocation" not in params:
            self.allocation = Explicit(self.allocation)
        return super().set_params(**params)

    def resolved(self) -> "ResolvedStrategy":
        """Turn names into components and check all parameters.

        Returns
        -------
        strategy : ResolvedStrategy
            The components.

        Raises
        ------
        InvalidParameterError
            If a name is unknown (the message has the nearest known one) or a parameter invalid.
        """
        return ResolvedStrategy(self.validated())


class ResolvedStrategy:
    """A strategy whose axes are components.

    Parameters
    ----------
    strategy : Strategy
        The strategy as the user gave it.
    """

    importance: Importance
    allocation: Allocation
    schedule: Schedule
    recovery: Recovery
    regularizer: Regularizer | None
    regrowth: Regrowth | None

    def __init__(self, strategy: Strategy) -> None:
        allocation = strategy.allocation
        if isinstance(allocation, Mapping):
            allocation = Explicit(allocation)
        self.importance = resolve(
            strategy.importance, IMPORTANCES, "importance", Importance
        ).validated()
        self.allocation = resolve(allocation, ALLOCATIONS, "allocation", Allocation).validated()
        self.schedule = resolve(strategy.schedule, SCHEDULES, "schedule", Schedule).validated()
        self.recovery = resolve(strategy.recovery, RECOVERIES, "recovery", Recovery).validated()
        self.regularizer = self.regrowth = None
        if strategy.regularizer is not None:
            self.regularizer = resolve(
                strategy.regularizer, REGULARIZERS, "regularizer", Regularizer
            ).validated()
        if strategy.regrowth is not None:
            self.regrowth = resolve(strategy.regrowth, REGROWTHS, "regrowth", Regrowth).validated()
        if strategy.start not in STARTS:
            raise InvalidParameterError(
                f"Unknown start {strategy.start!r}.{near_match(strategy.start, STARTS)} "
                f"Known: {', '.join(map(repr, STARTS))}."
            )
        self.start = strategy.start
