"""The types of a network's numbers, and inputs that have them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from torch import nn

from skprune.network.layers import layer_for

__all__ = ["as_input_dtype", "module_dtype"]

_NUMPY_DTYPES = {torch.float64: np.float64, torch.float32: np.float32, torch.float16: np.float16}


def module_dtype(module: nn.Module) -> torch.dtype:
    """Type of a module's floating-point weights; torch's default if it has none."""
    return next(
        (p.dtype for p in module.parameters() if p.dtype.is_floating_point),
        torch.get_default_dtype(),
    )


def as_input_dtype(X: Any, module: nn.Module, *, alone: bool = True) -> Any:
    """Give inputs the type that a module's weights have.

    Parameters
    ----------
    X : ndarray, CSR matrix, or mapping of str to these
        The inputs.
    module : nn.Module
        The module.
    alone : bool, default=True
        Whether X is all the input there is. Whole numbers stay whole in a mapping, or where the
        module has an embedding to look them up in.

    Returns
    -------
    X : ndarray, CSR matrix, or dict of these
        The inputs, converted where they had to be.

    Raises
    ------
    ValueError
        If a finite number is infinite in the type of the weights.
    """
    if isinstance(X, Mapping):
        return {key: as_input_dtype(value, module, alone=False) for key, value in X.items()}
    kind = X.dtype.kind
    if kind == "f" or (kind in "biu" and alone and not _has_embedding(module)):
        return _cast(X, _NUMPY_DTYPES.get(module_dtype(module), np.float32))
    return X.astype(np.int64, copy=False) if kind in "iu" else X


def _cast(X: Any, dtype: Any) -> Any:
    with np.errstate(over="ignore"):
        cast = X.astype(dtype, copy=False)
    narrower = cast.dtype.itemsize < X.dtype.itemsize
    values, before = (cast.data, X.data) if issparse(X) else (cast, X)
    if narrower and not np.isfinite(values).all() and np.isfinite(before).all():
        raise ValueError(
            f"Input X contains a value too large for {np.dtype(dtype)!r}, the type of the network."
        )
    return cast


def _has_embedding(module: nn.Module) -> bool:
    return any(layer_for(layer).reads_codes for layer in module.modules())
