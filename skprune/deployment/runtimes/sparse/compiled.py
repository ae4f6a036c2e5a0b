"""Run a program by code that numba compiles, once for each type of numbers, and keeps on disk."""

from collections.abc import Callable
from math import erf, exp, sqrt, tanh
from typing import Any

import numpy as np
from numba import njit

from skprune.deployment.runtimes.sparse.program import Activation, Kind
from skprune.deployment.runtimes.sparse.vectors import largest, products, sparse_dot

__all__ = ["WIDTHS", "run"]

# How many rows of a batch go through the program side by side: the fewest of these that are enough.
WIDTHS = (1, 8, 32)

_PRODUCT, _COPY, _MAXIMUM, _MULTIPLY, _SOFTMAX, _STANDARDIZE = (int(kind) for kind in Kind)
_NONE, _RELU, _LEAKY, _SIGMOID, _TANH, _GELU, _GELU_TANH, _SILU, _ELU, _RELU6, _SWISH, _HARD = (
    int(activation) for activation in Activation
)


def _compiled(**options: Any) -> Callable[[Callable], Any]:
    def decorate(function: Callable) -> Any:
        try:
            return njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # there is no folder to keep it in: it is compiled in each process
            return njit(nogil=True, **options)(function)

    return decorate


@_compiled()
def _activate(cells: Any, kind: int, p: float) -> None:
    if kind == _RELU:
        for i in range(len(cells)):
            if cells[i] < 0:
                cells[i] = 0
    elif kind == _RELU6:
        for i in range(len(cells)):
            if cells[i] < 0:
                cells[i] = 0
            elif cells[i] > 6:
                cells[i] = 6
    elif kind == _LEAKY:
        for i in range(len(cells)):
            if cells[i] < 0:
                cells[i] *= p
    elif kind == _SIGMOID:
        for i in range(len(cells)):
            cells[i] = 1 / (1 + exp(-cells[i]))
    elif kind == _TANH:
        for i in range(len(cells)):
            cells[i] = tanh(cells[i])
    elif kind == _GELU:
        for i in range(len(cells)):
            cells[i] *= 0.5 * (1 + erf(cells[i] / sqrt(2.0)))
    elif kind == _GELU_TANH:
        for i in range(len(cells)):
            x = cells[i]
            cells[i] = 0.5 * x * (1 + tanh(sqrt(2 / np.pi) * (x + 0.044715 * x * x * x)))
    elif kind == _SILU:
        for i in range(len(cells)):
            cells[i] /= 1 + exp(-cells[i])
    elif kind == _ELU:
        for i in range(len(cells)):
            if cells[i] < 0:
                cells[i] = p * (exp(cells[i]) - 1)
    else:
        for i in range(len(cells)):
            gate = min(max(cells[i] + 3, 0.0), 6.0) / 6
            cells[i] = gate * cells[i] if kind == _SWISH else gate


@_compiled()
def _group(
    kind: int,
    cells: Any,
    width: int,
    out: int,
    n_rows: int,
    table: Any,
    begin: int,
    n: int,
    epsilon: float,
) -> None:
    """Compute a softmax, or standardize, over groups of lines."""
    for row in range(n_rows):
        lines = table[begin + row * n : begin + (row + 1) * n]
        target = (out + row * n) * width
        for j in range(width):
            if kind == _SOFTMAX:
                shift = cells[lines[0] * width + j]
                for i in range(1, n):
                    shift = max(shift, cells[lines[i] * width + j])
                total = 0.0
                for i in range(n):
                    power = exp(cells[lines[i] * width + j] - shift)
                    cells[target + i * width + j] = power
                    total += power
                for i in range(n):
                    cells[target + i * width + j] /= total
            else:
                mean, variance = 0.0, 0.0
                for i in range(n):
                    mean += cells[lines[i] * width + j]
                mean /= n
                for i in range(n):
                    variance += (cells[lines[i] * width + j] - mean) ** 2
                factor = 1 / sqrt(variance / n + epsilon)
                for i in range(n):
                    cells[target + i * width + j] = (cells[lines[i] * width + j] - mean) * factor


def _runner(width: int) -> Any:
    """Make the code that runs a program on so many rows at a time."""

    @_compiled()
    def run(
        X: Any,
        results: Any,
        cells: Any,
        start: int,
        stop: int,
        steps: Any,
        parameters: Any,
        pointers: Any,
        indices: Any,
        weights: Any,
        bias: Any,
        places: Any,
        table: Any,
        outputs: Any,
    ) -> None:
        for begin in range(start, stop, width):
            n_rows = min(width, stop - begin)
            panel = cells[: X.shape[1] * width].reshape(X.shape[1], width)
            if n_rows == width:
                for line in range(X.shape[1]):
                    for j in range(width):
                        panel[line, j] = X[begin + j, line]
            else:
                panel[:] = 0
                for line in range(X.shape[1]):
                    for j in range(n_rows):
                        panel[line, j] = X[begin + j, line]
            for number in range(len(steps)):
                kind, activation, out, rows, n_places, pointer, place, entry, n = steps[number]
                if kind == _PRODUCT:
                    relu = activation == _RELU
                    for row in range(rows):
                        first, last = pointers[pointer + row], pointers[pointer + row + 1]
                        for at in range(n_places):
                            line = out + row * n_places + at
                            offset = places[place + at]
                            sparse_dot(
                                width,
                                weights,
                                indices,
                                first,
                                last,
                                cells,
                                offset,
                                bias[pointer + row],
                                line,
                                relu,
                            )
                    done = activation == _NONE or relu
                    size = rows * n_places
                elif kind in (_MAXIMUM, _COPY):
                    for row in range(rows):
                        first = entry + row * n
                        largest(width, table, first, first + n, cells, out + row)
                    done, size = activation == _NONE, rows
                elif kind == _MULTIPLY:
                    for row in range(rows):
                        first = entry + row * n
                        products(width, table, first, first + n, cells, out + row)
                    done, size = activation == _NONE, rows
                else:
                    epsilon = parameters[number, 1]
                    _group(kind, cells, width, out, rows, table, entry, n, epsilon)
                    done, size = activation == _NONE, rows * n
                if not done:
                    written = cells[out * width : (out + size) * width]
                    _activate(written, activation, parameters[number, 0])
            for i in range(len(outputs)):
                for j in range(n_rows):
                    results[begin + j, i] = cells[outputs[i] * width + j]

    return run


_RUNNERS = {width: _runner(width) for width in WIDTHS}


def run(program: Any, X: np.ndarray, results: np.ndarray, cells: np.ndarray, width: int) -> None:
    """Run a program for rows of a batch.

    Parameters
    ----------
    program : tuple of ndarray
        The arrays of a :class:`Program`.
    X : ndarray of shape (n_rows, n_inputs)
        The inputs.
    results : ndarray of shape (n_rows, n_outputs)
        What the outputs are written into.
    cells : ndarray of shape (n_lines * width,)
        The table.
    width : int
        How many rows go side by side; one of ``WIDTHS``.
    """
    _RUNNERS[width](X, results, cells, 0, len(X), *program)
