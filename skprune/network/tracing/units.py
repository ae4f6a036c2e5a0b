"""Makes units of labels."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skprune.network.coupling import Coupling, Kind, LayerSide, Width
from skprune.network.guesses import scales_of
from skprune.network.layers import Side, layer_for, layer_of
from skprune.network.tracing.labels import HEAD, HEAD_DIMENSION, MIXED, SCALING, Array, Labels
from skprune.network.tracing.recorder import Recorder
from skprune.network.tracing.values import Dim

__all__ = ["units_of"]


def units_of(module: nn.Module, recorder: Recorder, protected: frozenset[str]) -> Coupling:
    """Say which channels go together, of which kinds they are, and why others stay.

    Parameters
    ----------
    module : nn.Module
        The network.
    recorder : Recorder
        What was found out when it was run.
    protected : frozenset of str
        Names of layers and parameters that keep their units.

    Returns
    -------
    coupling : Coupling
        The units.
    """
    found = _Found(module, recorder)
    found.protect(protected)
    found.number_units()
    return found.coupling(protected)


@dataclass
class _Found:
    module: nn.Module
    recorder: Recorder
    numbers: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)  # of the group of a label
    result: Coupling = field(default_factory=Coupling)

    def __post_init__(self) -> None:
        self.modules = dict(self.module.named_modules())
        self.labels: Labels = self.recorder.channels.labels
        self.owners, self.first_names = _owners(self.module)
        self.sides = dict(self._sides())

    # Where channels are.

    def _sides(self) -> Iterator[tuple[LayerSide, Dim]]:
        """Go through all places that have channels, those that classes of layers know first."""
        known: set[tuple[str, int]] = set()
        used = self.recorder.used
        for name, part in self.modules.items():
            layer = layer_for(part)
            if layer.has_computed_tensors:
                continue
            for side in self._sides_of(name):
                axes = [(self.first_names[name, a.tensor], a) for a in layer.axes(side)]
                if any(len(self.owners.get(tensor, ())) > 1 for tensor, _ in axes):
                    continue
                axes = [(tensor, axis) for tensor, axis in axes if tensor in used]
                width = layer.n_channels(side)
                if axes and width is not None:
                    tensor, axis = axes[0]
                    dim = self.recorder.tensors[tensor].dims[axis.dim]
                    if isinstance(dim, np.ndarray):
                        yield LayerSide(name, side), _repeated(dim, width)
                    known.update((tensor, axis.dim) for tensor, axis in axes)
                elif name in self.recorder.passed_on and not list(layer.axes(side)):
                    yield LayerSide(name, side), self.recorder.passed_on[name]
        for tensor, value in self.recorder.tensors.items():
            for place, dim in enumerate(value.dims):
                if tensor in used and (tensor, place) not in known:
                    yield LayerSide(tensor, place), dim

    def _sides_of(self, name: str) -> tuple[Side, ...]:
        layer = layer_for(self.modules[name])
        if layer.out_axes and not layer.passes_on and layer.in_axes:
            return ("out", "in")
        return ("out",) if layer.out_axes or layer.out_widths else ()

    @staticmethod
    def _name(layer: str, tensor: str) -> str:
        return f"{layer}.{tensor}" if layer else tensor

    # What stays.

    def protect(self, protected: frozenset[str]) -> None:
        """Keep the channels that protected layers put out, and all of protected parameters."""
        for name in self._protected_places(protected):
            dim = self.sides[name]
            if isinstance(dim, np.ndarray):
                self.labels.fix(dim, "the layer is protected")

    def _protected_places(self, protected: frozenset[str]) -> Iterator[LayerSide]:
        owners = {name.rpartition(".")[0] for name in protected if name in self.owners}
        for place in self.sides:
            if isinstance(place.side, str):
                if place.side == "out" and place.layer in protected | owners:
                    yield place
            elif place.layer in protected:
                yield place
            else:
                for name in self.owners[place.layer] & (protected | owners):
                    dims = layer_for(self.modules[name]).own_dims
                    if dims is None or place.side in dims:
                        yield place

    # What goes.

    def number_units(self) -> None:
        """Give numbers to what is left, group by group: layers in their order, then the others."""
        own = [
            (name, LayerSide(name, "out"))
            for name, part in self.modules.items()
            if layer_for(part).makes_units and LayerSide(name, "out") in self.sides
        ]
        for layer, place in own:
            self._number(layer, place)
        for place in self.sides:
            if isinstance(place.side, int):
                self._number(self._layer_of(place), place)

    def _layer_of(self, place: LayerSide) -> str:
        """Name the layer of a tensor as users write it."""
        owner = place.layer.rpartition(".")[0].partition(".parametrizations")[0]
        if owner in self.modules and layer_for(self.modules[owner]).n_units:
            return owner
        return layer_of(place.layer)

    def _number(self, layer: str, place: LayerSide) -> None:
        dim = self.sides[place]
        if not isinstance(dim, np.ndarray):
            return
        atoms = self.labels.atoms(dim)
        fixed = self.labels.is_fixed(atoms)
        # What changes fastest is named first: of groups and places in them, the places.
        for column, stays in zip(atoms.T[::-1], fixed.T[::-1], strict=True):
            labels = np.array(list(dict.fromkeys(column[~stays].tolist())), dtype=np.int64)
            new = np.array([label for label in labels if label not in self.numbers], dtype=np.int64)
            for role, suffix in ((HEAD, ":heads"), (HEAD_DIMENSION, ":head_dims"), (0, "")):
                mine = new[self._has_role(new, role)]
                # One unit of a head, or of what is like it, cannot go.
                if mine.size > 1 or (mine.size and atoms.shape[1] == 1):
                    self._add(layer, suffix, role, mine, place)
            named = [self.names[label] for label in labels.tolist() if label in self.names]
            if named and layer not in self.result.group_of:
                self.result.group_of[layer] = named[0]

    def _has_role(self, labels: Array, role: int) -> NDArray[np.bool_]:
        if role == HEAD_DIMENSION:
            return self.labels.has_role(labels, role) & ~self.labels.has_role(labels, HEAD)
        return self.labels.has_role(labels, role or HEAD | HEAD_DIMENSION) == bool(role)

    def _add(self, layer: str, suffix: str, role: int, labels: Array, place: LayerSide) -> None:
        name, count = layer + suffix, 1
        while name in self.result.groups:
            count += 1
            name = f"{layer}{suffix}:{count}"
        start = len(self.numbers)
        self.numbers |= {int(label): start + i for i, label in enumerate(labels)}
        self.names |= dict.fromkeys(labels.tolist(), name)
        self.result.groups[name] = torch.arange(start, start + len(labels))
        self.result.kinds[name] = self._kind(layer, role)
        self.result.weight_of[name] = self._weight(place)

    def _kind(self, layer: str, role: int) -> Kind:
        if role:
            return "head" if role == HEAD else "head dimension"
        return layer_for(self.modules[layer]).kind if layer in self.modules else "neuron"

    def _weight(self, place: LayerSide) -> str:
        if isinstance(place.side, int):
            return place.layer
        layer = layer_for(self.modules[place.layer])
        tensors = [axis.tensor for axis in layer.axes("out")]
        weight = next((t for t in tensors if getattr(layer.module, t).dim() >= 2), tensors[0])
        return self._name(place.layer, weight)

    # The result.

    def coupling(self, protected: frozenset[str]) -> Coupling:
        """Say of each channel which units it belongs to."""
        result = self.result
        for place, dim in self.sides.items():
            if (ids := self._ids(dim)) is not None:
                result.units[place] = ids
        coupling = Coupling(
            result.units,
            result.groups,
            result.kinds,
            result.group_of,
            result.weight_of,
            [*self._known_widths(), *self._counts(), *self._guessed_widths()],
            mixing=frozenset(self._names_with(MIXED)),
            kept_whole=dict(self._kept_whole(protected)),
            not_run=tuple(self._not_run()),
            norms=dict(self.recorder.norms),
        )
        scales = [
            next(scales_of(coupling, name), None) for name in sorted(self._names_with(SCALING))
        ]
        coupling.scales.extend(scale for scale in scales if scale is not None)
        return coupling

    def _names_with(self, role: int) -> set[str]:
        """Name the groups with units that are used in this way."""
        labels = np.array(list(self.names), dtype=np.int64)
        found = labels[self.labels.has_role(labels, role)]
        return {self.names[label] for label in found.tolist()}

    def _not_run(self) -> Iterator[str]:
        """Name the layers none of whose own parameters was seen."""
        for name, part in self.modules.items():
            own = [
                self.first_names[name, leaf]
                for leaf, p in part._parameters.items()
                if p is not None
            ]
            if own and not self.recorder.used & {*own}:
                yield name

    def _ids(self, dim: Dim) -> Tensor | None:
        """Give the units of channels; None if all stay."""
        if not isinstance(dim, np.ndarray):
            return None
        atoms = self.labels.atoms(dim)
        known = np.array([self.numbers.get(label, -1) for label in atoms.ravel().tolist()])
        # Each unit of a channel once, in the same order for all channels.
        ids = np.sort(known.reshape(atoms.shape), 1)[:, ::-1]
        ids[:, 1:][ids[:, 1:] == ids[:, :-1]] = -1
        ids = np.sort(ids, 1)[:, ::-1]
        ids = ids[:, (ids >= 0).any(0)]
        if not ids.size:
            return None
        return torch.from_numpy((ids[:, 0] if ids.shape[1] == 1 else ids).copy())

    def _known_widths(self) -> Iterator[Width]:
        """Go through attributes of layers whose tensors are shared or computed."""
        for name, part in self.modules.items():
            layer = layer_for(part)
            for side in self._sides_of(name):
                if LayerSide(name, side) in self.sides:
                    continue
                for tensor, axis, width in _axes(self, name, side):
                    dim = self.recorder.tensors[tensor].dims[axis]
                    if tensor in self.recorder.used and isinstance(dim, np.ndarray):
                        ids = self._ids(_repeated(dim, width))
                        widths = layer.out_widths if side == "out" else layer.in_widths
                        if ids is not None:
                            yield from (Width(name, attribute, ids) for attribute in widths)
                        break

    def _counts(self) -> Iterator[Width]:
        """Go through attributes of layers that say themselves what they count."""
        for name, part in self.modules.items():
            for attribute, tensor, axis, of in layer_for(part).counts():
                owner, _, leaf = self._name(name, tensor).rpartition(".")
                known = self.recorder.tensors[self.first_names[owner, leaf]].dims[axis]
                ids = self._ids(known if of == "channel" else self._of_role(known, of))
                if ids is not None:
                    yield Width(name, attribute, ids)

    def _of_role(self, dim: Dim, role: str) -> Dim:
        """Take each of the heads, or of the dimensions of a head, that channels have."""
        if not isinstance(dim, np.ndarray):
            return None
        labels = np.array(list(dict.fromkeys(self.labels.atoms(dim).ravel().tolist())))
        labels = labels[self._has_role(labels, HEAD if role == "head" else HEAD_DIMENSION)]
        return labels[:, None] if labels.size else None

    def _guessed_widths(self) -> Iterator[Width]:
        """Go through attributes that have the size of channels that their module has seen."""
        for name, sizes in self.recorder.widths.items():
            part = self.modules[name]
            layer = layer_for(part)
            if layer.out_widths or layer.in_widths or any(layer.counts()):
                continue  # known without guessing
            for attribute, value in vars(part).items():
                if (size := _whole_number(value)) is None:
                    continue
                seen: list[Tensor] = []
                for dim in sizes.get(size, ()):
                    ids = self._ids(dim)
                    if ids is not None and not any(torch.equal(ids, other) for other in seen):
                        seen.append(ids)
                        yield Width(name, attribute, ids, is_guessed=True)

    def _kept_whole(self, protected: frozenset[str]) -> Iterator[tuple[str, str]]:
        """Say of layers with weights that lose nothing why that is."""
        places = set(self._protected_places(protected))
        for place, dim in self.sides.items():
            layer = place.layer if isinstance(place.side, str) else self._layer_of(place)
            if layer in self.result.group_of or place in places:
                continue
            makes_units = layer in self.modules and layer_for(self.modules[layer]).makes_units
            if isinstance(place.side, int) == makes_units or place.side == "in":
                continue
            if isinstance(dim, np.ndarray) and (reason := self.labels.reason(dim)):
                yield layer, reason


def _axes(found: _Found, name: str, side: Side) -> Iterator[tuple[str, int, int]]:
    """Go through the tensors that a shared or computed tensor of a layer is, or is made of."""
    layer = layer_for(found.modules[name])
    width = layer.n_channels(side)
    for axis in layer.axes(side):
        tensor = getattr(layer.module, axis.tensor)
        for known, value in found.recorder.tensors.items():
            own = found._name(name, axis.tensor)
            made_of = known in (f"{own}_orig", f"{own}_v")  # as torch's older functions call them
            made_of |= known.startswith(found._name(name, f"parametrizations.{axis.tensor}."))
            if (value.tensor is tensor or made_of) and value.tensor.dim() == tensor.dim():
                yield known, axis.dim, width or 0


def _owners(module: nn.Module) -> tuple[dict[str, set[str]], dict[tuple[str, str], str]]:
    """Name the modules that have each tensor, and the first name of each tensor of a module."""
    names = {
        id(tensor): name for name, tensor in [*module.named_parameters(), *module.named_buffers()]
    }
    owners: dict[str, set[str]] = {}
    first_names = {}
    for name, part in module.named_modules():
        for leaf, tensor in [*part._parameters.items(), *part._buffers.items()]:
            if tensor is not None:
                owners.setdefault(names[id(tensor)], set()).add(name)
                first_names[name, leaf] = names[id(tensor)]
    return owners, first_names


def _repeated(dim: Array, width: int) -> Array:
    """Repeat channels that stand for those of each group, to so many."""
    return np.tile(dim, (width // len(dim), 1))


def _whole_number(value: object) -> int | None:
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    return value if type(value) is int and value > 1 else None
