"""What every runtime is: it computes a network's outputs of NumPy arrays."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

__all__ = ["Runtime"]


class Runtime(ABC):
    """Computes what a network puts out.

    A runtime is made by a class method ``of``, of what only that runtime needs, and is not changed
    by what it computes. It can be pickled, and several threads can use it at once.

    Attributes
    ----------
    name : str
        What it is called in :func:`~skprune.deployment.deploy`.
    n_threads : int or None
        How many threads compute at the most; None for the runtime's own default.
    chunk_rows : int
        How many rows it computes at once, of more: a chunk is to fit a processor's cache.
    """

    name: ClassVar[str]
    chunk_rows: ClassVar[int] = 1024
    n_threads: int | None

    @abstractmethod
    def outputs(self, X: Any) -> np.ndarray:
        """Compute the network's outputs.

        Parameters
        ----------
        X : ndarray of shape (n_rows, ...), or mapping of str to such
            Inputs of the type that the network takes, of at least one row.

        Returns
        -------
        outputs : ndarray of shape (n_rows, ...)
            What the network puts out, the first if it puts out several.
        """

    def all_outputs(self, X: Any) -> np.ndarray:
        """Compute the outputs of any number of rows, chunk by chunk.

        Parameters
        ----------
        X : ndarray of shape (n_rows, ...), or mapping of str to such
            Inputs of the type that the network takes, of at least one row.

        Returns
        -------
        outputs : ndarray of shape (n_rows, ...)
            What :meth:`outputs` gives.
        """
        parts = X if isinstance(X, Mapping) else {None: X}
        n_rows, length = len(next(iter(parts.values()))), self.chunk_rows
        if n_rows <= length:
            return self.outputs(X)
        chunks = [
            {key: rows[start : start + length] for key, rows in parts.items()}
            for start in range(0, n_rows, length)
        ]
        one = not isinstance(X, Mapping)
        return np.concatenate([self.outputs(chunk[None] if one else chunk) for chunk in chunks])

    @property
    @abstractmethod
    def n_bytes(self) -> int:
        """How many bytes it takes to store what it computes with."""
