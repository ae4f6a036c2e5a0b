"""Put a program together, step by step, and lay out its table so that lines are used again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skprune.deployment.runtimes.sparse.program import FIELDS, Activation, Kind, Program

__all__ = ["Builder", "Lines"]

# Which lines of the table hold a value, in the shape that a row's value has. While a program is
# built, each line is written once.
Lines = np.ndarray


@dataclass
class _Step:
    kind: Kind
    out: int
    n_rows: int
    n_places: int = 1
    activation: Activation = Activation.NONE
    parameters: list[float] = field(default_factory=lambda: [0.0, 0.0])
    counts: Any = None
    indices: Any = None
    weights: Any = None
    bias: Any = None
    places: Any = None  # None where the indices are lines by themselves
    table: Any = None

    @property
    def size(self) -> int:
        return self.n_rows * self.n_places

    @property
    def read(self) -> np.ndarray:
        """The lines that it reads; of a product at several places some that lie in between too."""
        if self.table is not None:
            return self.table.reshape(-1)
        return self.indices if self.places is None else self.places


class Builder:
    """Makes a :class:`Program`.

    Parameters
    ----------
    shape : tuple of int
        Shape of a row of input.
    dtype : dtype
        Type of the numbers.
    """

    def __init__(self, shape: Sequence[int], dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.inputs: Lines = np.arange(int(np.prod(shape, dtype=int))).reshape(tuple(shape))
        self._steps: list[_Step] = []
        self._n_lines = self.inputs.size

    def _add(self, step: _Step) -> Lines:
        self._steps.append(step)
        self._n_lines += step.size
        return np.arange(step.out, step.out + step.size)

    def product(self, rows: Sequence[tuple[Any, Any]], bias: Any, places: Any = None) -> Lines:
        """Multiply by a sparse matrix, and add a bias.

        Parameters
        ----------
        rows : sequence of (ndarray of int, ndarray)
            Of each row of the matrix the lines that it reads, and their weights.
        bias : array-like of shape (n_rows,)
            What is added.
        places : array-like of int, default=None
            The rows are computed at each of these lines, from which theirs are counted.

        Returns
        -------
        lines : ndarray of shape (n_rows, n_places), or (n_rows,) without places
            What holds the results.
        """
        none: np.ndarray = np.empty(0)
        indices = np.concatenate([none, *(np.asarray(i) for i, _ in rows)])
        weights = np.concatenate([none, *(np.asarray(w, dtype=float) for _, w in rows)])
        places = None if places is None else np.asarray(places, dtype=np.int64)
        step = _Step(
            Kind.PRODUCT,
            self._n_lines,
            len(rows),
            1 if places is None else len(places),
            counts=np.array([len(i) for i, _ in rows], dtype=np.int64),
            indices=indices.astype(np.int64),
            weights=weights.astype(self.dtype),
            bias=np.asarray(bias, dtype=self.dtype).copy(),
            places=places,
        )
        lines = self._add(step)
        return lines if places is None else lines.reshape(len(rows), len(places))

    def gathered(self, kind: Kind, table: Any) -> Lines:
        """Copy lines, or combine the lines of each row of a table.

        Parameters
        ----------
        kind : Kind
            ``COPY``, ``MAXIMUM`` or ``MULTIPLY``.
        table : ndarray of int of shape (n_rows, width)
            The lines; -1 stands for zeros in a copy, and for none in a maximum.

        Returns
        -------
        lines : ndarray of shape (n_rows,)
            What holds the results.
        """
        table = np.array(table, dtype=np.int64)
        if kind is Kind.MAXIMUM:  # a line twice changes nothing
            table = np.where(table < 0, table.max(axis=1, keepdims=True), table)
        return self._add(_Step(kind, self._n_lines, len(table), table=table))

    def grouped(self, kind: Kind, table: Any, epsilon: float = 0.0) -> Lines:
        """Compute as many results as there are lines, group by group.

        Parameters
        ----------
        kind : Kind
            ``SOFTMAX`` or ``STANDARDIZE``.
        table : ndarray of int of shape (n_groups, width)
            The lines of each group.
        epsilon : float, default=0.0
            What is added to a variance.

        Returns
        -------
        lines : ndarray of shape (n_groups, width)
            What holds the results.
        """
        table = np.ascontiguousarray(table, dtype=np.int64)
        step = _Step(kind, self._n_lines, len(table), table.shape[1], table=table)
        step.parameters[1] = float(epsilon)
        return self._add(step).reshape(table.shape)

    def copied(self, lines: Lines, *, always: bool = False) -> Lines:
        """Copy lines one after another, in the shape that they have, where they are not yet so.

        Parameters
        ----------
        lines : ndarray of int
            The lines; zeros are written for -1.
        always : bool, default=False
            Whether to copy them even if they stand one after another.

        Returns
        -------
        lines : ndarray of int
            What one step wrote, in the same shape.
        """
        flat = lines.reshape(-1)
        in_order = np.array_equal(flat, np.arange(flat[0], flat[0] + len(flat)))
        if in_order and self.together(flat) and not always:
            return lines
        return self.gathered(Kind.COPY, flat[:, None]).reshape(lines.shape)

    def affine(self, lines: Lines, scale: Any, shift: Any, *, alone: bool) -> Lines:
        """Multiply lines by numbers, and add others.

        Parameters
        ----------
        lines : ndarray of int
            The lines.
        scale, shift : array-like
            Numbers for each of the lines, or that broadcast to them.
        alone : bool
            Whether nothing else reads the lines, so that the step that writes them may be changed.

        Returns
        -------
        lines : ndarray of int
            What holds the results, in the same shape.
        """
        scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), lines.shape).reshape(-1)
        shift = np.broadcast_to(np.asarray(shift, dtype=np.float64), lines.shape).reshape(-1)
        step = self._writer(lines) if alone else None
        if step is not None and step.kind is Kind.PRODUCT:
            by_row, shifts = (of.reshape(step.n_rows, step.n_places) for of in (scale, shift))
            if (by_row == by_row[:, :1]).all() and (shifts == shifts[:, :1]).all():
                factors = np.repeat(by_row[:, 0], step.counts)
                step.weights = (step.weights * factors).astype(self.dtype)
                step.bias = (step.bias * by_row[:, 0] + shifts[:, 0]).astype(self.dtype)
                return lines
        rows = [([line], [factor]) for line, factor in zip(lines.reshape(-1), scale, strict=True)]
        return self.product(rows, shift).reshape(lines.shape)

    def activated(
        self, lines: Lines, activation: Activation, parameter: float = 0.0, *, alone: bool
    ) -> Lines:
        """Apply a function to lines.

        Parameters
        ----------
        lines : ndarray of int
            The lines.
        activation : Activation
            The function.
        parameter : float, default=0.0
            Its parameter.
        alone : bool
            Whether nothing else reads the lines, so that the step that writes them may be changed.

        Returns
        -------
        lines : ndarray of int
            What holds the results, in the same shape.
        """
        step = self._writer(lines) if alone else None
        if step is None:
            lines = self.gathered(Kind.COPY, lines.reshape(-1, 1)).reshape(lines.shape)
            step = self._steps[-1]
        step.activation, step.parameters[0] = activation, float(parameter)
        return lines

    def _writer(self, lines: Lines) -> _Step | None:
        """Find the step that writes just these lines, in this order, and has no activation."""
        flat = lines.reshape(-1)
        for step in reversed(self._steps):
            if len(flat) and step.out == flat[0] and step.size == len(flat):
                same = np.array_equal(flat, np.arange(step.out, step.out + step.size))
                return step if same and step.activation is Activation.NONE else None
        return None

    def together(self, lines: Lines) -> bool:
        """Whether one step writes all the lines, so that their distances stay as they are.

        Parameters
        ----------
        lines : ndarray of int
            The lines.

        Returns
        -------
        together : bool
            True also for inputs.
        """
        starts = [step.out for step in self._steps]
        return len(np.unique(np.searchsorted(starts, lines, side="right"))) == 1

    def build(self, outputs: Lines) -> Program:
        """Finish the program.

        Parameters
        ----------
        outputs : ndarray of int
            The lines of the outputs, in the shape that a row's outputs have.

        Returns
        -------
        program : Program
            All the steps.
        """
        moved, n_lines = self._layout(outputs)
        parts: dict[str, list[np.ndarray]] = {
            name: [] for name in ("pointers", "indices", "weights", "bias", "places", "table")
        }
        sizes = dict.fromkeys(parts, 0)

        def keep(name: str, values: Any) -> int:
            begin = sizes[name]
            parts[name].append(np.asarray(values))
            sizes[name] += len(parts[name][-1])
            return begin

        rows = []
        for step in self._steps:
            columns = dict.fromkeys(FIELDS, 0)
            columns |= {"kind": step.kind, "activation": step.activation, "out": moved[step.out]}
            columns |= {"n_rows": step.n_rows, "n_places": step.n_places}
            if step.kind is Kind.PRODUCT:
                ends = np.concatenate([[0], np.cumsum(step.counts)]) + sizes["indices"]
                columns["pointer"] = keep("pointers", ends)
                keep("bias", np.append(step.bias, 0))  # so that it begins where the pointers do
                alone = step.places is None
                keep("indices", moved[step.indices] if alone else step.indices)
                keep("weights", step.weights)
                columns["place"] = keep("places", [0] if alone else moved[step.places])
            else:
                table = step.table.reshape(-1)
                columns["width"] = step.table.shape[1]
                columns["table"] = keep("table", np.where(table < 0, n_lines, moved[table]))
            rows.append([int(columns[name]) for name in FIELDS])
        types = {"indices": np.int32, "weights": self.dtype, "bias": self.dtype}
        joined = {
            name: np.concatenate([*of, []]).astype(types.get(name, np.int64))
            for name, of in parts.items()
        }
        return Program(
            steps=np.array(rows, dtype=np.int64).reshape(-1, len(FIELDS)),
            parameters=np.array([s.parameters for s in self._steps], dtype=np.float64).reshape(
                -1, 2
            ),
            **joined,
            outputs=moved[outputs.reshape(-1)],
            n_inputs=self.inputs.size,
            n_lines=n_lines + 1,
            shape=tuple(outputs.shape),
        )

    def _layout(self, outputs: Lines) -> tuple[np.ndarray, int]:
        """Give each line its place in the table, where lines that nobody reads any more are free.

        A region of lines, the inputs or what a step writes, stays together.
        """
        starts = np.array([0, *(step.out for step in self._steps)])
        sizes = [self.inputs.size, *(step.size for step in self._steps)]
        last = np.arange(-1, len(self._steps))  # the step after which a region is free
        for number, step in enumerate([*self._steps, None]):
            read = outputs.reshape(-1) if step is None else step.read
            regions = np.unique(np.searchsorted(starts, read[read >= 0], side="right") - 1)
            last[regions] = number
        moved = np.empty(self._n_lines, dtype=np.int64)
        taken: list[tuple[int, int, int]] = []  # where regions are, and until which step
        n_lines = 0
        for region, (start, size) in enumerate(zip(starts, sizes, strict=True)):
            taken = sorted(t for t in taken if t[2] >= region - 1)
            begin = 0
            for other, end, _ in taken:
                if begin + size <= other:
                    break
                begin = max(begin, end)
            taken.append((begin, begin + size, int(last[region])))
            moved[start : start + size] = np.arange(begin, begin + size)
            n_lines = max(n_lines, begin + size)
        return moved, n_lines
