"""Units: neurons, channels, embedding dimensions, with all that is coupled to them."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval, InvalidParameterError
from skprune.components import near_match
from skprune.exceptions import UntraceableError
from skprune.metrics.groups import UnitGroup, UnitGroups
from skprune.network.coupling import KINDS, Coupling, columns
from skprune.network.network import (
    Network,
    all_tensors,
    axes_of_units,
    spread_over_weights,
    sum_over_units,
)
from skprune.network.verification import check_removal, removable_units
from skprune.structures.base import Elements, Structure

__all__ = ["Unit"]


class Unit(Structure):
    """Neurons, channels, heads and the like, with everything that is coupled to them.

    They are removed from the network at once, so that what follows trains a smaller one. Layers
    that are joined by a sum, a concatenation or a depthwise convolution lose their units together
    and go by the name of the first of them. Units of the output and of layers that the user
    protects stay. So do those of a layer of which a trial shows that the network uses them in a way
    that its graph does not show. ``report_.groups`` lists what was found, and says of each layer
    that keeps its units why that is.

    Parameters
    ----------
    round_to : int, default=1
        What the number of units of each layer that stay is a multiple of, as hardware likes 8 or
        16: the allocation's number is rounded up, to all that the layer has at the most, and a
        layer keeps as many at the least. A target is then met from below, `sparsity` included: by
        the most units that, rounded up, are no more than it leaves. What is fixed for a layer by
        name is rounded up too.
    kinds : sequence of str, default=None
        Which kinds of units may go; all of them if None:

        - ``"neuron"``: an output of a linear layer, or of any other product;
        - ``"channel"``: an output channel of a convolution;
        - ``"head"``: a head of attention, with its rows in queries, keys, values and the output.
          Where several heads of queries share one of keys and values, these go together;
        - ``"head dimension"``: a dimension of all heads of a layer, with its rows in queries and
          keys, in values and the output, or in all of them, as the network allows. Queries are
          compared with keys on the scale of the original;
        - ``"hidden unit"``: one of a recurrent layer, with its row in each gate. Stacked layers and
          both directions lose those at equal places;
        - ``"embedding dimension"``: a column of an embedding.

        A unit that is several of these goes by that of the first layer that has it.

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
    >>> from skprune.structures import Unit
    >>> PrunedClassifier(structure=Unit(kinds=["head", "neuron"]))
    PrunedClassifier(structure=Unit(kinds=['head', 'neuron']))
    """

    _parameter_constraints: ClassVar[dict] = {
        "kinds": [list, tuple, None],
        "round_to": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, round_to: int = 1, kinds: Sequence[str] | None = None) -> None:
        self.round_to = round_to
        self.kinds = kinds

    def elements(self, network: Network, protected: tuple[str, ...]) -> Elements:
        """Find what can be removed from a network; see :class:`Structure`."""
        kinds = self._wanted_kinds()
        coupling = removable_units(network, protected)
        coupling = coupling.without_groups(
            {
                name: f"they are of kind {kind!r}, and {' and '.join(map(repr, kinds))} may go"
                for name, kind in coupling.kinds.items()
                if kind not in kinds
            }
        )
        if not coupling.groups:
            reasons = [
                f"{layer or type(network.module).__name__!r} keeps its units, since {reason}"
                for layer, reason in coupling.kept_whole.items()
            ]
            others = "all are protected, or out of sight (forward leaves torch, as for NumPy)"
            raise UntraceableError(
                f"{type(network.module).__name__} has no units that can be removed: "
                f"{'; '.join(reasons) or others}. Use structure='weight'."
            )
        return _Units(network, coupling, self.round_to)

    def _wanted_kinds(self) -> Sequence[str]:
        kinds: Sequence[str] = KINDS if self.kinds is None else self.kinds
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise InvalidParameterError(
                f"The 'kinds' parameter of Unit must be some of {list(KINDS)}. Got {unknown[0]!r} "
                f"instead.{near_match(str(unknown[0]), KINDS)}"
            )
        if not kinds:
            raise InvalidParameterError("The 'kinds' parameter of Unit must name a kind at least.")
        return kinds


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
        shapes = {name: tuple(tensors[w].shape) for name, w in coupling.weight_of.items()}
        sizes = {name: len(units) for name, units in coupling.groups.items()}
        super().__init__(network, shapes, sizes, coupling.group_of)

    def unit_groups(self) -> UnitGroups:
        layers: dict[str, list[str]] = {name: [] for name in self._units}
        for layer, group in self._coupling.group_of.items():
            layers[group].append(layer)
        for name, own in layers.items():
            first = name.partition(":")[0]
            if not own or first not in own:
                own.insert(0, first)
        left = {name: int(kept.sum()) for name, kept in self.kept.items()}
        return UnitGroups(
            [
                # What the allocation leaves alone keeps all of them.
                UnitGroup(
                    name,
                    self._coupling.kinds[name],
                    len(units),
                    left.get(name, len(units)),
                    tuple(layers[name]),
                )
                for name, units in self._units.items()
            ],
            self._coupling.kept_whole,
        )

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
        return self._entries(lambda ids: int(stays[ids].view(len(ids), -1).all(1).sum()))

    def most_entries_left(self, counts: Mapping[str, int]) -> dict[str, int]:
        def most(column: Tensor) -> int:
            channels = torch.bincount(column[column >= 0], minlength=self._n_units)
            n_left = len(column)
            for name, count in counts.items():
                smallest = channels[self._units[name]].sort().values
                n_left -= int(smallest[: len(smallest) - count].sum())
            return n_left

        def most_of_all(ids: Tensor) -> int:
            by_column = [most(column) for column in columns(ids)]
            # Of a whole table of heads and their dimensions so many are left as both say.
            whole = len(ids.unique(dim=0)) == prod(len(c.unique()) for c in columns(ids))
            return prod(by_column) // len(ids) ** (len(by_column) - 1) if whole else min(by_column)

        return self._entries(most_of_all)

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
