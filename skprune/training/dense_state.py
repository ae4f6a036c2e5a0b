"""What a dense training leaves in a net: tensors and history, taken out and put back exactly."""

import base64
import json
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor

from skprune.training.dense_key import trained_modules
from skprune.training.fingerprint import Uncacheable

__all__ = ["layout_of", "put_back_state", "take_state"]

_PLAIN = (type(None), bool, int, float, str)


def layout_of(net: NeuralNet) -> dict[str, Any]:
    """Tell what of a net's tensors is more than their values.

    Parameters
    ----------
    net : NeuralNet
        An initialized net.

    Returns
    -------
    layout : dict of str to object
        For each parameter and buffer, by its place: where else it is, and for
        parameters type, shape and order of memory, which a training has to leave as they are.
    """
    first: dict[int, str] = {}
    layout = {}
    for name, tensor in _slots(net).items():
        owner = name if tensor is None else first.setdefault(id(tensor), name)
        same_as = None if owner == name else owner
        described = isinstance(tensor, torch.nn.Parameter) and _described(tensor)
        layout[name] = (same_as, described)
    return layout


def take_state(net: NeuralNet) -> tuple[dict[str, Tensor], str]:
    """Copy the tensors and the history of a trained net.

    Parameters
    ----------
    net : NeuralNet
        The net.

    Returns
    -------
    tensors : dict of str to Tensor
        Parameters and buffers, by their places, on the CPU.
    about : str
        The rest, as JSON.

    Raises
    ------
    Uncacheable
        If there is something that cannot be put back exactly.
    """
    tensors: dict[str, Tensor] = {}
    described: dict[str, Any] = {}
    for name, tensor in _slots(net).items():
        if tensor is None:
            described[name] = None
            continue
        if type(tensor) not in (Tensor, torch.nn.Parameter, torch.nn.Buffer):
            raise Uncacheable(f"{name} is a {type(tensor).__name__}")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            raise Uncacheable(f"{name} is no plain tensor")
        described[name] = [*_described(tensor), tensor.requires_grad]
        tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    about = {"history": _encoded(list(net.history_)), "tensors": described}
    return tensors, json.dumps(about)


def put_back_state(net: NeuralNet, tensors: dict[str, Tensor], about: str) -> None:
    """Give a net the tensors and the history of an equal one that was trained.

    Parameters
    ----------
    net : NeuralNet
        The net, initialized. It is changed only if everything fits.
    tensors, about
        See :func:`take_state`.

    Raises
    ------
    ValueError
        If they are not those of such a net.
    """
    known = json.loads(about, object_hook=_decoded)
    slots, described = _slots(net), known["tensors"]
    if slots.keys() != described.keys():
        raise ValueError("it is that of a network with other tensors")
    if tensors.keys() != {name for name, description in described.items() if description}:
        raise ValueError("tensors are missing")
    for name, description in described.items():
        now = slots[name]
        if description and _described(tensors[name])[:2] != description[:2]:
            raise ValueError(f"{name} has another type or shape")
        if isinstance(now, torch.nn.Parameter) and _described(now) != (description or [])[:3]:
            raise ValueError(f"{name} is that of another network")
    places = _places(net)
    with torch.no_grad():
        for name, description in described.items():
            now = slots[name]
            if description is None:
                places[name][0][places[name][1]] = None
            elif now is not None and _described(now) == description[:3]:
                now.copy_(tensors[name])
                now.requires_grad_(description[3])
            else:
                _, shape, strides, trainable = description
                device = torch.device(net.device or "cpu")
                new = torch.empty_strided(shape, strides, dtype=tensors[name].dtype, device=device)
                new.copy_(tensors[name])
                places[name][0][places[name][1]] = new.requires_grad_(trainable)
    net.history_ = type(net.history_)(known["history"])
    net._set_training(False)


def _places(net: NeuralNet) -> dict[str, tuple[dict[str, Any], str]]:
    return {
        f"{owner}/{prefix}{'.' if prefix else ''}{name}": (holder, name)
        for owner, module in trained_modules(net)
        for prefix, part in module.named_modules()
        for holder in (part._parameters, part._buffers)
        for name in holder
    }


def _slots(net: NeuralNet) -> dict[str, Tensor | None]:
    """List all parameters and buffers, also those that are None or not saved with the module."""
    return {place: holder[name] for place, (holder, name) in _places(net).items()}


def _described(tensor: Tensor) -> list[Any]:
    return [str(tensor.dtype), list(tensor.shape), list(tensor.stride())]


def _encoded(value: Any) -> Any:
    """Write what JSON does not know of with a mark of its type."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [_encoded(each) for each in value]
    if kind is dict and all(type(key) is str for key in value) and "//" not in value:
        return {key: _encoded(each) for key, each in value.items()}
    if kind is dict:
        return {"//": "dict", "is": [[_encoded(k), _encoded(v)] for k, v in value.items()]}
    if kind is tuple:
        return {"//": "tuple", "is": [_encoded(each) for each in value]}
    if isinstance(value, np.generic) and value.dtype.kind in "biufc":
        data = base64.b64encode(value.tobytes()).decode()
        return {"//": "numpy", "is": [value.dtype.str, data]}
    raise Uncacheable(f"the history holds a {kind.__module__}.{kind.__qualname__}")


def _decoded(value: dict[str, Any]) -> Any:
    kind, inside = value.get("//"), value.get("is")
    if kind is None:
        return value
    if kind == "dict":
        return dict(inside or ())
    if kind == "tuple":
        return tuple(inside or ())
    dtype, data = inside or ("", "")
    return np.frombuffer(base64.b64decode(data), dtype=np.dtype(dtype))[0]
