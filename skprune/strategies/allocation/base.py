"""What every allocation is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from skprune.components import Component
from skprune.strategies.allocation.apportion import apportion_layers
from skprune.strategies.samples import Samples
from skprune.structures import Elements

__all__ = ["Allocation", "KeepBudget", "divide"]


@dataclass(frozen=True)
class KeepBudget:
    """How much is to be kept, and of what.

    Attributes
    ----------
    n_keep : int
        Number of elements to keep in all.
    n_final : int
        Number of elements that the last step will keep; `n_keep` at the last step.
    sizes : mapping of str to int
        Number of elements of each layer of the original network.
    shapes : mapping of str to tuple of int
        Shape of each layer's weight in the original network.
    scores : mapping of str to Tensor of shape (n_elements,)
        What each element is worth; minus infinity for those that are gone.
    alive : mapping of str to int
        Number of elements of each layer that are left.
    min_kept : mapping of str to int
        Number of elements that each layer keeps at the least.
    """

    n_keep: int
    n_final: int
    sizes: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    scores: Mapping[str, Tensor]
    alive: Mapping[str, int]
    min_kept: Mapping[str, int]


class Allocation(Component, ABC):
    """Spreads a target over the layers."""

    @property
    def compares_layers(self) -> bool:
        """Whether it compares the scores of elements of different layers."""
        return False

    def measured(
        self,
        elements: Elements,
        scores: Mapping[str, Tensor],
        samples: Samples,
        generator: torch.Generator,
        quantity: str,
    ) -> "Allocation":
        """Look at the network before a step, where that takes part in the division.

        Parameters
        ----------
        elements : Elements
            What can be removed. Its ``network`` is the network, which stays as it is.
        scores : mapping of str to Tensor of shape (n_elements,)
            What each element is worth; minus infinity for those that are gone.
        samples : Samples
            Rows that the network is trained on.
        generator : torch.Generator
            The source of randomness.
        quantity : {"elements", "weights", "parameters", "macs", "bytes"}
            What the target is counted in.

        Returns
        -------
        allocation : Allocation
            One that divides what this step keeps; this one itself by default.
        """
        return self

    @abstractmethod
    def counts(self, budget: KeepBudget) -> dict[str, int]:
        """Say how many elements each layer keeps.

        Parameters
        ----------
        budget : KeepBudget
            What is asked for.

        Returns
        -------
        counts : dict of str to int
            By layer; between ``min_kept`` and what is left of it, together ``n_keep``.
        """

    def limits(
        self, sizes: Mapping[str, int], min_kept: Mapping[str, int]
    ) -> dict[str, tuple[int, int]]:
        """Say how many elements each layer may keep in the end.

        Parameters
        ----------
        sizes : mapping of str to int
            Number of elements of each layer.
        min_kept : mapping of str to int
            Number of elements that each layer keeps at the least.

        Returns
        -------
        limits : dict of str to (int, int)
            The fewest and the most, by layer.

        Raises
        ------
        UnreachableSparsityError
            If a layer would be emptied.
        """
        return {name: (min_kept[name], size) for name, size in sizes.items()}

    @property
    def restricts(self) -> str:
        """What it says of which layers, for messages; empty if it says nothing of any."""
        return ""

    def left_alone(self, elements: Elements, *, only_named: bool) -> set[str]:
        """Say which layers are not pruned at all, and count for nothing.

        Parameters
        ----------
        elements : Elements
            What can be pruned.
        only_named : bool
            Whether layers that the allocation does not name are left alone.

        Returns
        -------
        names : set of str
            The layers that are not to be pruned.
        """
        return set()

    def own_target(self, sizes: Mapping[str, int]) -> float:
        """Say which sparsity the allocation means by itself.

        Parameters
        ----------
        sizes : mapping of str to int
            Number of elements of each layer.

        Returns
        -------
        sparsity : float
            The sparsity over all layers.

        Raises
        ------
        ValueError
            If the allocation spreads whatever it is given.
        """
        raise ValueError(
            "sparsity=None needs an allocation that says how much to prune (a sparsity for each "
            "layer by name), a regularizer that decides ('l1', 'group_lasso', 'l0'), or a "
            f"structure that fixes it ('2:4'). {self!r} spreads whatever it is given; set sparsity "
            "in [0, 1)."
        )


def divide(budget: KeepBudget, weights: Mapping[str, float]) -> dict[str, int]:
    """Divide what is to be kept in proportion to weights, within what each layer can keep.

    Parameters
    ----------
    budget : KeepBudget
        What is asked for.
    weights : mapping of str to float
        A positive weight for each layer.

    Returns
    -------
    counts : dict of str to int
        By layer.
    """
    return apportion_layers(budget.n_keep, weights, budget.min_kept, budget.alive)
