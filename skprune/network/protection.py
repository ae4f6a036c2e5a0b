"""Layers that are left as they are."""

from collections.abc import Collection

from torch import nn

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match

__all__ = ["protected_modules"]


def protected_modules(module: nn.Module, names: Collection[str]) -> tuple[str, ...]:
    """Name the protected modules and all that is inside them.

    Parameters
    ----------
    module : nn.Module
        The network.
    names : collection of str
        Names of modules and parameters.

    Returns
    -------
    protected : tuple of str
        These names, and those of the modules inside.

    Raises
    ------
    InvalidParameterError
        If a name is unknown, or there is nothing to protect in what it names.
    """
    modules = [name for name, _ in module.named_modules() if name]
    known = [*modules, *(name for name, _ in module.named_parameters())]
    for name in names:
        if name not in known:
            raise InvalidParameterError(
                f"protect names an unknown layer {name!r}.{near_match(name, known)} "
                f"Layers: {', '.join(map(repr, modules))}."
            )
    for name in names:
        if name in modules and not any(True for _ in module.get_submodule(name).parameters()):
            with_parameters = [
                known
                for known, part in module.named_modules()
                if known and any(True for _ in part.parameters(recurse=False))
            ]
            raise InvalidParameterError(
                f"protect names {name!r}, a {type(module.get_submodule(name)).__name__}, which has "
                "no weights and no units to protect. Layers that have: "
                f"{', '.join(map(repr, with_parameters))}."
            )
    inside = [m for m in modules if any(m == name or m.startswith(f"{name}.") for name in names)]
    return tuple(dict.fromkeys([*names, *inside]))
