"""What cannot be read from a network, and is found by trying it out."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple, TypeAlias

import torch
from torch import nn

from skprune.network.coupling import Coupling, Scale, Width, columns

__all__ = ["scales_of", "settled_guesses"]

# Says what goes wrong without some units of groups, if anything does.
_Fault = Callable[[Coupling, list[str]], str | None]
# The type of a module, the attribute, and which of how many guesses for it.
_Sign: TypeAlias = tuple[type, str, int, int]
_MOST_WIDTHS = 7


class _Choice(NamedTuple):
    """Which guesses are right, and which outputs have a scale to keep."""

    guesses: frozenset[_Sign]
    way: int | None


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
    claims = [width[:2] for width in coupling.widths if width.is_guessed]
    if len(set(claims)) == len(claims) and fault(coupling, names) is None:
        return coupling
    # Groups of one kind with the same guesses are alike: what is right of one is right of all.
    tried: dict[tuple[object, ...], _Choice | None] = {}
    for name in names:
        if name not in coupling.groups:  # it goes with another by now
            continue
        guesses = _guesses(module, coupling, name)
        pattern = (coupling.kinds[name], frozenset(guesses))
        if pattern in tried:
            choice = tried[pattern]
            if choice is not None:
                coupling = _choose(module, coupling, name, choice)
            else:
                coupling = _with_partners(coupling, name) or coupling
        elif guesses or coupling.kinds[name] == "head dimension":
            coupling = _settled(module, coupling, name, fault, tried, pattern)
    return _one_claim_each(coupling)


def _settled(
    module: nn.Module,
    coupling: Coupling,
    name: str,
    fault: _Fault,
    tried: dict[tuple[object, ...], _Choice | None],
    pattern: tuple[object, ...],
) -> Coupling:
    """Find out which guesses for a group are right."""
    for choice in _choices(coupling, name, _guesses(module, coupling, name)):
        if choice is not None:
            candidate: Coupling | None = _choose(module, coupling, name, choice)
        else:
            candidate = _with_partners(coupling, name)
        # A group comes before its partners, and lends them its name.
        if candidate is not None and fault(candidate, [name]) is None:
            tried[pattern] = choice
            return candidate
    return coupling


def _with_partners(coupling: Coupling, name: str) -> Coupling | None:
    """Let all groups go together whose units one number counts; None if there are no others.

    An attribute may be the width of heads in queries and in values, or the number of heads in all
    layers.
    """
    claims = {width[:2] for width in _widths(coupling, name)}
    heads = _heads_of(coupling, name) if coupling.kinds[name] == "head dimension" else set[int]()
    partners = [
        other
        for other, units in coupling.groups.items()
        if coupling.kinds[other] == coupling.kinds[name]
        and len(units) == len(coupling.groups[name])
        and (
            claims & {width[:2] for width in _widths(coupling, other)}
            or heads & _heads_of(coupling, other)
        )
    ]
    if len(partners) < 2:
        return None
    first, *others = [name, *(other for other in partners if other != name)]
    for other in others:
        coupling = coupling.tied(first, other)
    return _one_claim_each(coupling)


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


def _guesses(module: nn.Module, coupling: Coupling, name: str) -> list[_Sign]:
    """Give the attributes that may count a group's units; those of equal modules are one."""
    signs = dict.fromkeys(_sign(module, coupling, width) for width in _widths(coupling, name))
    # Those that may count others are the first to be left out.
    return sorted(signs, key=lambda sign: -sign[-1])


def _sign(module: nn.Module, coupling: Coupling, width: Width) -> _Sign:
    """Describe a guess: where it is, and which of how many guesses for the attribute."""
    rivals = [w for w in coupling.widths if w[:2] == width[:2]]
    place = next(i for i, w in enumerate(rivals) if w.units is width.units)
    return type(module.get_submodule(width.module)), width.attribute, place, len(rivals)


def _choices(coupling: Coupling, name: str, guesses: list[_Sign]) -> Iterator[_Choice | None]:
    """Go through sets of attributes, all first, with each way of keeping a scale.

    None stands for a group that goes with another.
    """
    tried, everything = guesses[:_MOST_WIDTHS], frozenset(guesses)
    contested = frozenset(guess for guess in guesses if guess[-1] > 1)
    likely = dict.fromkeys([everything, everything - contested])
    sets = [everything - {*left} for n in (1, 2) for left in combinations(tried, n)]
    sets += [frozenset(kept) for n in (2, 1, 0) for kept in combinations(tried, n)]
    others = [chosen for chosen in dict.fromkeys(sets) if chosen not in likely]
    ways: list[int | None] = [None]
    if coupling.kinds[name] == "head dimension":
        ways += range(len(list(scales_of(coupling, name))))
    for way in ways:
        yield from (_Choice(chosen, way) for chosen in likely)
    yield from (_Choice(chosen, None) for chosen in others)
    yield None
    for way in ways[1:]:
        yield from (_Choice(chosen, way) for chosen in others)


def _choose(module: nn.Module, coupling: Coupling, name: str, choice: _Choice) -> Coupling:
    """Leave out the other attributes that might count a group's units."""
    mine = {id(width) for width in _widths(coupling, name)}
    widths = [
        width
        for width in coupling.widths
        if id(width) not in mine or _sign(module, coupling, width) in choice.guesses
    ]
    scales = coupling.scales
    if choice.way is not None:
        units = coupling.groups[name]
        scales = [scale for scale in scales if not torch.isin(scale.units, units).any()]
        scales += list(scales_of(coupling, name))[choice.way : choice.way + 1]
    return replace(coupling, widths=widths, scales=scales)


def _one_claim_each(coupling: Coupling) -> Coupling:
    """Have each attribute count the first of the channels that it might count."""
    first: dict[tuple[str, str], Width] = {}
    for width in coupling.widths:
        first.setdefault((width.module, width.attribute), width)
    return replace(coupling, widths=list(first.values()))
