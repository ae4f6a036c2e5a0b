"""Units: neurons, channels, embedding dimensions, with all that is coupled to them."""

from collections.abc import Callable, Mapping
from math import prod
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval
from skprune.exceptions import UntraceableError
from skprune.network.coupling import Coupling
from skprune.network.layers import layer_for
from skprune.network.network import (
    Network,
    all_tensors,
    axes_of_units,
    spread_over_weights,
    sum_over_units,
)
from skprune.network.verification import check_removal, check_units
from skprune.structures.base import Elements, Structure

__all__ = ["Unit"]


class Unit(Structure):
    """Neurons, channels and embedding dimensions, with everything that is coupled to them.

    They are removed from the network at once, so that what follows trains a smaller one. Layers
    that are joined by a sum, a concatenation or a depthwise convolution lose their units together
    and go by the name of the first of them. Units of the output, of layers that the user protects,
    and those that enter attention or a recurrent layer stay.

    Parameters
    ----------
    round_to : int, default=1
        What the number of units of each layer that stay is a multiple of, as hardware likes 8 or
        16: the allocation's number is rounded up, to all that the layer has at the most, and a
        layer keeps as many at the least. A target is then met from below, `sparsity` included: by
        the most units that, rounded up, are no more than it leaves. What is fixed for a layer by
        name is rounded up too.

    References
    ----------
    Fang, G., Ma, X., Song, M., Mi, M. B., & Wang, X. (2023). DepGraph: towards any structural
    pruning. Conference on Computer Vision and Pattern Recognition.

    Examples
    --------
    >>> from skprune import PrunedClassifier
    >>> PrunedClassifier(structure="unit").set_params(structure="weight")
    PrunedClassifier()
    >>> PrunedClassifier(structure="unit").set_params(structure__round_to=8)
    PrunedClassifier(structure=Unit(round_to=8))
    """

    _parameter_constraints: ClassVar[dict] = {
        "round_to": [Interval(Integral, 1, None, closed="left")]
    }

    def __init__(self, round_to: int = 1) -> None:
        self.round_to = round_to

    def elements(self, network: Network, protected: tuple[str, ...]) -> Elements:
        """Find what can be removed from a network; see :class:`Structure`."""
        coupling = network.trace(protected)
        if not coupling.groups:
            raise UntraceableError(
                f"{type(network.module).__name__} has no units that can be removed: all are "
                "outputs, protected, of layers that share a weight, out of sight (forward leaves "
                "torch, as for NumPy), or enter a layer whose units are coupled to its inside "
                "(attention, recurrent). Use structure='weight'."
            )
        check_units(network, coupling)
        return _Units(network, coupling, self.round_to)


class _Units(Elements):
    removes_by = "slice"

    def __init__(self, network: Network, coupling: Coupling, round_to: int) -> None:
        self.multiple = round_to
        self._units = dict(coupling.groups)
        self._coupling = coupling
        # Parts of groups of which one unit has to stay, by their places in the group.
        self._parts: dict[str, list[Tensor]] = {}
        for name, units in coupling.indispensable():
            if len(units) < len(coupling.groups[name]):
                places = torch.isin(coupling.groups[name], units)
                self._parts.setdefault(name, []).append(places)
        # Where the units are in the original, to count what is left of it.
        tensors = all_tensors(network.module)
        self._axes: dict[str, dict[int, Tensor]] = {}
        for name, dim, ids in axes_of_units(coupling, network.module):
            if name in tensors:
                self._axes.setdefault(name, {})[dim] = ids
        self._shapes = {name: tuple(tensors[name].shape) for name in self._axes}
        shapes = {
            name: tuple(layer_for(network.module.get_submodule(name)).weight.shape)
            for name in coupling.groups
        }
        sizes = {name: len(units) for name, units in coupling.groups.items()}
        super().__init__(network, shapes, sizes, coupling.group_of)

    @property
    def min_kept(self) -> dict[str, int]:
        step = self.multiple
        parts = {name: max(1, len(self._parts.get(name, ()))) for name in self.sizes}
        return {name: min(-(-n // step) * step, self.sizes[name]) for name, n in parts.items()}

    def must_keep(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        required = {}
        for name, parts in self._parts.items():
            if name in scores:
                stays = required[name] = torch.zeros(self.sizes[name], dtype=torch.bool)
                for part in parts:
                    if not (stays & part).any():
                        stays[scores[name].cpu().masked_fill(~part, -torch.inf).argmax()] = True
        return required

    @property
    def _n_units(self) -> int:
        return sum(len(units) for units in self._units.values())

    def sum_by_element(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        sums = sum_over_units(scores, self._coupling, self.network.module, self._n_units).cpu()
        return {name: sums[self._units[name]] for name in self.sizes}

    def expand_to_weights(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._expand(values, self._coupling)

    def expand_to_readers(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._expand(values, self._coupling.on("in"))

    def _expand(self, values: Mapping[str, Tensor], coupling: Coupling) -> dict[str, Tensor]:
        network = self.network
        by_unit = torch.ones(self._n_units, dtype=torch.float64)
        for name, value in values.items():
            by_unit[self._units[name]] = value.to(by_unit)
        return spread_over_weights(by_unit, network.weights, coupling, network.module)

    def entries_left(self, kept: Mapping[str, Tensor]) -> dict[str, int]:
        stays = torch.ones(self._n_units + 1, dtype=torch.bool)  # the last, of -1, does
        for name, mask in kept.items():
            stays[self._units[name]] = mask
        return self._entries(lambda ids: int(stays[ids].sum()))

    def most_entries_left(self, counts: Mapping[str, int]) -> dict[str, int]:
        def most(ids: Tensor) -> int:
            channels = torch.bincount(ids[ids >= 0], minlength=self._n_units)
            n_left = len(ids)
            for name, count in counts.items():
                smallest = channels[self._units[name]].sort().values
                n_left -= int(smallest[: len(smallest) - count].sum())
            return n_left

        return self._entries(most)

    def _entries(self, width: Callable[[Tensor], int]) -> dict[str, int]:
        """Count the entries of each tensor, given how many channels of a dimension are left."""
        left = {}
        for name, axes in self._axes.items():
            sizes = enumerate(self._shapes[name])
            left[name] = prod(width(axes[dim]) if dim in axes else size for dim, size in sizes)
        return left

    def _apply(self, kept: Mapping[str, Tensor]) -> None:
        gone = torch.cat(
            [self._units[name][self.kept[name] & ~mask] for name, mask in kept.items()]
        )
        if len(gone):
            whole = self.network.copy()
            self.network.remove_units(self._coupling, gone)
            check_removal(whole, self._coupling, gone, self.network)
            self._coupling = self._coupling.without(gone)
