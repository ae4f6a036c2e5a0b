"""Before any training."""

from skprune.strategies.start.base import Start

__all__ = ["Init"]


class Init(Start):
    """The weights are pruned that the network is initialized with.

    All the training, dense and fine-tuning epochs together, goes to what is left.

    Examples
    --------
    >>> from skprune.strategies import Init
    >>> Init().trains_dense
    False
    """

    def n_waits(self, epochs: int) -> int:
        """Count the epochs that it waits, which is none; see :class:`Start`."""
        return 0
