"""What every start is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from skprune.components import Component

__all__ = ["Masks", "Start"]

# Which elements of each layer would be kept.
Masks = Mapping[str, Tensor]


class Start(Component, ABC):
    """Says how far the network is trained before anything is removed.

    Attributes
    ----------
    trains_dense : bool
        Whether all of the dense training comes first. Otherwise its epochs go to what is left.
    compares_masks : bool
        Whether it looks, after each epoch, at what would be kept.
    fine_tunes : bool
        Whether there is more training than the dense one, where the user does not say.
    """

    trains_dense: ClassVar[bool] = False
    compares_masks: ClassVar[bool] = False
    fine_tunes: ClassVar[bool] = True

    @abstractmethod
    def n_waits(self, epochs: int) -> int:
        """Count the epochs that it waits at the most, once the dense training is over.

        Parameters
        ----------
        epochs : int
            The epochs of training that there are.

        Returns
        -------
        n_epochs : int
            Zero for a start that does not compare masks.
        """

    def is_settled(self, masks: Sequence[Masks]) -> bool:
        """Say whether it is clear by now what is to be kept.

        Parameters
        ----------
        masks : sequence of mapping of str to Tensor of bool of shape (n_elements,)
            What would have been kept after each epoch so far, by layer.

        Returns
        -------
        settled : bool
            Whether the network is pruned now.
        """
        return True
