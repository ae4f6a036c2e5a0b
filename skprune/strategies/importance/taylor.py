"""First-order Taylor expansion: the change of the loss, estimated by its gradient."""

from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import ClassVar

from torch import Tensor

from skprune._sklearn import Interval, Options, StrOptions
from skprune.strategies.importance.base import Importance, ScoringContext
from skprune.strategies.importance.gradients import (
    batch_gradients,
    require_gradients,
    weighted_mean,
)
from skprune.strategies.importance.row_gradients import mean_power, row_gradients
from skprune.strategies.samples import LooksAt

__all__ = ["Taylor"]


class Taylor(Importance):
    """Mean power of the change in loss that removing an element makes, to the first order.

    The change is the product of a weight and its gradient. A unit sums it over all the weights
    that go with it. With the defaults this is the criterion of [1]_ for single weights and their
    sums; ``signed=True`` makes it that for gates where a unit is a rectifier without a bias, and
    there alone. ``Taylor(p=1, per="row", signed=True)`` is near to the criterion of [2]_, which
    looks at activations; see the Notes.

    Parameters
    ----------
    p : {1, 2}, default=2
        The power: absolute or squared changes.
    per : {"batch", "row"}, default="batch"
        Whose losses are expanded before the mean is taken: those of batches of the net's size, or
        of single rows, which are more and vary more. Losses of rows need a criterion that gives
        them.
    signed : bool, default=False
        Whether a unit adds up the changes of its weights with their signs, so that they may cancel
        each other, before the power is taken, or the powers. It makes no difference to single
        weights.
    n_samples : int or None, default=1000
        How many rows are looked at, drawn at random; all if None.
    chunk_size : int, default=32
        With ``per="row"``: how many rows' gradients, each as large as the network, are held at a
        time. It does not change the scores.

    Notes
    -----
    A gate multiplies what a unit puts out, and its gradient is the sum over the weights that leave
    the unit, of weight times gradient. Here the weights that enter it count as well. With a
    rectifier and without a bias they add up to the same, so that the sum is twice that of the gate,
    and squared four times. With a bias, a norm or another activation function in between the two
    sums differ, and so may the ranking.

    For units of fully connected layers with a rectifier and without a bias,
    ``Taylor(p=1, per="row", signed=True)`` is twice the criterion of [2]_: the weights that enter a
    unit and those that leave it each add up to the product of its activation and the gradient of
    that. Biases take no part in the sums here, and with other activation functions the two sides
    differ, so that there it is another criterion. The paper's norm over each layer is left out.

    References
    ----------
    .. [1] Molchanov, P., Mallya, A., Tyree, S., Frosio, I., & Kautz, J. (2019). Importance
       estimation for neural network pruning. Conference on Computer Vision and Pattern
       Recognition.

    .. [2] Molchanov, P., Tyree, S., Karras, T., Aila, T., & Kautz, J. (2017). Pruning
       convolutional neural networks for resource efficient inference. International Conference on
       Learning Representations.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import Taylor
    >>> PrunedClassifier(strategy=Strategy(Taylor(signed=True)), structure="unit")
    PrunedClassifier(strategy=Strategy(importance=Taylor(signed=True)),
                     structure='unit')
    """

    looks_at: ClassVar[LooksAt] = "loss"
    _parameter_constraints: ClassVar[dict] = {
        "p": [Options(Real, {1, 2})],
        "per": [StrOptions({"batch", "row"})],
        "signed": ["boolean"],
        "n_samples": [Interval(Integral, 1, None, closed="left"), None],
        "chunk_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        p: int = 2,
        *,
        per: str = "batch",
        signed: bool = False,
        n_samples: int | None = 1000,
        chunk_size: int = 32,
    ) -> None:
        self.p = p
        self.per = per
        self.signed = signed
        self.n_samples = n_samples
        self.chunk_size = chunk_size

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        elements, weights = context.elements, context.weights
        if self.signed:
            scores = weighted_mean(
                (
                    share,
                    self._power(
                        elements.sum_by_element({n: g * weights[n] for n, g in each.items()})
                    ),
                )
                for share, each in self._gradients(context)
            )
        else:
            size = self._power(weights)
            change = {name: power * size[name] for name, power in self._mean_power(context).items()}
            scores = elements.sum_by_element(change)
        require_gradients(scores, elements)
        return scores

    def _gradients(self, context: ScoringContext) -> Iterator[tuple[float, dict[str, Tensor]]]:
        if self.per == "row":
            return row_gradients(context, self.n_samples, self.chunk_size)
        return batch_gradients(context, self.n_samples)

    def _mean_power(self, context: ScoringContext) -> dict[str, Tensor]:
        if self.per == "row":
            return mean_power(context, self.p, self.n_samples, self.chunk_size)
        return weighted_mean((share, self._power(each)) for share, each in self._gradients(context))

    def _power(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.abs().pow(self.p) for name, tensor in tensors.items()}
