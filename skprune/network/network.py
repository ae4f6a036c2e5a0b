"""A network under pruning: what is left of it, and where that stood in the original."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.network.coupling import Coupling, Forward, LayerSide, columns, goes
from skprune.network.layers import layer_for, weight_parameters
from skprune.network.removals import Removals
from skprune.network.tracing import trace_units

__all__ = [
    "Network",
    "all_tensors",
    "apply_masks",
    "axes_of_units",
    "spread_over_weights",
    "sum_over_units",
]


class Network:
    """A module that loses weights and units.

    Parameters
    ----------
    module : nn.Module
        The network; it is changed in place.
    inputs : object
        A few rows of input, on the module's device, to follow the graph and to measure with.
    forward : callable
        Computes the output of a module from inputs: ``forward(module, inputs)``.

    Attributes
    ----------
    masks : dict of str to Tensor of bool
        What is kept of each weight, by the parameter's name, in the shape that it has now.
    removals : Removals
        What was removed, to be removed of an equal network.
    couplings : dict of tuple to Coupling
        Units that were found, by what they were looked for with; all copies that have the same
        units share them.
    """

    def __init__(self, module: nn.Module, inputs: Any, forward: Forward) -> None:
        self.module = module
        self.inputs = inputs
        self.forward = forward
        self.masks: dict[str, Tensor] = {}
        self.couplings: dict[tuple[Any, ...], Coupling] = {}
        self.removals = Removals()
        # What outputs were multiplied with so that a scale stays: by the tensor's name, the
        # dimension and a factor for each place along it.
        self._factors: dict[str, tuple[int, Tensor]] = {}
        self._shapes = {name: tuple(p.shape) for name, p in weight_parameters(module).items()}
        self._kept: dict[str, list[Tensor]] = {
            name: [torch.arange(size) for size in tensor.shape]
            for name, tensor in all_tensors(module).items()
        }

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """The weights as they are now, by the parameter's name."""
        return weight_parameters(self.module)

    def original_masks(self) -> dict[str, np.ndarray]:
        """Say what is kept of each weight, in the shape of the original.

        Returns
        -------
        masks : dict of str to ndarray of bool
            By the parameter's name; True where the weight is kept.
        """
        result = {}
        for name, shape in self._shapes.items():
            mask = np.zeros(shape, dtype=bool)
            place = np.ix_(*(index.numpy() for index in self._kept[name]))
            mask[place] = self.masks[name].cpu().numpy() if name in self.masks else True
            result[name] = mask
        return result

    def set_masks(self, masks: Mapping[str, Tensor]) -> None:
        """Mask the weights and set what is not kept to zero."""
        self.masks = dict(masks)
        apply_masks(self.weights, self.masks)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set what is left to what it was in an earlier state of the network, in place.

        Parameters
        ----------
        state : mapping of str to Tensor
            Parameters and buffers of the original, by name, in their original shapes. Those that
            are not there stay as they are.
        """
        with torch.no_grad():
            for name, tensor in all_tensors(self.module).items():
                if name not in state:
                    continue
                earlier = state[name]
                for dim, index in enumerate(self._kept.get(name, ())):
                    if len(index) < earlier.shape[dim]:
                        earlier = earlier.index_select(dim, index.to(earlier.device))
                if name in self._factors:
                    dim, factors = self._factors[name]
                    earlier = earlier * _along(factors, dim, earlier)
                tensor.copy_(earlier)
        apply_masks(self.weights, self.masks)

    def trace(self, protected: tuple[str, ...] = ()) -> Coupling:
        """Find the units that the network has now."""
        if protected not in self.couplings:
            self.couplings[protected] = trace_units(
                self.module, self.inputs, self.forward, protected
            )
        return self.couplings[protected]

    def copy(self, *, shares_parameters: bool = False) -> "Network":
        """Copy the network, so that one of the two can be changed.

        Parameters
        ----------
        shares_parameters : bool, default=False
            Whether both have the same parameters, which then must not be changed in place; units
            can be removed of the copy all the same.

        Returns
        -------
        network : Network
            The copy.
        """
        shared = {id(p): p for p in self.module.parameters()} if shares_parameters else {}
        return self.on(deepcopy(self.module, shared), self.forward)

    def on(self, module: nn.Module, forward: Forward) -> "Network":
        """Say of a copy of the module what is known of this one.

        Parameters
        ----------
        module : nn.Module
            An equal module.
        forward : callable
            Computes its output.

        Returns
        -------
        network : Network
            The same with the other module.
        """
        other = Network(module, self.inputs, forward)
        other.masks = dict(self.masks)
        other.removals = self.removals.copy()
        other.couplings = self.couplings
        other._factors = dict(self._factors)
        other._shapes = dict(self._shapes)
        other._kept = {name: list(index) for name, index in self._kept.items()}
        return other

    def remove_units(self, coupling: Coupling, units: Tensor) -> None:
        """Remove units and all that belongs to them, in place.

        Parameters
        ----------
        coupling : Coupling
            The units of the network as it is now.
        units : Tensor of int
            Which of them go.
        """
        if not len(units):
            return
        self.couplings = {}  # a new one: copies share the other
        for (layer, side), ids in coupling.units.items():
            keep = ~goes(ids, units)
            if not keep.all():
                for tensor, dim, index in self.removals.cut(self.module, layer, side, keep):
                    self._record(tensor, dim, index)
        for place, attribute, ids, _ in coupling.widths:
            keep = ~goes(ids, units)
            if not keep.all():
                self.removals.set_width(self.module, place, attribute, int(keep.sum()))
        for layer, rows, ids in coupling.scales:
            n_left = int((~torch.isin(ids, units)).sum())
            if n_left < len(ids):
                kept = ~goes(coupling.units[LayerSide(layer, "out")], units)
                self._scale(layer, rows[kept], (n_left / len(ids)) ** 0.5)

    def _scale(self, layer: str, rows: Tensor, factor: float) -> None:
        """Multiply outputs of a layer, now and whenever the network goes back to early weights."""
        for axis in layer_for(self.module.get_submodule(layer)).axes("out"):
            name = f"{layer}.{axis.tensor}" if layer else axis.tensor
            tensor = all_tensors(self.module)[name]
            factors = torch.ones(len(rows), dtype=torch.float64).masked_fill(rows, factor)
            before = self._factors.get(name)
            self._factors[name] = (axis.dim, factors if before is None else factors * before[1])
            part = self.module.get_submodule(layer)
            scaled = tensor.detach() * _along(factors, axis.dim, tensor)
            setattr(part, axis.tensor, nn.Parameter(scaled, requires_grad=tensor.requires_grad))

    def _record(self, name: str, dim: int, index: Tensor) -> None:
        if name in self._kept:
            self._kept[name][dim] = self._kept[name][dim][index]
        if name in self._factors and self._factors[name][0] == dim:
            self._factors[name] = (dim, self._factors[name][1][index])
        if name in self.masks:
            mask = self.masks[name]
            self.masks[name] = mask.index_select(dim, index.to(mask.device))


def _along(factors: Tensor, dim: int, tensor: Tensor) -> Tensor:
    shape = [-1 if axis == dim else 1 for axis in range(tensor.dim())]
    return factors.to(tensor).view(shape)


def all_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a module by name, those that are not saved with it among them.

    Parameters
    ----------
    module : nn.Module
        The module.

    Returns
    -------
    tensors : dict of str to Tensor
        The module's own; a shared one stands once.
    """
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def apply_masks(weights: Mapping[str, nn.Parameter], masks: Mapping[str, Tensor]) -> None:
    """Set the weights that are not kept to zero, in place."""
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask.to(weights[name].device))


