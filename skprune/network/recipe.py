"""How a network is made, so that an equal one can be made again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

__all__ = ["ModuleRecipe"]


@dataclass(frozen=True)
class ModuleRecipe:
    """What makes a network as it is before it is trained and pruned.

    Attributes
    ----------
    make : callable
        The network's class, or a function.
    arguments : mapping of str to object
        What it is called with.
    """

    make: Callable[..., nn.Module]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> nn.Module:
        """Make a network."""
        return self.make(**self.arguments)
