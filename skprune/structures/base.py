"""What every structure is, and what it makes of a network."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar

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
    coupled_to : dict of str to str
        Layers that lose their elements together with another, and the name of that other.
    """

    # How elements are removed: "mask" leaves zeros in the network, which could return; "slice" cuts
    # them out of it.
    removes_by: ClassVar[str] = "mask"
    # Whether what is left has to stay where it is, so that units that are dead stay too.
    keeps_layout: ClassVar[bool] = False

    def __init__(
        self,
        network: Network,
        shapes: Mapping[str, tuple[int, ...]],
        sizes: Mapping[str, int],
        coupled_to: Mapping[str, str] | None = None,
    ) -> None:
        self.network = network
        self.shapes = dict(shapes)
        self.sizes = dict(sizes)
        self.kept = {name: torch.ones(size, dtype=torch.bool) for name, size in sizes.items()}
        self.coupled_to = dict(coupled_to or {})

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

    @property
    def fixed_sparsity(self) -> float | None:
        """The sparsity that the structure means by itself; None if it can have any."""
        return None

    @property
    def min_kept(self) -> dict[str, int]:
        """The number of elements that each layer keeps at the least."""
        return dict.fromkeys(self.sizes, 1)

    def must_keep(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Say which elements have to stay, given what each is worth.

        Parameters
        ----------
        scores : mapping of str to Tensor of shape (n_elements,)
            By layer; minus infinity for an element that is gone.

        Returns
        -------
        required : dict of str to Tensor of bool of shape (n_elements,)
            By layer, for those where any has to stay because of where it is.
        """
        return {}

    def groups(self, layer: str) -> tuple[Tensor, int]:
        """Say which elements of a layer are in a group, of which so many have to stay.

        Parameters
        ----------
        layer : str
            The layer.

        Returns
        -------
        first : Tensor of int of shape (n_elements,)
            For each element, the first of its group, which may be itself alone.
        n_stay : int
            How many elements of a group stay at the least, or all that are left.
        """
        return torch.arange(self.sizes[layer]), 0

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
    def sum_by_element(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
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

    @abstractmethod
    def expand_to_weights(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give each weight the product of the values of the elements that it goes with.

        Parameters
        ----------
        values : mapping of str to Tensor of shape (n_elements,)
            A value of each element, by layer.

        Returns
        -------
        spread : dict of str to Tensor
            By the parameter's name, in the shapes that the weights have now. Weights that go with
            no element have ones, or are not there.
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
