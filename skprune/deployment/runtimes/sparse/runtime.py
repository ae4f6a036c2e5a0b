"""The sparse runtime: fast for networks with few weights left, and needs no torch."""

import os
from collections import deque
from threading import Lock
from typing import Any, ClassVar, Self

import numpy as np

from skprune.deployment.runtimes.base import Runtime
from skprune.deployment.runtimes.sparse.program import Program

__all__ = ["SparseRuntime"]

# Fewer rows than these are not worth a thread of their own.
_ROWS_PER_THREAD = 256


class SparseRuntime(Runtime):
    """Multiplies by the weights that are left, and by no others.

    With numba, of the extra ``fast``, the whole network is one compiled loop over panels of 32 rows
    (8, or a single one, where there are no more), which stay in the processor's cache. The first
    use on a machine compiles it; later processes find it on disk. Without numba, SciPy multiplies,
    at a fraction of the speed.

    Parameters
    ----------
    program : Program
        What to compute.
    n_threads : int, default=None
        How many threads compute at the most; the number of cores if None.

    Attributes
    ----------
    program, n_threads
        As they were given.
    """

    name: ClassVar[str] = "sparse"
    chunk_rows: ClassVar[int] = 16384

    def __init__(self, program: Program, n_threads: int | None = None) -> None:
        self.program = program
        self.n_threads = n_threads
        self._begin()

    @classmethod
    def of(cls, module: Any, example: Any, n_threads: int | None = None) -> Self:
        """Translate a module.

        Parameters
        ----------
        module : Module
            The network; it is left as it is.
        example : Tensor
            A few rows of input.
        n_threads : int, default=None
            How many threads compute at the most; the number of cores if None.

        Returns
        -------
        runtime : SparseRuntime
            It computes what the module does.

        Raises
        ------
        NotDeployableError
            If the module does something that has no rule.
        """
        from skprune.deployment.runtimes.sparse.translation import program_of

        return cls(program_of(module, example), n_threads)

    def _begin(self) -> None:
        self._lock = Lock()
        self._plain: Any = None
        self._arrays = tuple(map(_writeable, self.program.arrays()))
        # Tables that no thread is using, by their width.
        self._tables: dict[int, deque[np.ndarray]] = {}

    def outputs(self, X: Any) -> np.ndarray:
        """Compute the outputs; see :class:`Runtime`."""
        program = self.program
        flat = np.ascontiguousarray(X, dtype=program.dtype).reshape(len(X), program.n_inputs)
        shape = (len(flat), *program.shape)
        compiled = _compiled()
        if compiled is None:
            return self._by_scipy(flat).reshape(shape)
        results = np.empty((len(flat), len(program.outputs)), dtype=program.dtype)
        width = next((w for w in compiled.WIDTHS if w >= len(flat)), compiled.WIDTHS[-1])
        n_parts = min(self.n_threads or _n_cores(), max(1, len(flat) // _ROWS_PER_THREAD))

        def compute(start: int, stop: int) -> None:
            free = self._tables.setdefault(width, deque())
            try:
                cells = free.pop()
            except IndexError:
                cells = np.zeros(program.n_lines * width, dtype=program.dtype)
            compiled.run(self._arrays, flat[start:stop], results[start:stop], cells, width)
            free.append(cells)

        if n_parts == 1:
            compute(0, len(flat))
        else:
            from concurrent.futures import ThreadPoolExecutor  # which one row does not need

            # Whole panels for each.
            ends = np.linspace(0, -(-len(flat) // width), n_parts + 1).astype(int) * width
            with ThreadPoolExecutor(n_parts) as pool:
                list(pool.map(compute, ends[:-1], np.minimum(ends[1:], len(flat))))
        return results.reshape(shape)

    def _by_scipy(self, X: np.ndarray) -> np.ndarray:
        with self._lock:
            if self._plain is None:
                from skprune.deployment.runtimes.sparse.plain import PlainRun

                self._plain = PlainRun(self.program)
        return self._plain.outputs(X)

    @property
    def n_bytes(self) -> int:
        """Size of the program; see :class:`Runtime`."""
        return self.program.n_bytes

    def __getstate__(self) -> dict[str, Any]:
        return {"program": self.program, "n_threads": self.n_threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


def _compiled() -> Any:
    """Give what numba compiles, or None where there is no numba."""
    try:
        from skprune.deployment.runtimes.sparse import compiled
    except ImportError:
        return None
    return compiled


def _n_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _writeable(array: np.ndarray) -> np.ndarray:
    """Give an array that numba takes for the same type as any other."""
    array = np.ascontiguousarray(array)
    return array if array.flags.writeable else array.copy()
