"""What every regularizer is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor

from skprune.components import Component
from skprune.strategies.hooks import TrainingHook
from skprune.structures import Elements

__all__ = ["Projection", "Regularizer"]

# Takes weights by the parameter's name, and says for each whether it would be kept if the network
# had these weights and were pruned to its target by magnitude.
Projection = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class Regularizer(Component, ABC):
    """Pushes elements of the network to zero while it trains, before it is pruned.

    Parameters
    ----------
    lead_fraction : float
        Fraction of the epochs of fine-tuning that go to this training; in (0, 1). One at least is
        left for after it: a single one goes there, unless ``sparsity=None``.
    """

    lead_fraction: float

    def check_decides(self) -> None:
        """Raise an error if it cannot decide by itself how much is to be removed.

        Raises
        ------
        InvalidParameterError
            If it needs a target.
        """

    @abstractmethod
    def hook(self, elements: Elements, project: Projection | None) -> TrainingHook:
        """Make what takes part in the training.

        Parameters
        ----------
        elements : Elements
            What is to be pruned: the groups of weights that go to zero together.
        project : Projection or None
            What the network would be pruned to; None if the regularizer alone is to decide.

        Returns
        -------
        hook : TrainingHook
            For one stage of training.
        """
