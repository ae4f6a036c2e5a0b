"""Check by trial that removing units changes the outputs only as setting their weights to zero."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from skprune.exceptions import UntraceableError
from skprune.network.comparison import (
    outputs_of,
    same_on,
    same_outputs,
    trials_and_layers,
    trials_for,
)
from skprune.network.coupling import Coupling
from skprune.network.guesses import settled_guesses
from skprune.network.layers_run import fed_by_units, layers_run
from skprune.network.network import Network
from skprune.network.zeroed_units import with_units_at_zero

__all__ = ["check_removal", "check_units", "removable_units"]


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
        computes something else than with the units' weights at zero, in evaluation or in training
        mode. Groups that may enter a layer which neither runs are left out too. Their layers are
        in ``kept_whole``, with the reason.
    """
    trial = _Trial.of(network)
    coupling = coupling.without_groups(
        {
            group: f"they may enter layer {layer!r}, or meet what it puts out, which the example "
            "rows do not run; give rows that run it, or delete it"
            for group, layer in fed_by_units(coupling, network.module).items()
        }
    )

    def fault(candidate: Coupling, names: list[str]) -> str | None:
        return _fault(trial, candidate, names)

    coupling = settled_guesses(network.module, coupling, fault)
    names = [name for name, units in coupling.groups.items() if len(units) > 1]
    faults = _misread(trial, coupling, names) if names else {}
    return coupling.without_groups(
        {
            name: f"without some of its units the network {fault}: it uses them in a way that "
            "its graph does not show"
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
    if _computes_as_zeroed(network, coupling, units, smaller):
        return
    groups = {
        name: gone
        for name, ids in coupling.groups.items()
        if len(gone := ids[torch.isin(ids, units)])
    }
    wrong = [name for name, gone in groups.items() if not _cut_agrees(network, coupling, gone)]
    wrong = wrong or list(groups)
    raise UntraceableError(
        f"The units of {wrong} cannot be removed: without those that were to go the network fails "
        "or computes something else, since it mixes them in a way its graph does not show. "
        f"Protect these layers (protect={wrong}) or use structure='weight'."
    )


class _Trial(NamedTuple):
    """A network, and what it is tried on."""

    network: Network
    inputs: list[Any]
    trains: bool  # whether training mode runs layers that evaluation mode does not

    @classmethod
    def of(cls, network: Network) -> "_Trial":
        inputs, evaluated = trials_and_layers(network)
        trained = layers_run(network.copy(), network.inputs, training=True) or set()
        lively = _lively(network)
        if not all(_has_finite_outputs(lively, rows) for rows in inputs):
            lively = network
        return cls(lively, inputs, not trained <= evaluated)

    def outputs(self, network: Network, inputs: list[Any], *, twice: bool = False) -> "_Outputs":
        """Compute the outputs of a copy of the network, which is not to be used any more."""
        evaluated = [outputs_of(network, rows) for rows in inputs]
        times = (1 + twice) * self.trains
        return _Outputs(evaluated, [outputs_of(network, training=True) for _ in range(times)])


class _Outputs(NamedTuple):
    """Outputs for each of some inputs, and those in training mode where that is tried."""

    evaluated: list[list[Tensor]]
    trained: list[list[Tensor]]


def _misread(trial: _Trial, coupling: Coupling, names: list[str]) -> dict[str, str]:
    """Find groups that have to stay for the others to go, and what goes wrong without them."""
    fault = _fault(trial, coupling, names)
    if fault is None:
        return {}
    if len(names) == 1:
        return {names[0]: fault}
    first, second = names[: len(names) // 2], names[len(names) // 2 :]
    found = _misread(trial, coupling, first) | _misread(trial, coupling, second)
    passed = [name for name in first if name not in found]
    others = [name for name in second if name not in found]
    if not found or _fault(trial, coupling, passed + others) is not None:
        for name in others:
            fault = _fault(trial, coupling, [*passed, name])
            if fault is None:
                passed.append(name)
            else:
                found[name] = fault
    return found


def _fault(trial: _Trial, coupling: Coupling, names: list[str]) -> str | None:
    """Say what goes wrong without some units of groups; None if nothing does."""
    if not names:
        return None
    # Each removal shows on any rows; what a branch on data does has to be seen once.
    for turn, inputs in enumerate((trial.inputs, trial.inputs[:1], trial.inputs[-1:])):
        # Groups next to each other lose different numbers: they may have to be of one size.
        chosen = [
            _CHOICES[(turn + place) % len(_CHOICES)](coupling.groups[name])
            for place, name in enumerate(names)
        ]
        gone = _spared(coupling, torch.cat(chosen))
        try:
            # One copy at a time, as networks may be large.
            whole = with_units_at_zero(trial.network, coupling, gone)
            zeroed = trial.outputs(whole, inputs, twice=True)
            del whole
            cut = trial.network.copy(shares_parameters=True)
            cut.remove_units(coupling, gone)
            found = trial.outputs(cut, inputs)
        except Exception as error:  # whatever a module raises that relies on channels that are gone
            reason = str(error).partition("\n")[0]
            return f"fails ({type(error).__name__}: {reason})"
        del cut
        if not all(map(same_outputs, found.evaluated, zeroed.evaluated)):
            return "computes something else than with their weights at zero"
        # What is drawn at random, as by dropout, is not compared.
        steady = all(same_outputs(again, zeroed.trained[0]) for again in zeroed.trained)
        if steady and not all(map(same_outputs, found.trained, zeroed.trained)):
            return "computes something else in training mode than with their weights at zero"
    return None


def _lively(network: Network) -> Network:
    """Copy a network and move its parameters, so that none is zero or next to it.

    A layer that is scaled by zero has no effect before training, and by it one that is misread.
    """
    lively = network.copy()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in lively.module.parameters():
            if parameter.is_floating_point() or parameter.is_complex():
                fan_in = parameter[:1].numel() if parameter.dim() > 1 else 100
                noise = torch.randn(parameter.shape, generator=generator).to(parameter)
                parameter.add_(noise, alpha=0.5 / max(fan_in, 1) ** 0.5)
    return lively


def _has_finite_outputs(network: Network, inputs: Any) -> bool:
    try:
        return all(output.isfinite().all() for output in outputs_of(network, inputs))
    except Exception:  # a module may refuse parameters that it would not have
        return False


def _spared(coupling: Coupling, gone: Tensor) -> Tensor:
    """Leave every layer a unit."""
    for _, units in coupling.indispensable():
        if torch.isin(units, gone).all():
            gone = gone[gone != units[0]]
    return gone


def _cut_agrees(network: Network, coupling: Coupling, gone: Tensor) -> bool:
    """Whether the network without units computes what it does with their weights at zero."""
    try:
        cut = network.copy(shares_parameters=True)
        cut.remove_units(coupling, gone)
    except Exception:
        return False
    return _computes_as_zeroed(network, coupling, gone, cut)


def _computes_as_zeroed(
    network: Network, coupling: Coupling, gone: Tensor, smaller: Network
) -> bool:
    return same_on(smaller, with_units_at_zero(network, coupling, gone), trials_for(network))


def _one(units: Tensor) -> Tensor:
    """Take a single unit: what has to stay divisible no longer is, and others move up."""
    return units[len(units) // 3][None]


def _half(units: Tensor) -> Tensor:
    """Take half of them at random, the same each time: the order of channels does not matter."""
    return _at_random(units, len(units) // 2, seed=0)


def _most(units: Tensor) -> Tensor:
    """Take more than half of them at random, others than :func:`_half`."""
    return _at_random(units, len(units) // 2 + 1, seed=1)


_CHOICES = (_one, _half, _most)


def _at_random(units: Tensor, count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(len(units) + seed)
    return units[torch.randperm(len(units), generator=generator)[:count]]
