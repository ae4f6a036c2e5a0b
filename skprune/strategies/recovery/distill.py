"""Learn from a teacher."""

from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar, Self

from sklearn.base import clone

from skprune._sklearn import HasMethods, Interval, InvalidParameterError
from skprune.strategies.learning import Learning
from skprune.strategies.recovery.base import FillIn, Recovery
from skprune.strategies.recovery.distillation_loss import (
    DistillationLoss,
    loss_of_estimator,
    loss_of_network,
)
from skprune.strategies.recovery.hints import check_hints

__all__ = ["Distill"]


class Distill(Recovery):
    r"""Training towards what a teacher says of the rows, beside their targets.

    For classes the loss is

    .. math:: (1 - \alpha) L(y, z) + \alpha T^2 \, KL(p_T \| q_T)

    with the net's own loss `L`, its logits `z`, and the probabilities :math:`p_T` of the teacher
    and :math:`q_T` of the network, both with logits divided by the temperature `T`. Two classes on
    one output, and several labels a row, have the divergence of each output's two outcomes, and
    the mean over labels. For a regression the loss is :math:`(1 - \alpha) L(y, z) + \alpha L(t, z)`
    with the predictions `t` of the teacher; the temperature does nothing.

    Weights of rows and classes count in both parts. Penalties that a net adds in a ``get_loss`` of
    its own count in `L`. Losses on validation rows are the net's own.

    Soft targets are computed once, for all rows, unless the net makes other rows of them in each
    epoch: with a dataset, a loader or a training step of its own. Then the teacher is asked about
    each batch, as the network's inputs. What changes the rows later on, in ``infer`` or in the
    module, goes unnoticed: the network then learns from changed rows what the teacher says of
    others. Let the dataset change them, so that both see the same. A later ``partial_fit`` goes on
    without the teacher.

    Parameters
    ----------
    teacher : estimator, default=None
        What is learned from. None stands for the network itself, before anything of it is
        removed. Any fitted estimator will do that takes the X which the pruned estimator is fitted
        with and has ``predict_proba`` with the same classes, or ``predict`` for a regression: a
        forest, a larger network, a pipeline. Clones of `Distill`, such as those of a grid search,
        share the fitted teacher; it is neither cloned nor fitted again. Where a search is to
        choose between teachers, put them into a ``FrozenEstimator``.
        A teacher that was fitted on the same rows until it made no mistake, such as a forest of
        full-grown trees, has little more to say of them than the targets do. In a cross-validation,
        one that was fitted on all rows has seen those held out, and what it says of the others may
        carry over: the scores are then too good. Fit it on other rows.
        A net that is initialized counts as fitted, since its weights may have been loaded.
    temperature : float, default=1.0
        What logits are divided by: the higher, the more the teacher's small probabilities count,
        which helps where it is all too sure of itself. An estimator's probabilities are taken to
        the power of its inverse and normalized. Where network and teacher are far apart, the
        gradients are up to `temperature` times those of targets: where a training is worse than
        without a teacher, or diverges, lower `lr`.
    alpha : float, default=0.5
        The part of the loss that is the teacher's, from 0 to 1.
    lr : float, default=None
        Learning rate; the net's own if None.
    hints : list of str, default=None
        Names of layers whose outputs are to come near to those of the same layers of the
        teacher, which then has to be the network itself. Where units of a layer are gone, a
        linear map to all of the teacher's is learned beside the network.
    hint_weight : float, default=1.0
        How much the hints count in the loss: the factor of the squared differences, relative to
        the teacher's mean square, summed over the layers.

    Notes
    -----
    FitNets trains a network up to the hint first, and then all of it on soft targets. Here hints
    and targets are learned together, in every step.

    References
    ----------
    Hinton, G., Vinyals, O., & Dean, J. (2015). Distilling the knowledge in a neural network.
    arXiv:1503.02531.

    Romero, A., Ballas, N., Kahou, S. E., Chassang, A., Gatta, C., & Bengio, Y. (2015). FitNets:
    hints for thin deep nets. International Conference on Learning Representations.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import Distill
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(random_state=0).fit(X, y)
    >>> strategy = Strategy(recovery=Distill(forest, alpha=0.75))
    >>> pruned = PrunedClassifier(strategy=strategy, random_state=0).fit(X, y)
    >>> bool(pruned.score(X, y) > 0.9)
    True
    """

    changes_loss = True
    _parameter_constraints: ClassVar[dict] = {
        "teacher": [None, HasMethods(["fit", "predict"])],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "lr": [None, Interval(Real, 0, None, closed="neither")],
        "hints": [None, list, tuple],
        "hint_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        teacher: Any = None,
        temperature: float = 1.0,
        alpha: float = 0.5,
        lr: float | None = None,
        hints: list[str] | None = None,
        hint_weight: float = 1.0,
    ) -> None:
        self.teacher = teacher
        self.temperature = temperature
        self.alpha = alpha
        self.lr = lr
        self.hints = hints
        self.hint_weight = hint_weight

    def check(self, learning: Learning, trains_dense: bool) -> None:
        """Check the teacher; see :class:`Recovery`."""
        if self.teacher is None and not trains_dense:
            raise InvalidParameterError(
                "Distill without a teacher learns from the trained dense network, and with "
                "start='init' or 'early' there is none. Give it a fitted teacher, or use "
                "start='trained'."
            )
        if self.teacher is not None and self.hints:
            raise InvalidParameterError(
                f"hints={self.hints!r} of Distill compare layers of the network with those of "
                f"itself before it was pruned, and the teacher is a "
                f"{type(self.teacher).__name__}. Use teacher=None, or leave hints out."
            )
        check_hints(self.hints or (), learning.module)
        if self.teacher is not None:
            learning.teacher(self.teacher).check(learning)

    def begin(self, learning: Learning) -> FillIn:
        """Have the teacher prepare; see :class:`Recovery`."""
        loss: DistillationLoss
        if self.teacher is None:
            loss = loss_of_network(
                learning, self.alpha, self.temperature, self.hints or (), self.hint_weight
            )
        else:
            teacher = learning.teacher(self.teacher)
            loss = loss_of_estimator(teacher, learning, self.alpha, self.temperature)
        return lambda stage: replace(
            stage, lr=self.lr, loss_term=loss, hooks=(*stage.hooks, *loss.hooks)
        )

    def __sklearn_clone__(self) -> Self:
        """Clone all but the teacher, which would not be fitted any more."""
        parameters = self.get_params(deep=False)
        return type(self)(
            **{
                name: value if name == "teacher" else clone(value, safe=False)
                for name, value in parameters.items()
            }
        )
