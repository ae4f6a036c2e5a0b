"""What every importance is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from skprune.components import Component
from skprune.structures.base import Elements

__all__ = ["Importance", "Scoring", "require_some_weight"]


@dataclass(frozen=True)
class Scoring:
    """What an importance may look at.

    Attributes
    ----------
    weights : mapping of str to Tensor
        The weights as they are now, by the parameter's name; masked ones are zero.
    elements : Elements
        What can be removed, and which weights go with it.
    generator : torch.Generator
        The source of randomness.
    """

    weights: Mapping[str, Tensor]
    elements: Elements
    generator: torch.Generator


class Importance(Component, ABC):
    """Scores what can be removed: the higher, the sooner it is kept."""

    @abstractmethod
    def scores(self, scoring: Scoring) -> dict[str, Tensor]:
        """Score the elements.

        Parameters
        ----------
        scoring : Scoring
            What there is to look at.

        Returns
        -------
        scores : dict of str to Tensor of shape (n_elements,)
            For each layer, a score of each of its elements. Those that are gone are passed over,
            whatever their score.
        """


def require_some_weight(totals: Mapping[str, Tensor]) -> None:
    """Raise an error if all the weights of a layer are zero, so that nothing ranks them.

    Parameters
    ----------
    totals : mapping of str to Tensor
        Magnitudes of the elements of each layer.

    Raises
    ------
    ValueError
        If those of a layer are all zero; the message names it.
    """
    for name, total in totals.items():
        if not total.any():
            raise ValueError(
                f"All weights of layer {name!r} are zero, so that their magnitudes do not rank "
                f"them. Protect the layer (protect=[{name!r}]) or use importance='random'."
            )
