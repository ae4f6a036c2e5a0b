"""Magnitude: small weights go first."""

from numbers import Real
from typing import ClassVar

from torch import Tensor

from skprune._sklearn import Options
from skprune.strategies.importance.base import Importance, Scoring, require_some_weight

__all__ = ["Magnitude"]


class Magnitude(Importance):
    """Scores by absolute value.

    A unit scores the `p`-norm of all the weights that go with it, those that enter it as well as
    those that leave it.

    Parameters
    ----------
    p : {1, 2}, default=2
        Exponent. It makes no difference to single weights.

    References
    ----------
    Han, S., Pool, J., Tran, J., & Dally, W. (2015). Learning both weights and connections for
    efficient neural networks. Advances in Neural Information Processing Systems 28.

    Li, H., Kadav, A., Durdanovic, I., Samet, H., & Graf, H. P. (2017). Pruning filters for
    efficient ConvNets. International Conference on Learning Representations.

    Examples
    --------
    >>> from skprune.strategies import Magnitude
    >>> Magnitude(p=1)
    Magnitude(p=1)
    """

    _parameter_constraints: ClassVar[dict] = {"p": [Options(Real, {1, 2})]}

    def __init__(self, p: int = 2) -> None:
        self.p = p

    def scores(self, scoring: Scoring) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        powers = {
            name: weight.abs() if self.p == 1 else weight.square()
            for name, weight in scoring.weights.items()
        }
        totals = scoring.elements.total(powers)
        require_some_weight(totals)
        return totals if self.p == 1 else {name: total.sqrt() for name, total in totals.items()}
