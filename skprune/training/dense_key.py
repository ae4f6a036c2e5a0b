"""The key of a dense training: equal for two trainings only if they give the same network."""

import weakref
from copy import deepcopy
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import LoadInitState
from torch import nn

from skprune.training.fingerprint import Uncacheable, fingerprint
from skprune.training.packages import package_of
from skprune.training.surroundings import surroundings

__all__ = ["beside_tensors", "key_of", "trained_modules"]

# What skorch keeps in a net for itself, or for what is printed.
_OF_SKORCH = ("verbose", "_kwargs", "_params_to_validate", "virtual_params_", "history_")


def key_of(net: NeuralNet, data: Any, seed: int) -> str:
    """Hash all that a dense training depends on.

    Parameters
    ----------
    net : NeuralNet
        An initialized net, as it is before the training.
    data : object
        What it is trained on.
    seed : int
        The seed of the training.

    Returns
    -------
    key : str
        In hexadecimal digits.

    Raises
    ------
    Uncacheable
        If the training depends on something that cannot be seen.
    """
    for name, callback in net.callbacks_:
        if isinstance(callback, LoadInitState):
            raise Uncacheable(f"callback {name!r} loads what is in a file")
    optimizers = [f"{name}_" for name in net._optimizers]
    apart = {*optimizers, *(name for name, _ in trained_modules(net)), *_OF_SKORCH}
    parts = {name: value for name, value in sorted(vars(net).items()) if name not in apart}
    states = [getattr(net, name).state_dict() for name in optimizers]
    history = list(net.history_ or [])
    own = type(net), parts, trained_modules(net), states, history
    return fingerprint(surroundings(), own, data, seed)


def trained_modules(net: NeuralNet) -> list[tuple[str, nn.Module]]:
    """List the modules and criteria of a net, by the names of its attributes."""
    names = [f"{name}_" for name in (*net._modules, *net._criteria)]
    modules = [(name, getattr(net, name)) for name in names]
    return [(name, module) for name, module in modules if isinstance(module, nn.Module)]


def beside_tensors(net: NeuralNet) -> dict[str, str]:
    """Hash the state that a later stage goes on with, and that the tensors do not show.

    Parameters
    ----------
    net : NeuralNet
        An initialized net.

    Returns
    -------
    states : dict of str to str
        Hashes, by what they are of.

    Raises
    ------
    Uncacheable
        If a part of the state cannot be seen.
    """
    states = {
        f"attributes of the {owner.removesuffix('_')} beside its tensors": fingerprint(
            [_own_attributes(part) for part in module.modules()]
        )
        for owner, module in trained_modules(net)
    }
    made_anew = _made_anew(net)
    states["attributes of the net"] = fingerprint(
        {name: value for name, value in vars(net).items() if name not in made_anew}
    )
    for name, callback in net.callbacks_:
        # skorch's own begin each stage anew; others go on from what they were, initialized.
        if package_of(type(callback)) is None:
            states[f"callback {name!r}"] = fingerprint(_initialized(callback))
    return states


def _initialized(callback: Any) -> Any:
    try:
        copy = deepcopy(callback)
        copy.initialize()
    except Exception as error:  # whatever a user's callback may raise
        raise Uncacheable(f"{callback!r} cannot be copied and initialized ({error})") from error
    return copy


def _made_anew(net: NeuralNet) -> set[str]:
    """Name the attributes of a net that come back with its tensors, or that each stage makes."""
    parts = (*net._modules, *net._criteria, *net._optimizers)
    # skorch trains a module that is given as an object, and makes no other of it.
    trained = [id(module) for _, module in trained_modules(net)]
    return {
        *(name for name, value in vars(net).items() if id(value) in trained),
        *(f"{name}_" for name in (*parts, "history", "callbacks", "classes_inferred")),
        "callbacks",
        "virtual_params_",
    }


def _own_attributes(module: nn.Module) -> dict[str, Any]:
    apart = ("_parameters", "_buffers", "_modules", "training")
    names = {
        id(tensor): name
        for name, tensor in (module._parameters | module._buffers).items()
        if tensor is not None
    }
    return {
        name: _by_names(value, names) for name, value in vars(module).items() if name not in apart
    }


def _by_names(value: Any, names: dict[int, str]) -> Any:
    """Give a list of a module's own tensors, such as recurrent layers have, as their names."""
    if not isinstance(value, list):
        return value
    items = [item() if isinstance(item, weakref.ref) else item for item in value]
    return [names[id(item)] for item in items] if all(id(i) in names for i in items) else value
