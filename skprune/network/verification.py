"""Check by trial that removing units changes the outputs only as setting their weights to zero."""

import torch
from torch import Tensor, nn

from skprune.exceptions import UntraceableError
from skprune.network.comparison import outputs_of, runs_on, same_on, trials_for
from skprune.network.coupling import Coupling, goes
from skprune.network.guesses import settled_guesses
from skprune.network.layers import layer_for
from skprune.network.network import Network, all_tensors

__all__ = ["check_removal", "check_units", "mixing_groups", "removable_units"]


def mixing_groups(coupling: Coupling, module: nn.Module) -> set[str]:
    """Names of the groups whose units pass through a norm that mixes channels.

    Layer norm and group norm compute statistics over the channels that are there, which differ
    without a unit, even where the unit was constant.
    """
    return set(coupling.mixing)


def removable_units(network: Network, protected: tuple[str, ...] = ()) -> Coupling:
    """Find the units of a network that a trial shows to be no more than that.

    Parameters
    ----------
    network : Network
        The network; it is left as it is.
    protected : tuple of str
        Names of layers that keep their units.

    Returns
    -------
    coupling : Coupling
        The units; see :func:`check_units`. It is computed once for all copies of the network.
    """
    if (key := ("removable", protected)) not in network.couplings:
        network.couplings[key] = check_units(network, network.trace(protected))
    return network.couplings[key]


def check_units(network: Network, coupling: Coupling) -> Coupling:
    """Remove some units of every group from a copy and see that nothing else changes.

    Parameters
    ----------
    network : Network
        The network; it is left as it is.
    coupling : Coupling
        Its units.

    Returns
    -------
    removable : Coupling
        Without the groups of which some units cannot go: the network then no longer runs, or
        computes something else than with the units' weights at zero. Their layers are in
        ``kept_whole``, with the reason.
    """
    def fault(candidate: Coupling, names: list[str]) -> str | None:
        return _fault(network, candidate, names)

    coupling = settled_guesses(network.module, coupling, fault)
    names = [name for name, units in coupling.groups.items() if len(units) > 1]
    faults = _misread(network, coupling, names) if names else {}
    return coupling.without_groups(
        {
            name: f"without some of its units the network {fault}, since it uses them in a way "
            "that its graph does not show"
            for name, fault in faults.items()
        }
    )


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


def _misread(network: Network, coupling: Coupling, names: list[str]) -> dict[str, str]:
    """Find groups that have to stay for the others to go, and what goes wrong without them."""
    fault = _fault(network, coupling, names)
    if fault is None:
        return {}
    if len(names) == 1:
        return {names[0]: fault}
    first, second = names[: len(names) // 2], names[len(names) // 2 :]
    found = _misread(network, coupling, first) | _misread(network, coupling, second)
    passed = [name for name in first if name not in found]
    others = [name for name in second if name not in found]
    if not found or _fault(network, coupling, passed + others) is not None:
        for name in others:
            fault = _fault(network, coupling, [*passed, name])
            if fault is None:
                passed.append(name)
            else:
                found[name] = fault
    return found


def _fault(network: Network, coupling: Coupling, names: list[str]) -> str | None:
    """Say what goes wrong without some units of groups; None if nothing does."""
    if not names:
        return None
    mixed = mixing_groups(coupling, network.module)
    for choose in (_one, _half, _most):
        gone = _spared(coupling, torch.cat([choose(coupling.groups[name]) for name in names]))
        try:
            cut = network.copy()
            cut.remove_units(coupling, gone)
            outputs_of(cut)
        except Exception as error:  # whatever a module raises that relies on channels that are gone
            return f"fails ({type(error).__name__}: {error})"
        if not mixed & {*names} and not _computes_as_masked(network, coupling, gone, cut):
            return "computes something else than with their weights at zero"
    return None


def _spared(coupling: Coupling, gone: Tensor) -> Tensor:
    """Leave every layer a unit."""
    for _, units in coupling.indispensable():
        if torch.isin(units, gone).all():
            gone = gone[gone != units[0]]
    return gone


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
    for (name, side), ids in coupling.units.items():
        channels = goes(ids, gone).nonzero().flatten()
        if not len(channels):
            continue
        if isinstance(side, int):
            tensor = all_tensors(masked.module)[name]
            if isinstance(tensor, nn.Parameter):
                with torch.no_grad():
                    tensor.index_fill_(side, channels.to(tensor.device), 0.0)
        elif not (layer := layer_for(masked.module.get_submodule(name))).normalizes:
            layer.zero(side, channels)
    return same_on(smaller, masked, trials_for(network))


def _one(units: Tensor) -> Tensor:
    """Take a single unit: what has to stay divisible no longer is, and others move up."""
    return units[len(units) // 3][None]


def _half(units: Tensor) -> Tensor:
    """Take half of them at random, the same each time: the order of channels does not matter."""
    return _at_random(units, len(units) // 2, seed=0)


def _most(units: Tensor) -> Tensor:
    """Take more than half of them at random, others than :func:`_half`."""
    return _at_random(units, len(units) // 2 + 1, seed=1)


def _at_random(units: Tensor, count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(len(units) + seed)
    return units[torch.randperm(len(units), generator=generator)[:count]]
