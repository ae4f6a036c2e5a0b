"""Magnitude: small weights go first."""

from numbers import Real
from typing import ClassVar

from torch import Tensor

from skprune._sklearn import Options
from skprune.strategies.importance.base import Importance, ScoringContext, require_some_weight
from skprune.strategies.importance.norm_scales import norm_scales

__all__ = ["Magnitude"]


class Magnitude(Importance):
    """Scores by absolute value.

    A unit scores the `p`-norm of all the weights that go with it, those that enter it as well as
    those that leave it.

    Parameters
    ----------
    p : {1, 2}, default=2
        Exponent. It makes no difference to single weights.
    norms : bool, default=False
        Whether the scale that a norm multiplies a unit with (the ``weight`` of batch norm, layer
        norm, group norm or instance norm) counts as one more of its weights. It makes no
        difference where units are not what is removed: norms have no weights that are masked.

    Notes
    -----
    With ``norms=False`` the scales of norms are left out, unlike in the magnitude of the package
    Torch-Pruning, which counts them as ``norms=True`` does. A unit of large weights and a scale
    near zero puts out next to nothing, so that the two may rank units the other way round.

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

    takes_complex: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict] = {
        "p": [Options(Real, {1, 2})],
        "norms": ["boolean"],
    }

    def __init__(self, p: int = 2, *, norms: bool = False) -> None:
        self.p = p
        self.norms = norms

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        scales = norm_scales(context.elements.network.module) if self.norms else {}
        powers = {
            name: weight.abs() if self.p == 1 else _squared(weight)
            for name, weight in {**context.weights, **scales}.items()
        }
        totals = context.elements.sum_by_element(powers)
        require_some_weight(totals)
        return totals if self.p == 1 else {name: total.sqrt() for name, total in totals.items()}


def _squared(weight: Tensor) -> Tensor:
    return (weight.abs() if weight.is_complex() else weight).square()
