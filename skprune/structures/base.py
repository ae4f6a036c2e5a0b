"""What every structure is, and what it makes of a network."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from skprune.components import Component
from skprune.metrics.groups import UnitGroups
from skprune.metrics.prices import Prices, prices_of
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
    # The number of elements that a layer keeps is a multiple of it, or all that there are.
    multiple: int = 1

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
        self._prices: dict[str, Prices] = {}

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

    def adjusted(self, scores: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Change scores to what the structure itself knows, before they decide what goes.

        Parameters
        ----------
        scores : mapping of str to Tensor of shape (n_elements,)
            By layer; minus infinity for an element that is gone.

        Returns
        -------
        scores : mapping of str to Tensor of shape (n_elements,)
            By layer; the same, unless the structure knows better.
        """
        return scores

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

    def unit_groups(self) -> UnitGroups:
        """Say which units were found, and how many are left, for a structure that removes units.

        Returns
        -------
        groups : UnitGroups
            Empty for other structures.
        """
        return UnitGroups()

    # What is left of the network, in the quantities of the report.

    def cost(self, kept: Mapping[str, Tensor], quantity: str) -> int:
        """Say what would be left of the network if some elements were.

        Units that die of it are still counted: that they go makes it less.

        Parameters
        ----------
        kept : mapping of str to Tensor of bool of shape (n_elements,)
            Which elements of each layer are left, of the original's.
        quantity : {"elements", "weights", "parameters", "macs", "bytes"}
            What is counted: the elements themselves, or a quantity of the whole network, with all
            that no element can take away, as :class:`~skprune.metrics.PruningReport` counts it.

        Returns
        -------
        cost : int
            Exactly what removing the others leaves.
        """
        return sum(self.costs(kept, quantity).values())

    def costs(self, kept: Mapping[str, Tensor], quantity: str) -> dict[str, int]:
        """Say what would be left of each layer; see :meth:`cost`.

        Parameters
        ----------
        kept : mapping of str to Tensor of bool of shape (n_elements,)
            Which elements of each layer are left, of the original's.
        quantity : {"elements", "weights", "parameters", "macs", "bytes"}
            What is counted.

        Returns
        -------
        costs : dict of str to int
            By the layer's name; all layers of the network, but for elements.
        """
        if quantity == "elements":
            return {name: int(mask.sum()) for name, mask in kept.items()}
        return self._price(quantity, lambda: self.entries_left(kept))

    def largest_costs(self, counts: Mapping[str, int], quantity: str) -> dict[str, int]:
        """Say what is left of each layer at the most, if so many elements are, whichever.

        Parameters
        ----------
        counts : mapping of str to int
            How many elements of each layer are left.
        quantity : {"elements", "weights", "parameters", "macs", "bytes"}
            What is counted.

        Returns
        -------
        costs : dict of str to int
            By the layer's name, as for :meth:`costs`.
        """
        if quantity == "elements":
            return dict(counts)
        return self._price(quantity, lambda: self.most_entries_left(counts))

    def _price(self, quantity: str, left: Callable[[], Mapping[str, int]]) -> dict[str, int]:
        prices = self._prices_in(quantity)
        # Zeros are stored like other numbers.
        return prices.costs({} if quantity == "bytes" and self.removes_by == "mask" else left())

    def _prices_in(self, quantity: str) -> Prices:
        if quantity not in self._prices:
            network = self.network
            self._prices[quantity] = prices_of(
                network.module, network.inputs, network.forward, quantity
            )
        return self._prices[quantity]

    def entries_left(self, kept: Mapping[str, Tensor]) -> dict[str, int]:
        """Count the entries of each tensor that are left if some elements are.

        Parameters
        ----------
        kept : mapping of str to Tensor of bool of shape (n_elements,)
            Which elements of each layer are left, of the original's.

        Returns
        -------
        left : dict of str to int
            By the tensor's name. Tensors that no element has a part of need not be there.
        """
        return self._without(
            {
                layer: [(name, sizes[~kept[layer]]) for name, sizes in tensors.items()]
                for layer, tensors in self.entries_of_elements.items()
                if layer in kept
            }
        )

    def most_entries_left(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Count the entries of each tensor that are left at the most, whichever elements are.

        Parameters
        ----------
        counts : mapping of str to int
            How many elements of each layer are left.

        Returns
        -------
        left : dict of str to int
            By the tensor's name. Tensors that no element has a part of need not be there.
        """
        return self._without(
            {
                layer: [
                    (name, sizes.sort().values[: len(sizes) - counts[layer]])
                    for name, sizes in tensors.items()
                ]
                for layer, tensors in self.entries_of_elements.items()
                if layer in counts
            }
        )

    def _without(self, gone: Mapping[str, list[tuple[str, Tensor]]]) -> dict[str, int]:
        left = {name: weight.numel() for name, weight in self.network.weights.items()}
        for tensors in gone.values():
            for name, sizes in tensors:
                left[name] -= int(sizes.sum())
        return left

    @cached_property
    def entries_of_elements(self) -> dict[str, dict[str, Tensor]]:
        """How many entries of each parameter each element has, by layer and parameter.

        Elements that are sliced out of the network have no such number of their own, and are
        counted by an :meth:`entries_left` and a :meth:`most_entries_left` of theirs.
        """
        weights = self.network.weights
        entries: dict[str, dict[str, Tensor]] = {layer: {} for layer in self.sizes}
        for name in weights:
            ones = {n: torch.full_like(w.detach(), n == name) for n, w in weights.items()}
            for layer, sizes in self.sum_by_element(ones).items():
                if sizes.any():
                    entries[layer][name] = sizes.cpu().long()
        return entries

    def uneven_layer(self, quantity: str) -> str | None:
        """Name a layer whose elements do not all cost the same, if they are masked.

        Parameters
        ----------
        quantity : {"elements", "weights", "parameters", "macs", "bytes"}
            What is counted.

        Returns
        -------
        layer : str or None
            None if in each layer one element costs what another does.
        """
        if quantity == "elements":
            return None
        prices: dict[str, int] = {}
        for of_layer in self._prices_in(quantity).per_entry.values():
            for name, price in of_layer.items():
                prices[name] = prices.get(name, 0) + price
        for layer, tensors in self.entries_of_elements.items():
            costs = sum(prices.get(name, 0) * sizes for name, sizes in tensors.items())
            if layer in self.sizes and isinstance(costs, Tensor) and (costs != costs[0]).any():
                return layer
        return None

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

    def expand_to_readers(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Multiply what the elements pass on by values: as :meth:`expand_to_weights`, but once.

        Parameters
        ----------
        values : mapping of str to Tensor of shape (n_elements,)
            A value of each element, by layer.

        Returns
        -------
        spread : dict of str to Tensor
            As that of :meth:`expand_to_weights`. Of elements that have weights on both sides, as
            units do, only the weights that read what they put out have their values.
        """
        return self.expand_to_weights(values)

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
