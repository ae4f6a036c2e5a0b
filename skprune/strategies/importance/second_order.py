"""Curvature of the loss, as outer products of gradients."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import inf, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap
from torch.utils._pytree import tree_map

from skprune.strategies.importance.base import ScoringContext
from skprune.strategies.importance.gradients import differentiable, weight_of
from skprune.strategies.importance.row_gradients import RowGradients, chunks, linear_factors
from skprune.strategies.samples import Batch, Samples

__all__ = ["CURVATURES", "RowVectors", "curvature_vectors", "gauss_newton"]

CURVATURES = ("fisher", "gauss_newton")


class RowVectors:
    """Gradients of rows in all weights, one parameter after another, for their outer products.

    Those of an ordinary linear layer are kept as factors, an output's gradient and an input, and
    are multiplied where they are looked at.

    Parameters
    ----------
    parts : sequence of Tensor or of (Tensor, Tensor)
        For each parameter the rows' gradients, of shape (n_rows, n_weights), or their factors, of
        shapes (n_rows, n_outputs) and (n_rows, n_inputs).
    """

    def __init__(self, parts: Sequence[Tensor | tuple[Tensor, Tensor]]) -> None:
        self._parts: list[tuple[Tensor, ...]] = []
        sizes, bounds = [], []
        for part in parts:
            factors = part if isinstance(part, tuple) else (part,)
            self._parts.append(tuple(factor.T.contiguous() for factor in factors))
            sizes.append(prod(factor.shape[1] for factor in factors))
            bounds.append(prod(float(torch.linalg.vector_norm(f, inf)) for f in factors))
        self._ends = torch.tensor(sizes).cumsum(0)
        # An upper bound of all entries.
        self.largest = max(bounds)

    def __len__(self) -> int:
        return self._parts[0][0].shape[1]

    def at(self, index: Tensor, unit: float) -> Tensor:
        """Write out some weights' numbers.

        Parameters
        ----------
        index : Tensor of int of shape (n_weights,)
            Which weights, in rising order.
        unit : float
            What the numbers are divided by.

        Returns
        -------
        values : Tensor of shape (n_weights, n_rows)
            The numbers.
        """
        ends = torch.searchsorted(index, self._ends.to(index.device)).tolist()
        found = []
        for part, first, last, end in zip(
            self._parts, [0, *ends], ends, self._ends.tolist(), strict=False
        ):
            if first == last:
                continue
            some = index[first:last] - (end - prod(map(len, part)))
            if len(part) == 1:
                found.append(part[0][some] / unit)
            else:
                outputs, inputs = part
                given = some % len(inputs)
                found.append((outputs / unit)[some // len(inputs)].mul_(inputs[given]))
        return found[0] if len(found) == 1 else torch.cat(found)


def curvature_vectors(
    context: ScoringContext, names: Sequence[str], n_samples: int, chunk_size: int
) -> Iterator[tuple[float, RowVectors]]:
    """Compute the gradients of rows, whose outer products add up to the empirical Fisher matrix.

    Parameters
    ----------
    context : ScoringContext
        The network, its rows, and where a choice of them is drawn from; see :func:`gauss_newton`
        for the vectors of another matrix.
    names : sequence of str
        The weights with respect to which it is taken, one parameter after another.
    n_samples : int
        How many rows, at the most.
    chunk_size : int
        How many rows' gradients are computed and held at a time, where they have no factors.

    Yields
    ------
    weight : float
        What some rows weigh. The matrix is the sum of all outer products over the sum of all these.
    vectors : RowVectors
        The gradients of their losses, times the roots of their weights.
    """
    module, samples = context.elements.network.module, context.samples
    weights = {name: context.elements.network.weights[name] for name in names}
    per_row = RowGradients(module, samples)
    with differentiable(module, weights):
        for batch in samples.batches(n_samples, context.generator):
            factors = linear_factors(module, samples, batch, weights)
            others = {name: weight for name, weight in weights.items() if name not in factors}
            size = chunk_size if others else len(batch.targets)
            for i, chunk in enumerate(chunks(batch, size)):
                rows = slice(i * size, (i + 1) * size)
                written = per_row(others, chunk) if others else {}
                parts: list[Tensor | tuple[Tensor, Tensor]] = []
                for name in names:
                    if name in factors:
                        outputs, inputs = (factor[rows] for factor in factors[name])
                        parts.append((_by_root(outputs, chunk), inputs))
                    else:
                        parts.append(_by_root(written[name].flatten(1), chunk))
                yield weight_of(chunk), RowVectors(parts)


def _by_root(rows: Tensor, batch: Batch) -> Tensor:
    if batch.weights is None:
        return rows
    return rows * batch.weights.double().sqrt().to(rows)[:, None]


def gauss_newton(context: ScoringContext) -> ScoringContext:
    """Replace the rows by others, whose Fisher matrix is the Gauss-Newton matrix of the former.

    Parameters
    ----------
    context : ScoringContext
        The network and its rows.

    Returns
    -------
    context : ScoringContext
        With as many rows for each as the network has outputs.
    """
    return replace(context, samples=_GaussNewton(context.elements.network.module, context.samples))


class _GaussNewton:
    """Rows whose losses are linear in the outputs.

    The second derivatives of a row's loss in the outputs are a sum of outer products, and each of
    their factors is the target of a row here: the loss is its product with the outputs.
    """

    def __init__(self, module: nn.Module, samples: Samples) -> None:
        self._module, self._samples = module, samples

    def __len__(self) -> int:
        return len(self._samples)

    def batches(
        self, n_rows: int | None = None, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        for batch in self._samples.batches(n_rows, generator):
            for factor in self._factors(batch):
                yield Batch(batch.inputs, factor, batch.weights)

    def outputs(self, module: nn.Module, inputs: Any) -> Tensor:
        return self._samples.outputs(module, inputs).flatten(1)

    def losses(self, module: nn.Module, batch: Batch) -> Tensor:
        return (self.outputs(module, batch.inputs) * batch.targets).sum(1)

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        return self.losses(module, batch).mean()

    def _factors(self, batch: Batch) -> Tensor:
        """Factorize the second derivatives; of shape (n_outputs, n_rows, n_outputs)."""

        def second_derivatives(outputs: Tensor, inputs: Any, target: Tensor) -> Tensor:
            row = Batch(tree_map(lambda values: values[None], inputs), target[None], None)

            def loss(given: Tensor) -> Tensor:
                return self._samples.losses(_Given(given[None]), row).sum()

            return jacrev(jacrev(loss))(outputs)

        with torch.no_grad():
            outputs = self._samples.outputs(self._module, batch.inputs)
            found = _rowwise(second_derivatives, outputs, batch.inputs, batch.targets)
        size = outputs[0].numel()
        values, directions = torch.linalg.eigh(found.reshape(-1, size, size))
        # Directions of negative curvature are dropped, where a loss is not convex in the outputs.
        # Each row becomes as many rows as there are outputs: the factor keeps means what they were.
        roots = (size * values.clamp(min=0)).sqrt()
        return (directions * roots[:, None]).movedim(2, 0)


class _Given(nn.Module):
    """A module that returns the outputs that it was made with."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self._outputs = outputs

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._outputs


def _rowwise(function: Callable[..., Tensor], *rows: Any) -> Tensor:
    """Apply a function to each row: to all at once where torch can, else in turns."""
    try:
        return vmap(function)(*rows)
    except RuntimeError:  # what vmap has no rule for, such as .item()
        return torch.stack(
            [function(*tree_map(lambda values, i=i: values[i], rows)) for i in range(len(rows[0]))]
        )
