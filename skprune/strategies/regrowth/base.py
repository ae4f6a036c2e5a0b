"""What every regrowth is."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch

from skprune.components import Component
from skprune.structures import Elements
from skprune.training.hooks import TrainingHook

__all__ = ["Regrowth", "Span"]


class Span(NamedTuple):
    """Which part of all the training under masks a stage is, as fractions of its epochs."""

    begin: float
    end: float


class Regrowth(Component, ABC):
    """Lets removed elements come back while the network trains, and others go for them.

    The number of elements that each layer keeps stays as it is.
    """

    @abstractmethod
    def hook(self, elements: Elements, span: Span, generator: torch.Generator) -> TrainingHook:
        """Make what takes part in the training.

        Parameters
        ----------
        elements : Elements
            What is pruned; the hook changes what is kept of it.
        span : Span
            Where the stage lies in the training.
        generator : torch.Generator
            The source of randomness.

        Returns
        -------
        hook : TrainingHook
            For one stage of training.
        """
