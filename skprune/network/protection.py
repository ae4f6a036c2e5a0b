"""Layers that are left as they are."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match

__all__ = ["protected_modules"]


def protected_modules(
    module: nn.Module, protect: Collection[str | type[nn.Module]]
) -> tuple[str, ...]:
    """Name the protected modules and all that is inside them.

    Parameters
    ----------
    module : nn.Module
        The network.
    protect : collection of str or type
        Names of modules and parameters; patterns of names, in which ``*`` stands for anything,
        dots included, ``?`` for one character and ``[...]`` for one of several; types of modules,
        whose subclasses count.

    Returns
    -------
    protected : tuple of str
        Names of modules and parameters.

    Raises
    ------
    InvalidParameterError
        If a name is unknown, a pattern or type matches nothing, or there is nothing to protect in
        what it names.

    Examples
    --------
    >>> from torch import nn
    >>> from skprune.network.protection import protected_modules
    >>> block = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    >>> protected_modules(nn.Sequential(block, nn.Linear(4, 2)), ["0.*", nn.LayerNorm])
    ('0.0', '0.1', '0.0.weight', '0.0.bias', '0.1.weight', '0.1.bias')
    """
    modules = [name for name, _ in module.named_modules() if name]
    known = [*modules, *(name for name, _ in module.named_parameters())]
    names = dict.fromkeys(name for each in protect for name in _named(module, each, modules, known))
    inside = [m for m in modules if any(m == name or m.startswith(f"{name}.") for name in names)]
    return tuple(dict.fromkeys([*names, *inside]))


def _named(module: nn.Module, each: Any, modules: list[str], known: list[str]) -> list[str]:
    """List the names that one entry stands for."""
    if isinstance(each, type) and issubclass(each, nn.Module):
        parts = module.named_modules()
        found = [name for name, part in parts if name and isinstance(part, each)]
        if not found:
            types = sorted({type(part).__name__ for part in module.modules() if part is not module})
            raise InvalidParameterError(
                f"protect names the type {each.__name__}, of which the network has no layer. "
                f"Types of its layers: {', '.join(types)}."
            )
    elif not isinstance(each, str):
        raise InvalidParameterError(
            f"protect takes names of layers, patterns of names, and types of layers; got {each!r}."
        )
    elif each in known:
        found = [each]
    elif any(sign in each for sign in "*?["):
        found = [name for name in known if fnmatchcase(name, each)]
        if not found:
            raise InvalidParameterError(
                f"protect has the pattern {each!r}, which matches nothing.{near_match(each, known)}"
                f" Layers: {', '.join(map(repr, modules))}."
            )
    else:
        raise InvalidParameterError(
            f"protect names an unknown layer {each!r}.{near_match(each, known)} "
            f"Layers: {', '.join(map(repr, modules))}."
        )
    if all(name in modules and not _has_parameters(module, name) for name in found):
        with_parameters = [
            name
            for name, part in module.named_modules()
            if name and any(True for _ in part.parameters(recurse=False))
        ]
        raise InvalidParameterError(
            f"protect names {each!r}, a {type(module.get_submodule(found[0])).__name__}, which has "
            "no weights and no units to protect. Layers that have: "
            f"{', '.join(map(repr, with_parameters))}."
        )
    return found


def _has_parameters(module: nn.Module, name: str) -> bool:
    return any(True for _ in module.get_submodule(name).parameters())
