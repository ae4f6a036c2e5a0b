"""What every importance is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skprune.components import Component
from skprune.strategies.hooks import TrainingHook
from skprune.strategies.samples import LooksAt, Samples
from skprune.structures.base import Elements

__all__ = ["Importance", "Scores", "ScoringContext", "require_some_weight"]


@dataclass(frozen=True)
class ScoringContext:
    """What an importance may look at.

    Attributes
    ----------
    weights : mapping of str to Tensor
        The weights as they are now, by the parameter's name; masked ones are zero.
    elements : Elements
        What can be removed, and which weights go with it. Its ``network`` is the network.
    generator : torch.Generator
        The source of randomness.
    samples : Samples
        Rows that the network is trained on.
    observed : TrainingHook or None
        What the importance's own observer has seen of the training since the last step.
    """

    weights: Mapping[str, Tensor]
    elements: Elements
    generator: torch.Generator
    samples: Samples
    observed: TrainingHook | None = None


@dataclass(frozen=True)
class Scores:
    """What an importance finds.

    Attributes
    ----------
    scores : dict of str to Tensor of shape (n_elements,)
        For each layer, a score of each of its elements. Those that are gone are passed over,
        whatever their score.
    compensate : callable or None
        Changes the weights that stay, in place, to compensate for those that are removed. It is
        given what is kept, by layer, before the rest is removed.
    """

    scores: dict[str, Tensor]
    compensate: Callable[[Mapping[str, Tensor]], None] | None = None


class Importance(Component, ABC):
    """Scores what can be removed: the higher, the sooner it is kept.

    Attributes
    ----------
    looks_at : {"weights", "inputs", "loss"}
        What its scores are made of: the weights alone, or inputs of rows, or the loss of rows as
        well. Where there are no rows or no loss, what needs them is an error before any training.
    """

    looks_at: ClassVar[LooksAt] = "weights"

    # Fraction of the epochs of fine-tuning that an observer looks on for before the first step.
    lead_fraction: float = 0.0
    # Whether it can score weights that are complex numbers.
    takes_complex: ClassVar[bool] = False

    def observer(self) -> TrainingHook | None:
        """Make a hook that watches the training up to the next step.

        Returns
        -------
        observer : TrainingHook or None
            A new hook; None if nothing has to be watched.
        """
        return None

    def incomparable(self, elements: Elements) -> str | None:
        """Say why scores of different layers cannot be compared, as a global allocation does.

        Parameters
        ----------
        elements : Elements
            What is scored.

        Returns
        -------
        why : str or None
            A clause for a message; None if they can be compared.
        """
        return None

    def score(self, context: ScoringContext) -> Scores:
        """Score the elements, and say how to compensate for those that are removed.

        Parameters
        ----------
        context : ScoringContext
            What there is to look at.

        Returns
        -------
        scored : Scores
            The scores, and a compensation where the importance has one.
        """
        return Scores(self.scores(context))

    @abstractmethod
    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements.

        Parameters
        ----------
        context : ScoringContext
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
