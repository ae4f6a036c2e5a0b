"""After the dense training."""

from typing import ClassVar

from skprune.strategies.start.base import Start

__all__ = ["Trained"]


class Trained(Start):
    """The weights of the trained network are pruned.

    Examples
    --------
    >>> from skprune.strategies import Trained
    >>> Trained().trains_dense
    True
    """

    trains_dense: ClassVar[bool] = True

    def n_waits(self, epochs: int) -> int:
        """Count the epochs that it waits, which is none; see :class:`Start`."""
        return 0
