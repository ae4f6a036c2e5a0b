"""Networks that are made of torch's own layers alone, described layer by layer."""

from collections import OrderedDict
from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import torch
from torch import nn

from skprune.deployment.saving.fields import check, field, names_in
from skprune.exceptions import UnsavableError

__all__ = ["describe_layers", "layers_from"]

# What such a module is made from: the class takes a mapping of names to modules.
_CONTAINERS: dict[str, Callable[[OrderedDict[str, nn.Module]], nn.Module]] = {
    "Sequential": nn.Sequential,
    "ModuleList": lambda parts: nn.ModuleList(parts.values()),
    "ModuleDict": nn.ModuleDict,
}
# Arguments of a constructor that a layer has no attribute of the same name for.
_RECURRENT = (
    "input_size",
    "hidden_size",
    "num_layers",
    "bias",
    "batch_first",
    "dropout",
    "bidirectional",
    "proj_size",
)
_CALLS = {
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT[:-1],
    "RNN": (*_RECURRENT[:-1], "nonlinearity"),
}


def describe_layers(module: nn.Module, where: str) -> dict[str, Any]:
    """Describe a module by the class and the arguments of each of its layers.

    Parameters
    ----------
    module : nn.Module
        The module.
    where : str
        What it is, for messages.

    Returns
    -------
    about : dict
        Plain data.

    Raises
    ------
    UnsavableError
        If a layer is no layer of torch's, or has an argument that cannot be seen.
    """
    kind = type(module).__name__
    if getattr(nn, kind, None) is not type(module):
        raise UnsavableError(f"{where or 'the network'} is a {kind}, which is none of torch's own.")
    if kind in _CONTAINERS:
        parts = [
            [name, describe_layers(part, f"{where}.{name}".lstrip("."))]
            for name, part in module.named_children()
        ]
        return {"class": kind, "parts": parts}
    names = _CALLS.get(kind) or signature(type(module)).parameters
    arguments = {name: _argument(module, name, where) for name in names if name != "device"}
    return {"class": kind, "arguments": arguments}


def _argument(module: nn.Module, name: str, where: str) -> Any:
    if name == "dtype":
        return next((p.dtype for p in module.parameters()), None)
    if name == "bias":
        bias = getattr(module, "bias", getattr(module, "in_proj_bias", None))
        return bias if isinstance(bias, bool) else bias is not None
    if not hasattr(module, name):
        required = signature(type(module)).parameters.get(name)
        what = "has no" if required is None or required.default is Parameter.empty else "hides its"
        raise UnsavableError(f"{where} is a {type(module).__name__}, which {what} {name!r}.")
    return getattr(module, name)


def layers_from(about: Any, where: str) -> nn.Module:
    """Make a module of its description.

    Parameters
    ----------
    about : object
        As :func:`describe_layers` gives it.
    where : str
        What it is, for messages.

    Returns
    -------
    module : nn.Module
        The module, with weights of its own.

    Raises
    ------
    InvalidFileError
        If it is no description.
    """
    names_in(about, where, {"class"}, {"arguments", "parts"})
    kind = field(about, "class", str, where)
    if kind in _CONTAINERS:
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for part in field(about, "parts", list, where):
            right = isinstance(part, list) and len(part) == 2 and isinstance(part[0], str)
            check(right and part[0] not in parts, where, "its parts have no names of their own")
            parts[part[0]] = layers_from(part[1], f"{where}.{part[0]}")
        return _CONTAINERS[kind](parts)
    layer = getattr(nn, kind, None)
    is_layer = isinstance(layer, type) and issubclass(layer, nn.Module)
    check(is_layer, where, f"{kind!r} is no layer of torch's")
    assert layer is not None
    return layer(**field(about, "arguments", dict, where))


def same_layers(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules have layers of the same types and sizes, under the same names.

    Parameters
    ----------
    one, other : nn.Module
        The modules.

    Returns
    -------
    same : bool
        Their weights may differ.
    """

    def layout(module: nn.Module) -> Any:
        parts = [(name, type(part)) for name, part in module.named_modules()]
        tensors: dict[str, torch.Tensor] = module.state_dict()
        return parts, {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}

    return layout(one) == layout(other)
