"""What every regrowth is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch

from skprune.components import Component
from skprune.strategies.hooks import TrainingHook
from skprune.structures import Elements

__all__ = ["Regrow", "Regrowth", "StageSpan"]


class StageSpan(NamedTuple):
    """Which part of all the training under masks a stage is, as fractions of its epochs."""

    begin: float
    end: float


# Makes what takes part in the stage of training after a step of pruning.
Regrow = Callable[[StageSpan], TrainingHook]


class Regrowth(Component, ABC):
    """Lets removed elements come back while the network trains, and others go for them.

    The number of elements that each layer keeps stays as it is.
    """

    @abstractmethod
    def begin(self, elements: Elements, generator: torch.Generator) -> Regrow:
        """Get ready, before the first step of pruning.

        Parameters
        ----------
        elements : Elements
            What is pruned; the hooks change what is kept of it.
        generator : torch.Generator
            The source of randomness.

        Returns
        -------
        regrow : callable
            Makes the hook of a stage, given where that lies in the training: ``regrow(span)``. It
            is called before each step removes anything, also where no training follows the step.
        """
