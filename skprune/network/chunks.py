"""Run a function over many rows, a chunk at a time that fits the processor's cache."""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from torch import Tensor

__all__ = ["NotFinite", "chunk_length", "forward_in_chunks"]


class NotFinite(ValueError):
    """Inputs have a NaN, an infinity, or numbers whose squares are too large to be added up."""


def forward_in_chunks(
    forward: Callable[[Any], Tensor],
    X: Any,
    device: str | torch.device = "cpu",
    n_rows: int | None = None,
    *,
    check_finite: bool = False,
) -> np.ndarray:
    """Compute the outputs of a network for all rows.

    Parameters
    ----------
    forward : callable
        Maps a chunk of inputs, a tensor or a dict of tensors, to a tensor with as many rows.
    X : ndarray, CSR matrix, or mapping of str to these
        The inputs, of at least one row. Sparse rows are made dense chunk by chunk.
    device : str or torch.device, default="cpu"
        Where the chunks are sent.
    n_rows : int, default=None
        Rows of a chunk; chosen by :func:`chunk_length` if None.
    check_finite : bool, default=False
        Whether to see that all inputs are finite, which is cheap while a chunk is in the cache.

    Returns
    -------
    outputs : ndarray of shape (n_samples, ...)
        The outputs.

    Raises
    ------
    NotFinite
        If an input is not, or is too large to tell.
    """
    on_cpu = torch.device(device).type == "cpu"
    parts = dict(X) if isinstance(X, Mapping) else {None: X}
    total = next(iter(parts.values())).shape[0]
    if n_rows is None and total <= _FEWEST_ROWS:
        n_rows = _FEWEST_ROWS
    n_rows = n_rows or chunk_length(sum(map(_row_bytes, parts.values())), device)
    outputs: Tensor | None = None
    # Not inference_mode, whose tensors a module may keep, and then cannot be trained with.
    with torch.no_grad():
        for start in range(0, total, n_rows):
            chunk = {key: _as_tensor(part[start : start + n_rows]) for key, part in parts.items()}
            if check_finite and not all(map(_is_finite, chunk.values())):
                raise NotFinite
            if not on_cpu:
                chunk = {key: rows.to(device) for key, rows in chunk.items()}
            output = forward(chunk if isinstance(X, Mapping) else chunk[None])
            if total <= n_rows:
                return output.cpu().numpy()
            if outputs is None:
                outputs = torch.empty((total, *output.shape[1:]), dtype=output.dtype)
            outputs[start : start + n_rows] = output
    assert outputs is not None
    return outputs.numpy()


_FEWEST_ROWS = 256


def _is_finite(rows: Tensor) -> bool:
    flat = rows.flatten()
    return isfinite(torch.dot(flat, flat).item())


def _row_bytes(rows: Any) -> int:
    return int(np.prod(rows.shape[1:], dtype=int)) * rows.dtype.itemsize


def _as_tensor(rows: Any) -> Tensor:
    if issparse(rows):
        return torch.from_numpy(rows.toarray())
    # torch would warn of read-only memory, such as that of a memory-mapped file.
    rows = np.ascontiguousarray(rows)
    return torch.from_numpy(rows if rows.flags.writeable else rows.copy())


def chunk_length(row_bytes: int, device: str | torch.device = "cpu") -> int:
    """Choose how many rows to send through a network at once.

    Parameters
    ----------
    row_bytes : int
        Size of a row of input.
    device : str or torch.device, default="cpu"
        Where the network is.

    Returns
    -------
    n_rows : int
        As many as fill two thirds of the second-level caches of the cores that torch uses, or a
        fixed part of the memory of an accelerator; at least 256, at most 16384.
    """
    on_cpu = torch.device(device).type == "cpu"
    # A third of the cache is left to the weights and the activations.
    budget = 2 * _cache_bytes() * torch.get_num_threads() // 3 if on_cpu else 2**28
    return min(max(budget // max(row_bytes, 1), _FEWEST_ROWS), 16384)


@lru_cache(maxsize=1)
def _cache_bytes() -> int:
    try:
        size = os.sysconf("SC_LEVEL2_CACHE_SIZE")
    except (ValueError, OSError, AttributeError):
        size = 0
    return size if size > 0 else 2**21
