"""What cannot be read from a network, and is found by trying it out."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import torch
from torch import nn

from skprune.network.coupling import Coupling, Scale, Width, columns

__all__ = ["scales_of", "settled_guesses"]

# Says what goes wrong without some units of groups, if anything does.
_Fault = Callable[[Coupling, list[str]], str | None]
_MOST_WIDTHS = 5


def scales_of(coupling: Coupling, name: str) -> Iterator[Scale]:
    """Go through the outputs that may make up for a scale that changes with a group's units.

    Parameters
    ----------
    coupling : Coupling
        The units of the network.
    name : str
        The group: dimensions of heads.

    Yields
    ------
    scale : Scale
        For each layer that puts them out, those outputs that have each unit for the first time,
        then for the second, and so on: a layer may make queries, keys and values at once.
    """
    units = coupling.groups[name]
    for (layer, side), ids in coupling.units.items():
        if side != "out" or not torch.isin(ids, units).any():
            continue
        seen: dict[tuple[int, ...], int] = {}
        turn = torch.zeros(len(ids), dtype=torch.long)
        for i, row in enumerate(torch.stack(list(columns(ids)), 1).tolist()):
            turn[i] = seen[tuple(row)] = seen.get(tuple(row), -1) + 1
        for place in range(min(int(turn.max()) + 1, 3)):
            yield Scale(layer, turn == place, units)


def settled_guesses(module: nn.Module, coupling: Coupling, fault: _Fault) -> Coupling:
    """Find out which attributes of modules count units, and which outputs have a scale to keep.

    Parameters
    ----------
    module : nn.Module
        The network.
    coupling : Coupling
        Its units, with all attributes that might count them.
    fault : callable
        Says what goes wrong without some units of groups; None if nothing does.

    Returns
    -------
    coupling : Coupling
        With those that were right, as far as any were.
    """
    names = [name for name, units in coupling.groups.items() if len(units) > 1]
    claims = [(width.module, width.attribute) for width in coupling.widths if width.is_guessed]
    if len(set(claims)) == len(claims) and fault(coupling, names) is None:
        return coupling
    tried: dict[tuple[object, ...], tuple[frozenset[object], int | None]] = {}
    for name in names:
        if name not in coupling.groups:  # it goes with another by now
            continue
        guesses = _guesses(module, coupling, name)
        pattern = (coupling.kinds[name], frozenset(guesses))
        contested = any(claims.count((w.module, w.attribute)) > 1 for w in _widths(coupling, name))
        if pattern in tried and not contested:
            coupling = _choose(module, coupling, name, *tried[pattern])
            continue
        if not guesses and coupling.kinds[name] != "head dimension":
            continue
        for choice in _choices(coupling, name, guesses):
            candidate = _choose(module, coupling, name, *choice)
            if fault(candidate, [name]) is None:
                tried[pattern] = choice
                coupling = candidate
                break
        else:
            coupling = _tied_to_another(coupling, name, fault)
    return _one_claim_each(coupling)


def _tied_to_another(coupling: Coupling, name: str, fault: _Fault) -> Coupling:
    """Try if dimensions of heads can go with others of the same heads, since one number is both."""
    if coupling.kinds[name] != "head dimension":
        return coupling
    heads, size = _heads_of(coupling, name), len(coupling.groups[name])
    for other, kind in coupling.kinds.items():
        if other == name or kind != "head dimension" or len(coupling.groups[other]) != size:
            continue
        if heads & _heads_of(coupling, other):
            candidate = _one_claim_each(coupling.tied(*sorted((name, other), key=list(coupling.groups).index)))
            if fault(candidate, [n for n in (name, other) if n in candidate.groups]) is None:
                return candidate
    return coupling


def _heads_of(coupling: Coupling, name: str) -> set[int]:
    """Give the units that channels with some dimensions of heads belong to beside."""
    units, found = coupling.groups[name], set[int]()
    for ids in coupling.units.values():
        if ids.dim() == 2 and (mine := torch.isin(ids, units).any(1)).any():
            found |= set(ids[mine].flatten().tolist())
    return found - set(units.tolist()) - {-1}


def _widths(coupling: Coupling, name: str) -> list[Width]:
    units = coupling.groups[name]
    return [w for w in coupling.widths if w.is_guessed and bool(torch.isin(w.units, units).any())]


def _guesses(module: nn.Module, coupling: Coupling, name: str) -> list[object]:
    """Give the attributes that may count a group's units; those of equal modules are one."""
    return list(dict.fromkeys(_sign(module, width) for width in _widths(coupling, name)))


def _sign(module: nn.Module, width: Width) -> object:
    return type(module.get_submodule(width.module)), width.attribute


def _choices(
    coupling: Coupling, name: str, guesses: list[object]
) -> Iterator[tuple[frozenset[object], int | None]]:
    """Go through sets of attributes, all first, with each way of keeping a scale."""
    tried = guesses[:_MOST_WIDTHS]
    sets = [
        frozenset(guesses) - set(left)
        for n_left in range(len(tried) + 1)
        for left in combinations(tried, n_left)
    ]
    ways: list[int | None] = [None]
    if coupling.kinds[name] == "head dimension":
        ways += range(len(list(scales_of(coupling, name))))
    for way in ways:
        for chosen in sets:
            yield chosen, way


def _choose(
    module: nn.Module,
    coupling: Coupling,
    name: str,
    guesses: frozenset[object],
    way: int | None,
) -> Coupling:
    """Leave out the other attributes that might count a group's units."""
    mine = {id(width) for width in _widths(coupling, name)}
    widths = [
        width
        for width in coupling.widths
        if id(width) not in mine or _sign(module, width) in guesses
    ]
    scales = coupling.scales
    if way is not None:
        units = coupling.groups[name]
        scales = [scale for scale in scales if not torch.isin(scale.units, units).any()]
        scales += list(scales_of(coupling, name))[way : way + 1]
    return replace(coupling, widths=widths, scales=scales)


def _one_claim_each(coupling: Coupling) -> Coupling:
    """Have each attribute count the first of the channels that it might count."""
    first: dict[tuple[str, str], Width] = {}
    for width in coupling.widths:
        first.setdefault((width.module, width.attribute), width)
    return replace(coupling, widths=list(first.values()))
