"""Run a program by SciPy and NumPy, where numba is not installed."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.special import erf, expit

from skprune.deployment.runtimes.sparse.program import FIELDS, Activation, Kind, Program

__all__ = ["PlainRun"]

_ACTIVATIONS: Mapping[Activation, Callable[[Any, float], Any]] = MappingProxyType(
    {
        Activation.NONE: lambda x, p: x,
        Activation.RELU: lambda x, p: np.maximum(x, 0),
        Activation.LEAKY_RELU: lambda x, p: np.where(x < 0, p * x, x),
        Activation.SIGMOID: lambda x, p: expit(x),
        Activation.TANH: lambda x, p: np.tanh(x),
        Activation.GELU: lambda x, p: 0.5 * x * (1 + erf(x / np.sqrt(2))),
        Activation.GELU_TANH: lambda x, p: (
            0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        ),
        Activation.SILU: lambda x, p: x * expit(x),
        Activation.ELU: lambda x, p: np.where(x < 0, p * np.expm1(np.minimum(x, 0)), x),
        Activation.RELU6: lambda x, p: np.clip(x, 0, 6),
        Activation.HARDSWISH: lambda x, p: x * np.clip(x + 3, 0, 6) / 6,
        Activation.HARDSIGMOID: lambda x, p: np.clip(x + 3, 0, 6) / 6,
    }
)


class PlainRun:
    """A program, ready to be run.

    Parameters
    ----------
    program : Program
        The program. A product at several places becomes one matrix for all of them.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        rows = [dict(zip(FIELDS, step, strict=True)) for step in program.steps.tolist()]
        self._steps = [(of, _matrix(program, of)) for of in rows]

    def outputs(self, X: np.ndarray) -> np.ndarray:
        """Compute the outputs.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_inputs)
            The inputs.

        Returns
        -------
        outputs : ndarray of shape (n_rows, n_outputs)
            The outputs.
        """
        program = self.program
        cells = np.zeros((program.n_lines, len(X)), dtype=program.dtype)
        cells[: program.n_inputs] = X.T
        for (step, matrix), (p, epsilon) in zip(self._steps, program.parameters, strict=True):
            found = _computed(program, step, matrix, cells, epsilon)
            found = _ACTIVATIONS[Activation(step["activation"])](found, p)
            cells[step["out"] : step["out"] + len(found)] = found
        return np.ascontiguousarray(cells[program.outputs].T)


def _matrix(program: Program, step: dict[str, int]) -> Any:
    """Make the matrix of a product, with rows for each of its places."""
    if step["kind"] != Kind.PRODUCT:
        return None
    n_rows, n_places = step["n_rows"], step["n_places"]
    ends = program.pointers[step["pointer"] : step["pointer"] + n_rows + 1]
    places = program.places[step["place"] : step["place"] + n_places]
    counts = np.repeat(np.diff(ends), n_places)
    starts = np.repeat(ends[:-1], n_places)
    pointers = np.concatenate([[0], np.cumsum(counts)])
    which = np.repeat(starts - pointers[:-1], counts) + np.arange(pointers[-1])
    lines = program.indices[which] + np.repeat(np.tile(places, n_rows), counts)
    shape = (n_rows * n_places, program.n_lines)
    return csr_array((program.weights[which], lines, pointers), shape=shape)


def _computed(
    program: Program, step: dict[str, int], matrix: Any, cells: np.ndarray, epsilon: float
) -> np.ndarray:
    kind, n_rows, width = Kind(step["kind"]), step["n_rows"], step["width"]
    if kind is Kind.PRODUCT:
        bias = program.bias[step["pointer"] : step["pointer"] + n_rows]
        return matrix @ cells + np.repeat(bias, step["n_places"])[:, None]
    table = program.table[step["table"] : step["table"] + n_rows * width].reshape(n_rows, width)
    values = cells[table]
    if kind is Kind.MULTIPLY:
        return values.prod(axis=1)
    if kind is Kind.COPY:
        return values[:, 0]
    if kind is Kind.MAXIMUM:
        return values.max(axis=1)
    if kind is Kind.SOFTMAX:
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        found = powers / powers.sum(axis=1, keepdims=True)
    else:
        centered = values - values.mean(axis=1, keepdims=True)
        found = centered / np.sqrt((centered**2).mean(axis=1, keepdims=True) + epsilon)
    return found.reshape(n_rows * width, -1)
