"""Curvature of the loss, as vectors whose outer products add up to it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacrev, vmap

from skprune.strategies.importance.base import Samples

__all__ = ["CURVATURES", "Calls", "curvature_vectors", "evaluating"]

CURVATURES = ("fisher", "gauss_newton")

# Numbers that the vectors of a chunk hold, at the most.
_CHUNK = 2**24


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and each of its parts back afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def curvature_vectors(
    module: nn.Module,
    names: Sequence[str],
    samples: Samples,
    n_samples: int,
    generator: torch.Generator,
    curvature: str,
) -> Iterator[tuple[Tensor, float]]:
    """Compute vectors whose outer products add up to the curvature of the loss.

    Parameters
    ----------
    module : nn.Module
        The network.
    names : sequence of str
        The parameters with respect to which the curvature is taken, one after another.
    samples : Samples
        Where rows are drawn from.
    n_samples : int
        How many rows, at the most.
    generator : Generator
        The source of randomness.
    curvature : {"fisher", "gauss_newton"}
        The empirical Fisher matrix, with one vector a row: the gradient of its loss. Or the
        Gauss-Newton matrix, with as many vectors a row as the network has outputs.

    Yields
    ------
    vectors : Tensor of shape (n_vectors, n_weights)
        Those of some rows, times the roots of the rows' weights.
    total : float
        The sum of these rows' weights. The curvature of the mean loss is the sum of all outer
        products over the sum of all totals.
    """
    parameters = {f"module.{name}": module.get_parameter(name).detach() for name in names}
    n_weights = sum(parameter.numel() for parameter in parameters.values())
    for batch in samples.batches(n_samples, generator):
        of_row = _OfRow(module, samples, batch, parameters)
        weights = torch.ones(len(batch.targets)) if batch.weights is None else batch.weights
        with torch.no_grad(), evaluating(module):
            if curvature == "fisher":
                function, n_vectors = of_row.gradient, 1
            else:
                outputs = samples.outputs(module, batch.inputs)
                function, n_vectors = of_row.gauss_newton, outputs.shape[1:].numel()
            size = max(1, _CHUNK // (n_weights * n_vectors))
            for start in range(0, len(weights), size):
                rows = slice(start, start + size)
                vectors = _rowwise(function, _part(batch.inputs, rows), batch.targets[rows])
                vectors = vectors.view(-1, n_vectors, n_weights)
                roots = weights[rows].to(vectors).sqrt()
                yield (vectors * roots[:, None, None]).flatten(0, 1), float(weights[rows].sum())


class _OfRow:
    """What is computed of a single row of a batch."""

    def __init__(
        self, module: nn.Module, samples: Samples, batch: Any, parameters: Mapping[str, Tensor]
    ) -> None:
        self._loss = Calls(module, samples.losses)
        self._outputs = Calls(module, samples.outputs)
        self._samples, self._batch, self._parameters = samples, batch, parameters

    def gradient(self, inputs: Any, target: Tensor) -> Tensor:
        def loss(parameters: Mapping[str, Tensor]) -> Tensor:
            return functional_call(self._loss, parameters, (self._row(inputs, target),))[0]

        return torch.cat([part.flatten() for part in grad(loss)(self._parameters).values()])

    def gauss_newton(self, inputs: Any, target: Tensor) -> Tensor:
        row = self._row(inputs, target)

        def outputs(parameters: Mapping[str, Tensor]) -> Tensor:
            return functional_call(self._outputs, parameters, (row.inputs,))

        def loss(outputs: Tensor) -> Tensor:
            return self._samples.losses(_Given(outputs), row)[0]

        now = outputs(self._parameters)
        size = now.numel()
        values, vectors = torch.linalg.eigh(hessian(loss)(now).view(size, size))
        # A loss that is not convex in the outputs loses its directions of negative curvature.
        root = vectors * values.clamp(min=0).sqrt()
        parts = jacrev(lambda parameters: outputs(parameters).flatten() @ root)(self._parameters)
        return torch.cat([part.flatten(1) for part in parts.values()], 1)

    def _row(self, inputs: Any, target: Tensor) -> Any:
        return self._batch._replace(
            inputs=_part(inputs, None), targets=target[None], weights=None
        )


class Calls(nn.Module):
    """Calls a function with a module, whose parameters can then be stood in for."""

    def __init__(self, module: nn.Module, function: Any) -> None:
        super().__init__()
        self.module = module
        self._function = function

    def forward(self, argument: Any) -> Tensor:
        return self._function(self.module, argument)


class _Given(nn.Module):
    """Puts out what it was made with."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self._outputs = outputs

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._outputs


def _rowwise(function: Any, inputs: Any, targets: Tensor) -> Tensor:
    """Apply a function to each row, all at once where the network's operations allow it."""
    try:
        return vmap(function)(inputs, targets)
    except RuntimeError:
        return torch.stack([function(_part(inputs, i), targets[i]) for i in range(len(targets))])


def _part(inputs: Any, index: Any) -> Any:
    if isinstance(inputs, Mapping):
        return {key: value[index] for key, value in inputs.items()}
    return inputs[index]
