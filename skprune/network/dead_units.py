"""Units that weight pruning has left without a purpose: found, folded away, removed."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skprune.network.comparison import outputs_of, same_on, trials_for
from skprune.network.coupling import Coupling, columns
from skprune.network.layers import layer_for
from skprune.network.network import Network, all_tensors
from skprune.network.verification import removable_units

__all__ = ["remove_dead_units"]


def remove_dead_units(
    network: Network,
    protected: tuple[str, ...] = (),
    inputs: Any = None,
    *,
    may_add_biases: bool = True,
) -> Network:
    """Remove the units that cannot change an output, without changing any.

    A unit is dead if no weight leaves it, or if none enters it, so that it puts out a constant;
    the constant is folded into the biases of what follows. Removing a unit can kill others: it
    goes on until none is left. A group keeps its last unit, and units that go through a layer norm
    or a group norm stay, since there they count for the others.

    Parameters
    ----------
    network : Network
        The network; it is left as it is.
    protected : tuple of str
        Names of layers that keep their units.
    inputs : object, default=None
        Rows that the outputs are compared on; the network's own few if None.
    may_add_biases : bool, default=True
        Whether a layer without a bias may be given one to fold constants into. That can be more
        parameters than go.

    Returns
    -------
    smaller : Network
        A copy without the dead units. Those that the network uses in a way that its graph does not
        show stay; if all do, or there are none, it is the network itself.
    """
    trials = trials_for(network, inputs)
    for fold in (True, False):
        smaller = _without_dead_units(network, protected, trials, fold, may_add_biases)
        if smaller is not None and same_on(smaller, network, trials):
            return smaller
    return network


def _without_dead_units(
    network: Network,
    protected: tuple[str, ...],
    trials: list[Any],
    fold: bool,
    may_add_biases: bool,
) -> Network | None:
    removed = False
    try:
        if not _purposeless(network, network.trace(protected), fold).any():
            return None  # which spares the trials
        coupling = removable_units(network, protected)
        smaller = network.copy()
        while len(dead := _dead_units(smaller, coupling, trials if fold else [], may_add_biases)):
            smaller.remove_units(coupling, dead)
            coupling = coupling.without(dead)
            removed = True
    except Exception:  # a network that fails with fewer units keeps them
        return None
    return smaller if removed else None


def _dead_units(
    network: Network, coupling: Coupling, trials: list[Any], may_add_biases: bool
) -> Tensor:
    """Find dead units; those that put out a constant only if there are trials to see that it is."""
    dead = _purposeless(network, coupling, bool(trials))
    idle, constant = dead == _IDLE, dead == _CONSTANT
    for _, units in coupling.indispensable():
        if (idle | constant)[units].all():
            # The one that a layer keeps goes on putting out its constant: it is not folded.
            idle[units[0]] = constant[units[0]] = False
    if constant.any():
        constant = _fold(network, coupling, constant, trials, may_add_biases)
    return (idle | constant).nonzero().flatten()


# No weight leaves a unit; or none enters it.
_IDLE, _CONSTANT = 1, 2


def _purposeless(network: Network, coupling: Coupling, fold: bool) -> Tensor:
    """Say of each unit what makes it purposeless by its weights; zero if it is not."""
    n_units = coupling.n_units
    modules = dict(network.module.named_modules())
    enters = torch.zeros(n_units, dtype=torch.bool)
    leaves = torch.zeros(n_units, dtype=torch.bool)
    foldable = torch.full((n_units,), fold)
    for (name, side), ids in coupling.units.items():
        if isinstance(side, int):
            alive, into = _has_numbers(network.module, name, side)
            for column in columns(ids):
                mine = column[(column >= 0) & alive]
                if into is not False:
                    enters[mine] = True
                if into is not True:
                    leaves[mine] = True
                # It may add to the unit whatever its numbers are.
                foldable[column[column >= 0]] = False
        elif (layer := layer_for(modules[name])).has_weights:
            alive = layer.has_weight(side)
            for column in columns(ids):
                (enters if side == "out" else leaves)[column[(column >= 0) & alive]] = True
    removable = torch.zeros(n_units, dtype=torch.bool)
    for name, units in coupling.groups.items():
        removable[units] = name not in coupling.mixing
    return torch.where(leaves, _CONSTANT * (~enters & foldable), _IDLE) * removable


def _has_numbers(module: nn.Module, name: str, dim: int) -> tuple[Tensor, bool | None]:
    """Say where a tensor is not zero along a dimension, and whether it enters the units there.

    None if it may as well be what they leave by; a vector neither makes a unit alive nor lets it
    have an effect.
    """
    tensor = all_tensors(module)[name].detach()
    if tensor.numel() == tensor.shape[dim]:
        return torch.zeros(tensor.shape[dim], dtype=torch.bool), None
    found = tensor.movedim(dim, 0).flatten(1).ne(0).any(1).cpu()
    own = layer_for(module.get_submodule(name.rpartition(".")[0])).own_dims
    return found, None if own is None else dim in own


def _fold(
    network: Network,
    coupling: Coupling,
    constant: Tensor,
    trials: list[Any],
    may_add_biases: bool,
) -> Tensor:
    """Fold constant units into the biases of what they enter; say which could be folded."""
    modules = dict(network.module.named_modules())
    consumers = {
        layer_side.layer: ids
        for layer_side, ids in coupling.units.items()
        if layer_side.side == "in" and constant[ids[ids >= 0]].any()
    }
    values = _incoming(network, {name: modules[name] for name in consumers}, trials)
    folded = constant.clone()
    for name, ids in consumers.items():
        mine = (ids >= 0) & constant[ids.clamp(min=0)]
        value = values[name]
        channels = mine.nonzero().flatten()
        if value is None:
            folded[ids[channels]] = False
            continue
        lowest, highest = value[0][channels], value[1][channels]
        steady = torch.isclose(lowest, highest, rtol=1e-4, atol=1e-6)
        without_bias = getattr(modules[name], "bias", None) is None
        if not layer_for(modules[name]).passes_constants or (without_bias and not may_add_biases):
            steady &= (lowest == 0) & (highest == 0)
        folded[ids[channels[~steady]]] = False
    for name, ids in consumers.items():
        value = values[name]
        if value is not None:
            channels = ((ids >= 0) & folded[ids.clamp(min=0)]).nonzero().flatten()
            _add_to_bias(network, name, channels, value[0])
    return folded


def _incoming(
    network: Network, layers: Mapping[str, nn.Module], trials: list[Any]
) -> dict[str, tuple[Tensor, Tensor] | None]:
    """Smallest and largest value of each input channel of layers over all the trials."""
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}

    def look(name: str, layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        value = layer_for(layer).channel_values(arguments[0].detach()).cpu()
        seen[name].append((value.amin(0), value.amax(0)))

    hooks = [layer.register_forward_pre_hook(partial(look, name)) for name, layer in layers.items()]
    try:
        for trial in trials:
            outputs_of(network, trial)
    finally:
        for hook in hooks:
            hook.remove()
    # A layer that is used more than once, or not at all, has no one input.
    return {name: _range(of) if len(of) == len(trials) else None for name, of in seen.items()}


def _range(ranges: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    lowest, highest = zip(*ranges, strict=True)
    return torch.stack(lowest).amin(0), torch.stack(highest).amax(0)


def _add_to_bias(network: Network, name: str, channels: Tensor, value: Tensor) -> None:
    inputs = torch.zeros_like(value)
    inputs[channels] = value[channels]
    if not inputs.any():
        return
    layer = layer_for(network.module.get_submodule(name))
    module = layer.module
    shift, bias = layer.shift(inputs.to(layer.weight)), module.bias
    if bias is None:
        network.removals.add_bias(name, shift.dtype)
    module.bias = nn.Parameter(
        shift if bias is None else bias.detach() + shift,
        requires_grad=(layer.weight if bias is None else bias).requires_grad,
    )
