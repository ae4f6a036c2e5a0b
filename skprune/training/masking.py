"""Masks between the callbacks of a net."""

from collections.abc import Sequence
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback

from skprune.network.masking import Masking

__all__ = ["MaskingCallback", "masked_between"]


class MaskingCallback(Callback):
    """Masks between other callbacks what they may have set: initialized, loaded, averaged.

    Parameters
    ----------
    masking : Masking
        What masks.
    """

    def __init__(self, masking: Masking) -> None:
        self.masking = masking

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Mask."""
        self.masking.mask()

    def on_epoch_begin(
        self, net: NeuralNet, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Mask."""
        self.masking.mask()

    def on_epoch_end(
        self, net: NeuralNet, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Mask."""
        self.masking.mask()

    def on_train_end(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Mask."""
        self.masking.mask()


def masked_between(
    callbacks: Sequence[tuple[str, Callback]], masking: Masking | None
) -> list[tuple[str, Callback]]:
    """Have a callback mask before, between and after others.

    Parameters
    ----------
    callbacks : sequence of (str, Callback)
        The others, by name.
    masking : Masking or None
        What masks; None if nothing is to be.

    Returns
    -------
    callbacks : list of (str, Callback)
        With those that mask.
    """
    if masking is None:
        return list(callbacks)
    result: list[tuple[str, Callback]] = [("skprune_mask", MaskingCallback(masking))]
    for number, callback in enumerate(callbacks, start=1):
        result += [callback, (f"skprune_mask_{number}", MaskingCallback(masking))]
    return result
