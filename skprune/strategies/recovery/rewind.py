"""Go back to early weights."""

from dataclasses import replace
from numbers import Integral, Real
from typing import ClassVar

from skprune._sklearn import Interval
from skprune.strategies.learning import Learning
from skprune.strategies.recovery.base import FillIn, Recovery

__all__ = ["Rewind"]


class Rewind(Recovery):
    """Training anew, from what the weights that are left were at an early time.

    After each pruning step, weights, biases and buffers (such as the running statistics of batch
    norm) go back to their initial values, or to those after an epoch of the dense training, and
    what is left is trained again. With several steps this is iterative magnitude pruning, the
    search for lottery tickets. A step that no epoch of training follows leaves the weights as they
    are.

    All rounds together have by default as many epochs as the trainings that they repeat: the net's
    ``max_epochs``, less `epoch`, for each step. How they are shared out is up to the schedule; the
    rounds of ``Iterative(n_steps=5, end=0.8)`` are equally long. The learning rate schedule of the
    net, if it has one, begins anew in each.

    Parameters
    ----------
    epoch : int, default=0
        The end of the epoch of the dense training that is gone back to; 0 for the initial
        weights. The first epochs are trained once more to see it, under the seed of the dense
        training.
    lr : float, default=None
        Learning rate; the net's own if None.

    References
    ----------
    Frankle, J., & Carbin, M. (2019). The lottery ticket hypothesis: finding sparse, trainable
    neural networks. International Conference on Learning Representations.

    Frankle, J., Dziugaite, G. K., Roy, D., & Carbin, M. (2020). Linear mode connectivity and the
    lottery ticket hypothesis. International Conference on Machine Learning.

    Renda, A., Frankle, J., & Carbin, M. (2020). Comparing rewinding and fine-tuning in neural
    network pruning. International Conference on Learning Representations.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import Rewind
    >>> tickets = Strategy(schedule="iterative", recovery=Rewind(epoch=1))
    >>> PrunedClassifier(strategy=tickets)
    PrunedClassifier(strategy=Strategy(recovery=Rewind(epoch=1),
                                       schedule='iterative'))
    """

    starts_over: ClassVar[bool] = True

    _parameter_constraints: ClassVar[dict] = {
        "epoch": [Interval(Integral, 0, None, closed="left")],
        "lr": [None, Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, epoch: int = 0, lr: float | None = None) -> None:
        self.epoch = epoch
        self.lr = lr

    @property
    def rewinds_to(self) -> int | None:
        """The epoch whose weights are gone back to; see :class:`Recovery`."""
        return self.epoch

    def default_epochs(self, max_epochs: int, n_steps: int) -> int:
        """Count the epochs of all rounds; see :class:`Recovery`."""
        return n_steps * max(max_epochs - self.epoch, 0)

    def begin(self, learning: Learning) -> FillIn:
        """Get ready; see :class:`Recovery`."""
        return lambda stage: replace(stage, lr=self.lr, rewind_to=self.epoch)
