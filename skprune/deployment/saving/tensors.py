"""Tensors as arrays, and back."""

import numpy as np
import torch
from torch import Tensor

from skprune.deployment.saving.arrays import ITEM_SIZES
from skprune.exceptions import UnsavableError

__all__ = ["dtype_name", "rounds", "to_numpy", "to_tensor"]


def dtype_name(tensor: Tensor, where: str) -> str:
    """Name the type of a tensor.

    Parameters
    ----------
    tensor : Tensor
        The tensor.
    where : str
        What it is, for messages.

    Returns
    -------
    name : str
        Such as ``"float32"``.

    Raises
    ------
    UnsavableError
        If it is no plain tensor.
    """
    name = str(getattr(tensor, "dtype", None)).removeprefix("torch.")
    plain = isinstance(tensor, Tensor) and tensor.layout is torch.strided
    if not plain or tensor.is_quantized or tensor.is_meta or name not in ITEM_SIZES:
        raise UnsavableError(f"{where} is no plain tensor: {type(tensor).__name__}, {name}.")
    return name


def to_numpy(tensor: Tensor) -> np.ndarray:
    """Give a tensor as an array; one of bfloat16, which NumPy does not know, as its bits."""
    tensor = tensor.detach().cpu().contiguous()
    return (tensor.view(torch.uint16) if tensor.dtype is torch.bfloat16 else tensor).numpy()


def to_tensor(array: np.ndarray, dtype: str) -> Tensor:
    """Make a tensor of what :func:`to_numpy` gives."""
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor


def rounds(tensor: Tensor, where: str) -> bool:
    """Whether a tensor takes less room in half precision.

    Parameters
    ----------
    tensor : Tensor
        The tensor.
    where : str
        What it is, for messages.

    Returns
    -------
    rounds : bool
        False for whole numbers, and for what has two bytes already.

    Raises
    ------
    UnsavableError
        If a number is too large for half precision.
    """
    if tensor.dtype not in (torch.float32, torch.float64):
        return False
    finite = tensor.detach()[tensor.isfinite()]
    largest = float(finite.abs().max()) if finite.numel() else 0.0
    if largest > torch.finfo(torch.float16).max:
        raise UnsavableError(
            f"{where} has a weight of {largest:.3g}, and half precision ends at 65504. Save it "
            "with dtype=None."
        )
    return True
