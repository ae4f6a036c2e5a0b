"""Check by trial that removing units changes the outputs only as setting their weights to zero."""

import torch
from torch import Tensor, nn

from skprune.exceptions import UntraceableError
from skprune.network.comparison import outputs_of, runs_on, same_on, trials_for
from skprune.network.coupling import Coupling
from skprune.network.layers import layer_for
from skprune.network.network import Network

__all__ = ["check_removal", "check_units", "misread_groups", "mixing_groups"]


def mixing_groups(coupling: Coupling, module: nn.Module) -> set[str]:
    """Names of the groups whose units pass through a norm that mixes channels.

    Layer norm and group norm compute statistics over the channels that are there, which differ
    without a unit, even where the unit was constant.
    """
    mixed = {
        unit
        for layer_side, ids in coupling.units.items()
        if layer_side.layer not in coupling.parameter_dims
        and layer_for(module.get_submodule(layer_side.layer)).mixes_units
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
    """Name the groups whose units are used in ways that the network's graph does not show.

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


def check_removal(network: Network, coupling: Coupling, units: Tensor, smaller: Network) -> None:
    """See that a network without units computes what it did with their weights at zero.

    The trial of :func:`check_units` takes some of the units, this one those that have gone.

    Parameters
    ----------
    network : Network
        The network as it was; it is left as it is.
    coupling : Coupling
        Its units then.
    units : Tensor of int
        Those that were removed.
    smaller : Network
        The network without them.

    Raises
    ------
    UntraceableError
        If it does not run, or computes something else. The message names the layers.
    """
    mixed = mixing_groups(coupling, network.module)
    groups = {
        name: gone
        for name, ids in coupling.groups.items()
        if name not in mixed and len(gone := ids[torch.isin(ids, units)])
    }
    plain = torch.cat([units[:0], *groups.values()])
    if len(plain) == len(units) and _computes_as_masked(network, coupling, plain, smaller):
        return
    # The others change what a norm computes, with which nothing can be compared.
    mixes = len(plain) < len(units)
    if mixes and runs_on(smaller, network.inputs) and _cut_agrees(network, coupling, plain):
        return
    wrong = [name for name, gone in groups.items() if not _cut_agrees(network, coupling, gone)]
    wrong = wrong or [name for name, ids in coupling.groups.items() if torch.isin(ids, units).any()]
    raise UntraceableError(
        f"The units of {wrong} cannot be removed: without those that were to go the network fails "
        "or computes something else, since it mixes them in a way its graph does not show. "
        f"Protect these layers (protect={wrong}) or use structure='weight'."
    )


def _agrees(network: Network, coupling: Coupling, groups: dict[str, Tensor]) -> bool:
    mixed = mixing_groups(coupling, network.module)
    for choose in (_some, _half):
        gone = _spared(coupling, torch.cat([choose(units) for units in groups.values()]))
        if not (_removable if mixed & groups.keys() else _cut_agrees)(network, coupling, gone):
            return False
    return True


def _spared(coupling: Coupling, gone: Tensor) -> Tensor:
    """Leave every layer a unit."""
    for _, units in coupling.indispensable():
        if torch.isin(units, gone).all():
            gone = gone[gone != units[0]]
    return gone


def _removable(network: Network, coupling: Coupling, gone: Tensor) -> bool:
    """Whether the network runs without units."""
    try:
        cut = network.copy()
        cut.remove_units(coupling, gone)
        outputs_of(cut)
    except Exception:
        return False
    return True


def _cut_agrees(network: Network, coupling: Coupling, gone: Tensor) -> bool:
    """Whether the network without units computes what it does with their weights at zero."""
    try:
        cut = network.copy()
        cut.remove_units(coupling, gone)
    except Exception:
        return False
    return _computes_as_masked(network, coupling, gone, cut)


def _computes_as_masked(
    network: Network, coupling: Coupling, gone: Tensor, smaller: Network
) -> bool:
    masked = network.copy()
    for layer_side, ids in coupling.units.items():
        channels = torch.isin(ids, gone).nonzero().flatten()
        if layer_side.layer in coupling.parameter_dims or not len(channels):
            continue
        layer = layer_for(masked.module.get_submodule(layer_side.layer))
        if not layer.normalizes:
            layer.zero(layer_side.side, channels)
    return same_on(smaller, masked, trials_for(network))


def _some(units: Tensor) -> Tensor:
    """Take both ends and the middle: a sum or shift of neighbours may show in some of them only."""
    return units[[0, len(units) // 2, -1]] if len(units) > 3 else units[::2]


def _half(units: Tensor) -> Tensor:
    """Take half of them at random, the same each time: the order of channels does not matter."""
    generator = torch.Generator().manual_seed(len(units))
    return units[torch.randperm(len(units), generator=generator)[: len(units) // 2]]
