"""Rows of input: a file has their sizes, and what is read is made up.

They may be somebody's data, and whoever has the file would have them.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from skprune.deployment.saving.arrays import ITEM_SIZES
from skprune.deployment.saving.fields import check, field, names_in, shape_in
from skprune.deployment.saving.tensors import dtype_name
from skprune.deployment.saving.values import Reader

__all__ = ["example_from_plain", "example_to_plain"]


def example_to_plain(example: Any) -> Any:
    """Describe rows of input.

    Parameters
    ----------
    example : Tensor, mapping of str to Tensor, or None
        The rows.

    Returns
    -------
    about : dict or None
        Their types and shapes.
    """
    if isinstance(example, Tensor):
        return {"shape": list(example.shape), "dtype": dtype_name(example, "example")}
    if isinstance(example, Mapping):
        return {"parts": {key: example_to_plain(part) for key, part in example.items()}}
    return None


def example_from_plain(about: Any, source: Reader, where: str) -> Any:
    """Make rows up.

    Parameters
    ----------
    about : object
        As :func:`example_to_plain` gives it.
    source : Reader
        Knows how much room there is.
    where : str
        What it is, for messages.

    Returns
    -------
    example : Tensor, dict of str to Tensor, or None
        Numbers around zero, always the same; ones where they have to be whole.
    """
    if about is None:
        return None
    names_in(about, where, (), {"parts", "shape", "dtype"})
    if "parts" in about:
        parts = field(about, "parts", dict, where)
        return {
            key: example_from_plain(part, source, f"{where}.{key}") for key, part in parts.items()
        }
    dtype, shape = field(about, "dtype", str, where), shape_in(about, "shape", where)
    check(dtype in ITEM_SIZES, where, f"the type {dtype[:80]!r} is not known")
    source.arrays.take_room(8 * prod(shape), where)
    kind = getattr(torch, dtype)
    if not kind.is_floating_point:
        return torch.ones(shape, dtype=kind)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(kind)
