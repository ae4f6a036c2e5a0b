"""What a strategy kept of a network in its original shape, told by what is left of it."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.deployment.saving.fields import check, field, names_in
from skprune.deployment.saving.values import Reader, Writer
from skprune.network.removals import Removals

__all__ = ["original_places", "read_kept", "read_original", "write_kept", "write_original"]


def original_places(dense: nn.Module, removals: Removals) -> dict[str, np.ndarray]:
    """Say, of each parameter of a pruned network, where its entries were in the original.

    Parameters
    ----------
    dense : nn.Module
        A network as the original was before it was pruned.
    removals : Removals
        What was removed of it.

    Returns
    -------
    places : dict of str to ndarray of int
        The number of each entry in the flattened original, by the parameter's name.
    """
    numbered = _numbered(dense)
    return {
        name: parameter.detach().numpy().astype(np.int64)
        for name, parameter in removals.replay(numbered).named_parameters()
        if name in dict(dense.named_parameters())
    }


def _numbered(dense: nn.Module) -> nn.Module:
    """Copy a network; the entries of each parameter of the copy are their own numbers."""
    numbered = deepcopy(dense).cpu()
    for parameter in numbered.parameters():
        parameter.requires_grad_(False)
        parameter.data = torch.arange(parameter.numel(), dtype=torch.float64).view(parameter.shape)
    return numbered


def _expected(shape: Any, places: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Say what the strategy kept of a weight, if units that left later had nothing of it."""
    result = np.zeros(shape, bool)
    result.reshape(-1)[places if mask is None else places[mask]] = True
    return result


def write_original(
    name: str, original: np.ndarray, places: np.ndarray | None, mask: np.ndarray | None, to: Writer
) -> dict[str, Any]:
    """Describe what the strategy kept of a weight.

    Parameters
    ----------
    name : str
        The weight's name.
    original : ndarray of bool
        What was kept of it, in the original shape.
    places : ndarray of int or None
        Where the entries of the weight that is left were; None if that is not known.
    mask : ndarray of bool or None
        What is kept of that; None for all.
    to : Writer
        Where arrays go.

    Returns
    -------
    about : dict
        As JSON holds it.
    """
    stored = to.new_name(f"{name}.mask")
    if places is not None:
        original = original ^ _expected(original.shape, places, mask)
    to.arrays.add(stored, original, "bool")
    return {"as": "whole" if places is None else "difference", "stored": stored}


def read_original(
    about: Any, places: np.ndarray | None, mask: Tensor | None, source: Reader, where: str
) -> np.ndarray:
    """Say what the strategy kept of a weight.

    Parameters
    ----------
    about : object
        As :func:`write_original` gives it.
    places, mask : ndarray, Tensor or None
        As they were when it was written.
    source : Reader
        Where arrays are.
    where : str
        What it is, for messages.

    Returns
    -------
    original : ndarray of bool
        In the original shape.
    """
    names_in(about, where, {"as", "stored"})
    kind, stored = field(about, "as", str, where), field(about, "stored", str, where)
    check(kind in ("whole", "difference"), where, f"a mask is given as {kind[:80]!r}")
    check(source.arrays.described(stored, where)[0] == "bool", where, "a mask is no mask")
    array = source.arrays.read(stored, where)[0]
    if kind == "whole":
        return array
    check(places is not None, where, "a mask is that of another network")
    assert places is not None
    inside = not places.size or places.max() < array.size
    check(bool(inside), where, "a mask is that of another network")
    return array ^ _expected(array.shape, places, None if mask is None else mask.numpy())


def write_kept(
    kept: np.ndarray, masks: Mapping[str, np.ndarray], to: Writer, where: str
) -> dict[str, Any]:
    """Say what the strategy kept of a weight.

    Parameters
    ----------
    about : object
        As :func:`write_original` gives it.
    places, mask : ndarray, Tensor or None
        As they were when it was written.
    source : Reader
        Where arrays are.
    where : str
        What it is, for messages.

    Returns
    -------
    original : ndarray of bool
        In the original shape.
    """
    for name, mask in masks.items():
        if mask.size == kept.size and np.array_equal(mask.reshape(-1), kept):
            return {"mask": name}
    return {"is": to.write(kept, where)}


def read_kept(
    about: Any, masks: Mapping[str, np.ndarray], source: Reader, where: str
) -> np.ndarray:
    """Describe what the strategy kept of a weight.

    Parameters
    ----------
    name : str
        The weight's name.
    original : ndarray of bool
        What was kept of it, in the original shape.
    places : ndarray of int or None
        Where the entries of the weight that is left were; None if that is not known.
    mask : ndarray of bool or None
        What is kept of that; None for all.
    to : Writer
        Where arrays go.

    Returns
    -------
    about : dict
        As JSON holds it.
    """
    names_in(about, where, (), {"mask", "is"})
    if "mask" not in about:
        return source.read(about.get("is"), where)
    name = field(about, "mask", str, where)
    check(name in masks, where, f"there is no mask {name[:80]!r}")
    return masks[name].reshape(-1).copy()
