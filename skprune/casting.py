"""Inputs in the types that a network's weights have, without torch."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["cast_inputs"]


def cast_inputs(
    X: Any, floating: Any, has_embedding: Callable[[], bool], *, alone: bool = True
) -> Any:
    """Give inputs the type that a network's weights have.

    Parameters
    ----------
    X : ndarray, CSR matrix, or mapping of str to these
        The inputs.
    floating : dtype
        Type of the weights.
    has_embedding : callable
        Says whether the network has an embedding to look whole numbers up in.
    alone : bool, default=True
        Whether X is all the input there is. Whole numbers stay whole in a mapping, or where there
        is an embedding.

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
        return {
            key: cast_inputs(value, floating, has_embedding, alone=False)
            for key, value in X.items()
        }
    kind = X.dtype.kind
    if kind == "f" or (kind in "biu" and alone and not has_embedding()):
        return _cast(X, floating)
    return X.astype(np.int64, copy=False) if kind in "iu" else X


def _cast(X: Any, dtype: Any) -> Any:
    with np.errstate(over="ignore"):
        cast = X.astype(dtype, copy=False)
    if cast.dtype.itemsize < X.dtype.itemsize:
        values, before = (cast, X) if isinstance(X, np.ndarray) else (cast.data, X.data)
        if not np.isfinite(values).all() and np.isfinite(before).all():
            raise ValueError(
                f"Input X contains a value too large for {np.dtype(dtype)!r}, the type of the "
                "network."
            )
    return cast
