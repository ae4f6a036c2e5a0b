"""What every structure is, and what it makes of a network."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from skprune.components import Component
from skprune.network.network import Network

__all__ = ["Elements", "Structure"]


class Elements(ABC):
    """What of a network can be removed, by layer, and what is left of it.

    Attributes
    ----------
    network : Network
        The network that they are of.
    sizes : dict of str to int
        Number of elements of each layer of the original.
    shapes : dict of str to tuple of int
        Shape of each layer's weight in the original.
    kept : dict of str to Tensor of bool of shape (n_elements,)
        Which elements of each layer are left.
    aliases : dict of str to str
        Layers that lose their elements together with another, and the name of that other.
    """

    def __init__(
        self,
        network: Network,
        shapes: Mapping[str, tuple[int, ...]],
        sizes: Mapping[str, int],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.network = network
        self.shapes = dict(shapes)
        self.sizes = dict(sizes)
        self.kept = {name: torch.ones(size, dtype=torch.bool) for name, size in sizes.items()}
        self.aliases = dict(aliases or {})

    @property
    def n_elements(self) -> int:
        """Number of elements of the original."""
        return sum(self.sizes.values())

    @property
    def n_kept(self) -> int:
        """Number of elements that are left."""
        return sum(int(kept.sum()) for kept in self.kept.values())

    @property
    def sparsity(self) -> float:
        """Fraction of the elements that is gone."""
        return 1 - self.n_kept / self.n_elements if self.n_elements else 0.0

    def leave_alone(self, names: Collection[str]) -> None:
        """Take layers out: they are not pruned and do not count.

        Parameters
        ----------
        names : collection of str
            The layers.
        """
        for name in names:
            del self.sizes[name], self.shapes[name], self.kept[name]

    @abstractmethod
    def total(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add up scores of weights over the elements that the weights go with.

        Parameters
        ----------
        scores : mapping of str to Tensor
            A score of each weight, in the shape that it has now, by the parameter's name.

        Returns
        -------
        totals : dict of str to Tensor of shape (n_elements,)
            By layer; zero for an element that is gone.
        """

    def keep(self, kept: Mapping[str, Tensor]) -> None:
        """Remove from the network what is not kept.

        Parameters
        ----------
        kept : mapping of str to Tensor of bool of shape (n_elements,)
            Which elements of each layer stay.
        """
        self._apply(kept)
        self.kept = dict(kept)

    @abstractmethod
    def _apply(self, kept: Mapping[str, Tensor]) -> None:
        """Remove from the network what is not kept and has not gone before."""


class Structure(Component, ABC):
    """Says what is removed together."""

    @abstractmethod
    def elements(self, network: Network, protected: tuple[str, ...]) -> Elements:
        """Find what can be removed from a network.

        Parameters
        ----------
        network : Network
            The network, whole.
        protected : tuple of str
            Names of modules that are left as they are.

        Returns
        -------
        elements : Elements
            What can be removed.
        """