def sum_over_units(
    scores: Mapping[str, Tensor], coupling: Coupling, module: nn.Module, n_units: int
) -> Tensor:
    """Sum what each weight is worth over the units that it belongs to.

    Parameters
    ----------
    scores : mapping of str to Tensor
        A score for each weight, by the parameter's name.
    coupling : Coupling
        The units.
    module : nn.Module
        The network.
    n_units : int
        How many units there are.

    Returns
    -------
    totals : Tensor of shape (n_units,)
        The sum over everything that goes with the unit, what goes with another too included.
    """
    some = next(iter(scores.values()))
    totals = torch.zeros(n_units, dtype=torch.float64, device=some.device)
    for name, dim, ids in axes_of_units(coupling, module):
        if name in scores:
            channel = scores[name].movedim(dim, 0).flatten(1).sum(1, dtype=torch.float64)
            for column in columns(ids):
                mine = column.to(channel.device)
                totals.index_add_(0, mine[mine >= 0], channel[mine >= 0])
    return totals


def spread_over_weights(
    values: Tensor, weights: Mapping[str, Tensor], coupling: Coupling, module: nn.Module
) -> dict[str, Tensor]:
    """Give each weight the product of the values of the units that it belongs to.

    Parameters
    ----------
    values : Tensor of shape (n_units,)
        A value of each unit.
    weights : mapping of str to Tensor
        The weights, by the parameter's name.
    coupling : Coupling
        The units.
    module : nn.Module
        The network.

    Returns
    -------
    spread : dict of str to Tensor
        In the shapes of the weights; one for a weight that belongs to no unit.
    """
    spread = {
        name: torch.ones(weight.shape, dtype=values.dtype, device=weight.device)
        for name, weight in weights.items()
    }
    padded = torch.cat([values, values.new_ones(1)])  # -1, of a channel that stays, is the last
    for name, dim, ids in axes_of_units(coupling, module):
        if name in spread:
            factor = padded[ids].reshape(len(ids), -1).prod(1).to(spread[name].device)
            shape = [-1 if axis == dim else 1 for axis in range(spread[name].dim())]
            spread[name] *= factor.view(shape)
    return spread


def axes_of_units(coupling: Coupling, module: nn.Module) -> Iterator[tuple[str, int, Tensor]]:
    """Go through the tensors that have units.

    Parameters
    ----------
    coupling : Coupling
        The units.
    module : nn.Module
        The network.

    Yields
    ------
    name : str
        The tensor's name.
    dim : int
        One of its dimensions.
    ids : Tensor of int of shape (n,) or (n, n_columns)
        The units of each channel along it; see :class:`Coupling`.
    """
    modules = dict(module.named_modules())
    for (layer, side), ids in coupling.units.items():
        if isinstance(side, int):
            yield layer, side, ids
            continue
        for axis in layer_for(modules[layer]).axes(side):
            name = f"{layer}.{axis.tensor}" if layer else axis.tensor
            yield name, axis.dim, ids[: axis.period]
