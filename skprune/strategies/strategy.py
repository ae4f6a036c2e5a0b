"""A strategy: a point in the space of the axes."""

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, Self

from skprune.components import Component, resolve
from skprune.strategies.allocation import ALLOCATIONS, Allocation, Explicit
from skprune.strategies.importance import IMPORTANCES, Importance
from skprune.strategies.recovery import RECOVERIES, Recovery
from skprune.strategies.regrowth import REGROWTHS, Regrowth
from skprune.strategies.regularization import REGULARIZERS, Regularizer
from skprune.strategies.schedule import SCHEDULES, Schedule
from skprune.strategies.start import STARTS, Start

__all__ = ["ResolvedStrategy", "Strategy"]


class Strategy(Component):
    """How to prune: one value on each of a few axes that combine freely.

    Parameters
    ----------
    importance : str or Importance, default="magnitude"
        What each weight, unit or other element is worth: those of the lowest scores are removed. A
        unit or another group of weights scores, as a rule, the sum over its weights.

        - ``"random"``: a random number; the baseline that others have to beat.
        - ``"magnitude"``: the absolute value of a weight; of a unit, the norm of its weights.
        - ``"lamp"``: the squared weight, divided by the sum of all squared weights of the layer
          that are no smaller; scores of different layers can be compared.
        - ``"taylor"``: the squared change of the loss without the weight, to the first order:
          weight times gradient.
        - ``"movement"``: how far the training moves a weight away from zero; those that move
          towards zero are removed.
        - ``"snip"``: the absolute value of weight times gradient, for networks that are not trained
          yet.
        - ``"grasp"``: how much smaller the gradients would be without the weight, for networks that
          are not trained yet.
        - ``"synflow"``: what a weight passes on from the inputs to the outputs, where all weights
          count as positive; no data are looked at. For networks that are not trained yet.
        - ``"fisher"``: how much the loss would rise without the weight, to the second order, by the
          mean squared gradient of single rows.
        - ``"obd"``: the same by the diagonal of the Gauss-Newton matrix (optimal brain damage).
        - ``"obs"``: how much the loss would rise without the weight once all others have adapted,
          which they then do (optimal brain surgeon).
        - ``"layer_obs"``: how much the outputs of the layer would change without the weight once
          the others of the layer have adapted, which they then do.
        - ``"wanda"``: the absolute value of a weight, times the norm of the input that it is
          multiplied with.
        - ``"apoz"``: how often a unit is active; a weight scores as the unit that it reads.

    allocation : str, mapping of str to float or pair, or Allocation, default="erk"
        How the sparsity is divided among the layers.

        - ``"uniform"``: each layer has the same sparsity.
        - ``"global"``: the best elements of the whole network are kept, whatever layers they are
          in; each layer keeps one at least.
        - ``"erk"``: small layers are kept denser than large ones: the density is proportional to
          the sum of the sizes of a layer's weight over their product (Erdős-Rényi-Kernel).
        - ``"sensitivity"``: the loss is measured without the least important elements of one layer
          alone, for each layer, and what it misses least goes, whatever the budget is counted in.
        - mapping: the sparsity of each layer by its name, such as ``{"hidden0": 0.9}``; two numbers
          are bounds of it, None leaves a layer as it is. See
          :class:`~skprune.strategies.Explicit`.

    schedule : str or Schedule, default="one_shot"
        In how many steps the sparsity is reached, and how the epochs are shared among them.

        - ``"one_shot"``: in one step, followed by all of the training.
        - ``"iterative"``: in 5 steps, each of which removes the same fraction of what is left, with
          training after each.
        - ``"cubic"``: in 10 steps, which remove much at first and little at the end, with training
          in between.

    recovery : str or Recovery, default="fine_tune"
        What is trained after a step, and how.

        - ``"fine_tune"``: what is left is trained on.
        - ``"rewind"``: what is left goes back to the weights that it had at the beginning, and is
          trained again (lottery tickets).
        - ``"distill"``: what is left is trained on, and learns from the predictions of the dense
          network as well as from the targets; :class:`~skprune.strategies.Distill` takes other
          teachers.

    start : str or Start, default="trained"
        Which weights are pruned.

        - ``"trained"``: those of the trained network.
        - ``"init"``: those that the network is initialized with. All the training, dense and
          fine-tuning epochs together, goes to what is left.
        - ``"early"``: those of a network that is trained until the masks of successive epochs
          agree. The rest of the dense training goes to what is left, so that the whole takes less
          time than a dense training where units are removed.

    regularizer : str or Regularizer, default=None
        What pushes elements to zero while the network trains, before anything is removed (sparse
        optimisation). None stands for nothing.

        - ``"l1"``: makes each weight smaller by the same amount in each step of training, down to
          zero.
        - ``"group_lasso"``: does the same to the norm of all the weights that are removed together.
        - ``"l0"``: multiplies each element by a random gate, and trains the gates to be closed.
        - ``"variational_dropout"``: adds noise to each weight, and trains it to be as loud as the
          loss can bear; weights that are nothing but noise go to zero.
        - ``"information_bottleneck"``: multiplies what each element passes on by noise, and trains
          this to let as little through as the loss can bear.
        - ``"admm"``: pulls the weights to the nearest ones that have the target sparsity, more
          strongly the longer they resist.

    regrowth : str or Regrowth, default=None
        How removed elements come back while the network trains, in exchange for others (dynamic
        pruning). None stands for not at all, and is needed where elements leave the network, as
        units do.

        - ``"set"``: the smallest are exchanged for removed ones at random.
        - ``"rigl"``: the smallest are exchanged for the removed ones with the largest gradients.
        - ``"splicing"``: removed weights are trained on unseen, and come back when they outgrow one
          that is kept.

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
        "start": STARTS,
        "regularizer": REGULARIZERS,
        "regrowth": REGROWTHS,
    }

    def __init__(
        self,
        importance: str | Importance = "magnitude",
        allocation: str | Mapping[str, float | tuple[float, float] | None] | Allocation = "erk",
        schedule: str | Schedule = "one_shot",
        recovery: str | Recovery = "fine_tune",
        start: str | Start = "trained",
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
    start: Start
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
        self.start = resolve(strategy.start, STARTS, "start", Start).validated()
        self.regularizer = self.regrowth = None
        if strategy.regularizer is not None:
            self.regularizer = resolve(
                strategy.regularizer, REGULARIZERS, "regularizer", Regularizer
            ).validated()
        if strategy.regrowth is not None:
            self.regrowth = resolve(strategy.regrowth, REGROWTHS, "regrowth", Regrowth).validated()

    def following(self, schedule: Schedule) -> "ResolvedStrategy":
        """Give the same strategy with another schedule.

        Parameters
        ----------
        schedule : Schedule
            The schedule.

        Returns
        -------
        strategy : ResolvedStrategy
            The strategy.
        """
        other = copy(self)
        other.schedule = schedule
        return other
