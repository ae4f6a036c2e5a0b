"""As soon as it is clear what would be kept."""

from collections.abc import Sequence
from math import floor
from numbers import Integral, Real
from typing import ClassVar

from skprune._sklearn import Interval
from skprune.strategies.selection import share_of
from skprune.strategies.start.base import Masks, Start

__all__ = ["Early"]


class Early(Start):
    """The network is pruned as soon as the masks of successive epochs agree (early-bird tickets).

    After each epoch of the dense training it is looked at what would be kept if the network were
    pruned to its target now. Once this differs little from what would have been kept after each
    of the last epochs, it is pruned, and the rest of the training is of what is left. With
    ``structure="unit"`` that is a smaller network, so that the whole takes less time than a dense
    training.

    There are as many epochs in all as a dense training has, unless `fine_tune_epochs` asks for more
    (None stands for none). What is left is trained by an optimizer and callbacks of its own, so
    that a schedule of learning rates begins anew. Nothing can be shared by `memory`.

    Parameters
    ----------
    patience : int, default=3
        Number of earlier epochs whose masks have to agree with the present one.
    threshold : float, default=0.1
        Fraction of all elements by which two masks that agree may differ; in [0, 1].
    latest : float, default=0.3
        Fraction of the epochs after which the network is pruned even if the masks do not agree; in
        (0, 1). It is one epoch at the least, and one at the least is left for after it, which goes
        before.

    References
    ----------
    You, H., Li, C., Xu, P., Fu, Y., Wang, Y., Chen, X., Baraniuk, R. G., Wang, Z., & Lin, Y.
    (2020). Drawing early-bird tickets: towards more efficient training of deep networks.
    International Conference on Learning Representations.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import Early
    >>> PrunedClassifier(strategy=Strategy(start=Early(patience=5)), structure="unit")
    PrunedClassifier(strategy=Strategy(start=Early(patience=5)), structure='unit')
    >>> Early(latest=0.3).n_waits(epochs=20)
    6
    """

    compares_masks: ClassVar[bool] = True
    fine_tunes: ClassVar[bool] = False

    _parameter_constraints: ClassVar[dict] = {
        "patience": [Interval(Integral, 1, None, closed="left")],
        "threshold": [Interval(Real, 0, 1, closed="both")],
        "latest": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(self, patience: int = 3, threshold: float = 0.1, latest: float = 0.3) -> None:
        self.patience = patience
        self.threshold = threshold
        self.latest = latest

    def n_waits(self, epochs: int) -> int:
        """Count the epochs that it waits at the most; see :class:`Start`."""
        return min(max(floor(share_of(epochs, self.latest)), 1), max(epochs - 1, 0))

    def is_settled(self, masks: Sequence[Masks]) -> bool:
        """Say whether the last masks agree; see :class:`Start`."""
        *earlier, last = masks[-self.patience - 1 :] or [{}]
        return len(earlier) == self.patience and all(
            _distance(other, last) <= self.threshold for other in earlier
        )


def _distance(one: Masks, other: Masks) -> float:
    """Give the fraction of the elements that are kept by one alone (a Hamming distance)."""
    n_elements = sum(len(kept) for kept in one.values())
    return sum(int((kept ^ other[layer]).sum()) for layer, kept in one.items()) / n_elements
