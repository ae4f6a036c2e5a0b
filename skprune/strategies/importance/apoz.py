"""Average percentage of zeros: units that are seldom active go first."""

from numbers import Integral
from typing import ClassVar

import torch
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

__all__ = ["APoZ"]


class APoZ(Importance):
    """Scores units by how often they are active: one minus the average percentage of zeros.

    Zeros are counted in the input of the layers that read a unit (after the activation function,
    pooling and the like), on some rows and at all positions of a feature map, without its padding.
    Units differ only where activations can be exactly zero, as after a ReLU. A single weight scores
    how often its input is not zero, and other groups of weights score the mean. Weights with the
    same input then have equal scores, so that the allocation ``"global"`` is an error for anything
    but units. A unit that is read by neither a linear layer nor a convolution is an error that
    names the layer.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows, drawn at random, at the most.

    References
    ----------
    Hu, H., Peng, R., Tai, Y.-W., & Tang, C.-K. (2016). Network trimming: a data-driven neuron
    pruning approach towards efficient deep architectures. arXiv:1607.03250.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import APoZ
    >>> PrunedClassifier(structure="unit", strategy=Strategy(APoZ(n_samples=500)))
    PrunedClassifier(strategy=Strategy(importance=APoZ(n_samples=500)),
                     structure='unit')
    """

    looks_at: ClassVar[LooksAt] = "inputs"
    _parameter_constraints: ClassVar[dict] = {
        "n_samples": [Interval(Integral, 1, None, closed="left")]
    }

    def __init__(self, n_samples: int = 1000) -> None:
        self.n_samples = n_samples

    def incomparable(self, elements: Elements) -> str | None:
        """Say why scores of different layers cannot be compared; see :class:`Importance`."""
        if elements.removes_by == "slice":
            return None
        return "APoZ's are those of units, equal for all the weights that read one"

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        elements, module = context.elements, context.elements.network.module
        inputs = InputRows(module, context.samples, elements_of_columns(elements), "APoZ")
        with differentiable(module, {}):
            active = mean_of_inputs(
                inputs, context, self.n_samples, lambda rows: rows != 0, padded=False
            )
        totals = total_of_readers(elements, active)
        counts = total_of_readers(
            elements, {name: torch.ones_like(some) for name, some in active.items()}
        )
        return {name: total / counts[name].clamp(min=1) for name, total in totals.items()}
