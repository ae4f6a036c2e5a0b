"""Wanda: the size of a weight times the size of its input."""

from numbers import Integral
from typing import ClassVar

from torch import Tensor

from skprune._sklearn import Interval
from skprune.strategies.importance.base import Importance, ScoringContext
from skprune.strategies.importance.gradients import differentiable
from skprune.strategies.importance.layer_inputs import (
    InputRows,
    elements_of_columns,
    mean_of_inputs,
    total_of_readers,
)
from skprune.strategies.samples import LooksAt
from skprune.structures.base import Elements

__all__ = ["Wanda"]


class Wanda(Importance):
    """Scores by absolute value, times the norm of the input that the weight is multiplied with.

    The norm is taken over some rows, and divided by the root of their number. No gradient is
    needed. Units and other groups of weights score the sum; of a unit, the weights that read it
    count.

    Scores of different layers are of different scales, so that the allocation ``"global"`` with
    this importance is an error. So are weights of layers other than linear layers and convolutions;
    the message names the layer.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows, drawn at random, at the most.

    Notes
    -----
    The paper compares the weights of each output with each other, so that all outputs keep equally
    many. Here all weights of a layer are compared, as for every importance, and an output may keep
    more than another, or none. Within an output the order is the paper's.

    References
    ----------
    Sun, M., Liu, Z., Bair, A., & Kolter, J. Z. (2024). A simple and effective pruning approach for
    large language models. International Conference on Learning Representations.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import Wanda
    >>> PrunedClassifier(strategy=Strategy(Wanda(n_samples=128)))
    PrunedClassifier(strategy=Strategy(importance=Wanda(n_samples=128)))
    """

    looks_at: ClassVar[LooksAt] = "inputs"
    _parameter_constraints: ClassVar[dict] = {
        "n_samples": [Interval(Integral, 1, None, closed="left")]
    }

    def __init__(self, n_samples: int = 1000) -> None:
        self.n_samples = n_samples

    def incomparable(self, elements: Elements) -> str | None:
        """Say why scores of different layers cannot be compared; see :class:`Importance`."""
        return "Wanda's are of the scale of what each layer is given"

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        module = context.elements.network.module
        inputs = InputRows(module, context.samples, elements_of_columns(context.elements), "Wanda")
        with differentiable(module, {}):
            squares = mean_of_inputs(inputs, context, self.n_samples, lambda rows: rows.square())
        return total_of_readers(
            context.elements,
            {
                name: context.weights[name].double().abs() * square.sqrt()
                for name, square in squares.items()
            },
        )
