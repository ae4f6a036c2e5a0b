"""Check by trial that removing units does to the outputs what it should."""

from typing import Any

import torch
from torch import Tensor, nn

from skprune.exceptions import UntraceableError
from skprune.network.coupling import Coupling
from skprune.network.layers import layer_for
from skprune.network.network import Network

__all__ = ["check_units", "misread_groups", "mixing_groups", "outputs_of", "same_outputs"]


def mixing_groups(coupling: Coupling, module: nn.Module) -> set[str]:
    """Names of the groups whose units pass through a norm that mixes channels.

    Layer norm and group norm compute statistics over the channels that are there: without a unit
    they are other numbers, even where the unit was constant.
    """
    mixed = {
        unit
        for slot, ids in coupling.units.items()
        if slot.layer not in coupling.parameter_dims
        and layer_for(module.get_submodule(slot.layer)).mixes_units
        for unit in ids.tolist()
    }
    return {name for name, units in coupling.groups.items() if mixed & set(units.tolist())}


def check_units(network: Network, coupling: Coupling) -> None:
    """Remove a few units of every group from a copy and see that nothing else changes.

    Parameters
    ----------
    network : Network
        The network; it is left as it is.
    coupling : Coupling
        Its units.

    Raises
    ------
    UntraceableError
        If the network no longer runs, or computes something else than with the unit's outgoing
        weights at zero. The message names the layers.
    """
    if wrong := misread_groups(network, coupling):
        raise UntraceableError(
            f"The units of {wrong} cannot be removed: without one of them the network fails or "
            "computes something else, since it uses them in a way its graph does not show. Protect "
            f"these layers (protect={wrong}) or use structure='weight'."
        )


def misread_groups(network: Network, coupling: Coupling) -> list[str]:
    """Name the groups of which a trial shows that the network's graph does not tell all.

    Parameters
    ----------
    network : Network
        The network; it is left as it is.
    coupling : Coupling
        Its units.

    Returns
    -------
    names : list of str
        Of the groups; all of them if they are misread only together.
    """
    groups = {name: units for name, units in coupling.groups.items() if len(units) > 1}
    if not groups or _agrees(network, coupling, groups):
        return []
    wrong = [name for name in groups if not _agrees(network, coupling, {name: groups[name]})]
    return wrong or list(groups)


def _agrees(network: Network, coupling: Coupling, groups: dict[str, Tensor]) -> bool:
    gone = torch.cat([_some(units) for units in groups.values()])
    mixed = mixing_groups(coupling, network.module)
    try:
        cut = network.copy()
        cut.remove_units(coupling, gone)
        without = outputs_of(cut)
    except Exception:
        return False
    if mixed & groups.keys():
        return True
    masked = network.copy()
    for slot, ids in coupling.units.items():
        channels = torch.isin(ids, gone).nonzero().flatten()
        if slot.layer in coupling.parameter_dims or not len(channels):
            continue
        layer = layer_for(masked.module.get_submodule(slot.layer))
        if not layer.normalizes:
            layer.zero(slot.side, channels)
    return same_outputs(without, outputs_of(masked))


def _some(units: Tensor) -> Tensor:
    """Both ends and the middle: what mixes neighbours (a sum, a shift) may spare some of them."""
    return units[[0, len(units) // 2, -1]] if len(units) > 3 else units[::2]


def same_outputs(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    """Whether two networks computed the same, up to the rounding of reordered sums."""
    return all(map(_same, ours, theirs))


def _same(ours: Tensor, theirs: Tensor) -> bool:
    if ours.shape != theirs.shape or not ours.is_floating_point():
        return torch.equal(ours, theirs)
    # Half the digits: sums over many terms and layers lose some of the others.
    rounding = torch.finfo(ours.dtype).eps ** 0.5
    finite = theirs[theirs.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(ours, theirs, rtol=0.0, atol=rounding * scale, equal_nan=True)


def outputs_of(network: Network, inputs: Any = None) -> list[Tensor]:
    """Compute the outputs of a network in evaluation mode.

    Parameters
    ----------
    network : Network
        The network.
    inputs : object, default=None
        What it is given; its own few rows if None.

    Returns
    -------
    outputs : list of Tensor
        Every floating-point tensor that it returns.
    """
    training = network.module.training
    network.module.eval()
    try:
        with torch.no_grad():
            inputs = network.inputs if inputs is None else inputs
            return _flat(network.forward(network.module, inputs))
    finally:
        network.module.train(training)


def _flat(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    values = outputs.values() if isinstance(outputs, dict) else outputs
    return [tensor for value in values for tensor in _flat(value)]
