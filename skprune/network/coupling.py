"""Which channels of a network can only be removed together."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from skprune.network.layers import Side

__all__ = ["KINDS", "Coupling", "Forward", "Kind", "LayerSide", "Scale", "Width", "columns", "goes"]

Forward = Callable[[nn.Module, Any], Any]
Kind: TypeAlias = Literal[
    "neuron", "channel", "head", "head dimension", "hidden unit", "embedding dimension"
]
KINDS: tuple[Kind, ...] = (
    "neuron",
    "channel",
    "head",
    "head dimension",
    "hidden unit",
    "embedding dimension",
)


class LayerSide(NamedTuple):
    """One side of one layer (``layer`` a module's name), or one dimension of a tensor.

    A tensor (``layer`` its name, ``side`` the dimension) stands for itself if no class of layers
    says where its channels are, or if several layers share it.
    """

    layer: str
    side: Side | int


class Width(NamedTuple):
    """A whole number that a module has, and the channels that it counts.

    It may be guessed, since it is as large as they are many; then a trial has to show it.
    """

    module: str
    attribute: str
    units: Tensor
    is_guessed: bool = False


class Scale(NamedTuple):
    """Outputs of a layer that grow with the square root of the number of units that are left.

    Queries are compared with keys on a scale that torch takes from the width of a head, unless it
    is told another. Where that width changes, the queries make up for it.
    """

    layer: str
    rows: Tensor
    units: Tensor


@dataclass(frozen=True)
class Coupling:
    """The removable units of a network.

    Attributes
    ----------
    units : dict of LayerSide to Tensor of int of shape (n_channels,) or (n_channels, n_columns)
        For each channel of each side of a layer the unit that it belongs to; -1 where it has to
        stay. Channels may belong to several, such as to a head and to one of the head's
        dimensions: they stay if all of these do.
    groups : dict of str to Tensor of int
        The units of each coupled group, by the name of its first layer. Heads of attention and
        their dimensions are groups of their own, with ``":heads"`` or ``":head_dims"`` at the end.
    kinds : dict of str to str
        What the units of each group are.
    group_of : dict of str to str
        The group that a layer's own units are in, by the layer's name.
    weight_of : dict of str to str
        The first weight of each group, by the parameter's name.
    widths : list of Width
        Attributes that no class of layers tells of, which count channels.
    scales : list of Scale
        Layers whose outputs have to make up for a scale that changes with the units.
    mixing : frozenset of str
        Names of groups whose units pass through a norm over all of them.
    kept_whole : dict of str to str
        Why the units of a layer have to stay, by the layer's name: a clause that completes "keeps
        its units, since". Layers whose units go, and those that the user protects, are not there.
    not_run : tuple of str
        Names of layers that were not run, whatever was tried.
    norms : dict of str to int
        The dimension of the channels in what norms over channels are given.
    """

    units: dict[LayerSide, Tensor] = field(default_factory=dict)
    groups: dict[str, Tensor] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    group_of: dict[str, str] = field(default_factory=dict)
    weight_of: dict[str, str] = field(default_factory=dict)
    widths: list[Width] = field(default_factory=list)
    scales: list[Scale] = field(default_factory=list)
    mixing: frozenset[str] = frozenset()
    kept_whole: dict[str, str] = field(default_factory=dict)
    not_run: tuple[str, ...] = ()
    norms: dict[str, int] = field(default_factory=dict)

    @property
    def n_units(self) -> int:
        """How many numbers of units there may be, those that are gone included."""
        return 1 + max(
            (int(units.max()) for units in self.groups.values() if len(units)), default=-1
        )

    def indispensable(self) -> Iterator[tuple[str, Tensor]]:
        """Go through sets of units of which one has to stay, or a layer would be left without any.

        Yields
        ------
        group : str
            The group that they are in.
        units : Tensor of int
            All units of the group first; then the part of it that a layer has, where it has all
            units of no group.
        """
        yield from self.groups.items()
        seen = set()
        for ids in self.units.values():
            for column in columns(ids):
                mine = set(column.tolist())
                if not mine or min(mine) < 0:
                    continue
                if any(mine.issuperset(u.tolist()) for u in self.groups.values()):
                    continue
                parts = {
                    name: units[torch.isin(units, column)]
                    for name, units in self.groups.items()
                    if torch.isin(units, column).any()
                }
                group = max(parts, key=lambda name: len(parts[name]))
                if (key := tuple(parts[group].tolist())) not in seen:
                    seen.add(key)
                    yield group, parts[group]

    def on(self, side: Side) -> "Coupling":
        """Give the same units, and of the layers this side alone."""
        units = {
            layer_side: ids for layer_side, ids in self.units.items() if layer_side.side == side
        }
        return replace(self, units=units)

    def without(self, units: Tensor) -> "Coupling":
        """Give the coupling of a network that has lost units; the others keep their numbers."""
        return replace(
            self,
            units={side: ids[~goes(ids, units)] for side, ids in self.units.items()},
            groups={name: ids[~torch.isin(ids, units)] for name, ids in self.groups.items()},
            widths=[w._replace(units=w.units[~goes(w.units, units)]) for w in self.widths],
            scales=[self._scale_without(scale, units) for scale in self.scales],
        )

    def _scale_without(self, scale: Scale, units: Tensor) -> Scale:
        kept = ~goes(self.units[LayerSide(scale.layer, "out")], units)
        left = scale.units[~torch.isin(scale.units, units)]
        return scale._replace(rows=scale.rows[kept], units=left)

    def tied(self, name: str, other: str) -> "Coupling":
        """Let units at equal places of two groups of one size go together."""
        number = torch.arange(self.n_units + 1)
        number[self.groups[other]] = self.groups[name]
        groups = {n: ids for n, ids in self.groups.items() if n != other}
        left = torch.cat(list(groups.values()))
        number = torch.searchsorted(left.sort().values, number)
        number[-1] = -1
        return replace(
            self,
            units={side: number[ids] for side, ids in self.units.items()},
            groups={n: number[ids] for n, ids in groups.items()},
            group_of={layer: name if g == other else g for layer, g in self.group_of.items()},
            kinds={n: kind for n, kind in self.kinds.items() if n != other},
            weight_of={n: weight for n, weight in self.weight_of.items() if n != other},
            widths=[w._replace(units=number[w.units]) for w in self.widths],
            scales=[scale._replace(units=number[scale.units]) for scale in self.scales],
            mixing=self.mixing - {other} | ({name} if other in self.mixing else set()),
        )

    def without_groups(self, reasons: Mapping[str, str]) -> "Coupling":
        """Leave all units of some groups where they are.

        Parameters
        ----------
        reasons : mapping of str to str
            Why, by the name of the group; see ``kept_whole``.

        Returns
        -------
        coupling : Coupling
            The units of the other groups, numbered anew.
        """
        if not reasons:
            return self
        number = torch.full((self.n_units + 1,), -1)  # the last, of -1, stays so
        groups, count = {}, 0
        for name, units in self.groups.items():
            if name not in reasons:
                groups[name] = number[units] = torch.arange(count, count + len(units))
                count += len(units)
        numbered = {side: _trimmed(number[ids]) for side, ids in self.units.items()}
        # A layer of attention may have heads left, whose dimensions stay.
        others = {name.partition(":")[0]: name for name in groups}
        group_of = {
            layer: others.get(layer, group) if group in reasons else group
            for layer, group in self.group_of.items()
        }
        stays = {layer: group for layer, group in group_of.items() if group in reasons}
        return Coupling(
            {side: ids for side, ids in numbered.items() if (ids >= 0).any()},
            groups,
            {name: kind for name, kind in self.kinds.items() if name in groups},
            {layer: group for layer, group in group_of.items() if group in groups},
            {name: weight for name, weight in self.weight_of.items() if name in groups},
            [
                width._replace(units=ids)
                for width in self.widths
                if ((ids := _trimmed(number[width.units])) >= 0).any()
            ],
            [
                scale._replace(units=number[scale.units])
                for scale in self.scales
                if (number[scale.units] >= 0).all()
            ],
            self.mixing & groups.keys(),
            {**self.kept_whole, **{layer: reasons[group] for layer, group in stays.items()}},
            self.not_run,
            self.norms,
        )


def columns(ids: Tensor) -> Iterator[Tensor]:
    """Go through the units of channels that may belong to several, one each at a time."""
    yield from (ids[:, None] if ids.dim() == 1 else ids).unbind(1)


def goes(ids: Tensor, units: Tensor) -> Tensor:
    """Say which channels go with some units.

    Parameters
    ----------
    ids : Tensor of int of shape (n_channels,) or (n_channels, n_columns)
        The units that each channel belongs to.
    units : Tensor of int
        Units that are removed.

    Returns
    -------
    goes : Tensor of bool of shape (n_channels,)
        Whether any of its units is among them.
    """
    gone = torch.isin(ids, units)
    return gone if ids.dim() == 1 else gone.any(1)


def _trimmed(ids: Tensor) -> Tensor:
    """Leave out columns in which all stay."""
    if ids.dim() == 1:
        return ids
    left = ids[:, (ids >= 0).any(0)]
    return left[:, 0] if left.shape[1] == 1 else left if left.shape[1] else ids[:, 0]
