"""Gradients of the loss of each row."""

import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils._pytree import tree_map

from skprune.network.layers import layer_for
from skprune.strategies.importance.base import ScoringContext
from skprune.strategies.importance.gradients import (
    Tensors,
    differentiable,
    gradient,
    weight_of,
    weighted_mean,
)
from skprune.strategies.samples import Batch, Samples

__all__ = ["RowGradients", "chunks", "linear_factors", "mean_power", "row_gradients"]


def row_gradients(
    context: ScoringContext, n_samples: int | None, chunk_size: int
) -> Iterator[tuple[float, Tensors]]:
    """Go through some rows, one by one, for the gradients of their losses.

    Parameters
    ----------
    context : ScoringContext
        The network, its rows, and where a choice of them is drawn from.
    n_samples : int or None
        How many rows, at the most; all if None.
    chunk_size : int
        How many rows' gradients are computed and held at a time.

    Yields
    ------
    weight : float
        The weight of the row.
    gradients : dict of str to Tensor
        By the parameter's name.

    Raises
    ------
    ValueError
        If a row has no gradient of its own.
    """
    network, samples = context.elements.network, context.samples
    weights = network.weights
    per_row = RowGradients(network.module, samples)
    with differentiable(network.module, weights):
        for batch in samples.batches(n_samples, context.generator):
            for chunk in chunks(batch, chunk_size):
                gradients = per_row(weights, chunk)
                for i, weight in enumerate(_row_weights(chunk).tolist()):
                    yield weight, {name: g[i] for name, g in gradients.items()}


def mean_power(context: ScoringContext, p: int, n_samples: int | None, chunk_size: int) -> Tensors:
    """Average a power of the absolute gradients of the rows' losses.

    Of an ordinary linear layer the gradient of a row is the product of an output's gradient and
    an input, and the mean of their powers a product of two matrices. Only other gradients are
    written out, `chunk_size` rows at a time.

    Parameters
    ----------
    context : ScoringContext
        The network, its rows, and where a choice of them is drawn from.
    p : int
        The power.
    n_samples : int or None
        How many rows, at the most; all if None.
    chunk_size : int
        How many rows' gradients are computed and held at a time.

    Returns
    -------
    mean : dict of str to Tensor
        By the parameter's name.

    Raises
    ------
    ValueError
        If a row has no gradient of its own.
    """
    network, samples = context.elements.network, context.samples
    weights = network.weights
    per_row = RowGradients(network.module, samples)

    def means() -> Iterator[tuple[float, Tensors]]:
        for batch in samples.batches(n_samples, context.generator):
            shares = _shares(batch)
            factors = linear_factors(network.module, samples, batch, weights)
            mean = {
                name: (outputs.abs().pow(p) * shares.to(outputs.dtype)[:, None]).T
                @ inputs.abs().pow(p)
                for name, (outputs, inputs) in factors.items()
            }
            others = {name: weight for name, weight in weights.items() if name not in factors}
            if others:
                parts = zip(chunks(batch, chunk_size), shares.split(chunk_size), strict=True)
                for chunk, share in parts:
                    for name, rows in per_row(others, chunk).items():
                        part = torch.tensordot(share.to(rows.dtype), rows.abs().pow_(p), 1)
                        mean[name] = mean[name] + part if name in mean else part
            yield weight_of(batch), mean

    with differentiable(network.module, weights):
        return weighted_mean(means())


def _row_weights(batch: Batch) -> Tensor:
    if batch.weights is None:
        return torch.ones(len(batch.targets), device=batch.targets.device)
    return batch.weights


def _shares(batch: Batch) -> Tensor:
    weights = _row_weights(batch).double()
    return weights / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def chunks(batch: Batch, size: int) -> Iterator[Batch]:
    """Cut a batch into smaller ones.

    Parameters
    ----------
    batch : Batch
        The rows.
    size : int
        Number of rows of each part; the last may have fewer.

    Yields
    ------
    chunk : Batch
        Some of the rows.
    """
    for start in range(0, len(batch.targets), size):
        rows = slice(start, start + size)
        yield Batch(
            tree_map(lambda values, rows=rows: values[rows], batch.inputs),
            batch.targets[rows],
            None if batch.weights is None else batch.weights[rows],
        )


class _Losses(nn.Module):
    """The losses of rows, as a module whose weights can be passed to it."""

    def __init__(self, module: nn.Module, samples: Samples) -> None:
        super().__init__()
        self.module = module
        self._samples = samples

    def forward(self, batch: Batch) -> Tensor:
        return self._samples.losses(self.module, batch)


class RowGradients:
    """Computes the gradients of each row's loss: all at once where torch can, else in turns.

    Parameters
    ----------
    module : nn.Module
        The network.
    samples : Samples
        Gives the losses.

    Raises
    ------
    ValueError
        If a layer mixes the rows of a batch.
    """

    def __init__(self, module: nn.Module, samples: Samples) -> None:
        for name, part in module.named_modules():
            if layer_for(part).uses_batch_statistics:
                raise ValueError(
                    f"Layer {name!r} normalizes by the statistics of the batch, which has no "
                    "running ones to use instead, so that a row has no gradient of its own. Set "
                    "track_running_stats=True, or use the gradients of batches: "
                    "importance='taylor' with per='batch', or 'snip'."
                )
        self._losses = _Losses(module, samples)
        self._at_once = True

    def __call__(self, weights: Mapping[str, Tensor], batch: Batch) -> Tensors:
        """Compute the gradients, in tensors of shape (n_rows, ...)."""
        if self._at_once:
            try:
                return self._vectorized(weights, batch)
            except RuntimeError:  # what vmap has no rule for: recurrent layers, .item()
                self._at_once = False
        rows = [gradient(self._losses(row).sum(), weights) for row in chunks(batch, size=1)]
        return {name: torch.stack([row[name] for row in rows]) for name in weights}

    def _vectorized(self, weights: Mapping[str, Tensor], batch: Batch) -> Tensors:
        def loss(weights: Tensors, inputs: Any, target: Tensor) -> Tensor:
            row = Batch(tree_map(lambda values: values[None], inputs), target[None], None)
            return functional_call(self._losses, weights, (row,)).sum()

        with warnings.catch_warnings(), torch.no_grad():
            warnings.filterwarnings("ignore", message="There is a performance drop")
            gradients = vmap(grad(loss), (None, 0, 0), randomness="different")(
                {f"module.{name}": weight.detach() for name, weight in weights.items()},
                batch.inputs,
                batch.targets,
            )
        return {name: gradients[f"module.{name}"] for name in weights}


def linear_factors(
    module: nn.Module, samples: Samples, batch: Batch, weights: Mapping[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Find the weights whose gradients are products: of an output's gradient and an input.

    Whether a weight has no part in the losses but through its layer is tried: the products then
    add up to the gradient of the sum.

    Returns
    -------
    factors : dict of str to (Tensor of shape (n_rows, n_outputs), Tensor of (n_rows, n_inputs))
        By the parameter's name.
    """
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def note(name: str, layer: nn.Module, arguments: Any, output: Tensor) -> None:
        calls.setdefault(name, []).append((arguments[0].detach(), output))

    names = {id(weight): name for name, weight in weights.items()}
    handles = [
        layer.register_forward_hook(partial(note, names[id(layer_for(layer).weight)]))
        for layer in module.modules()
        if layer_for(layer).multiplies_rows and id(layer_for(layer).weight) in names
    ]
    try:
        loss = samples.losses(module, batch).sum()
    finally:
        for handle in handles:
            handle.remove()
    n_rows = len(batch.targets)
    once = {
        name: made[0]
        for name, made in calls.items()
        if len(made) == 1 and made[0][0].dim() == 2 and len(made[0][0]) == n_rows
        if made[0][1].requires_grad
    }
    if not once:
        return {}
    found = gradient(
        loss,
        {name: weights[name] for name in once}
        | {f"output of {name}": output for name, (_, output) in once.items()},
    )
    factors = {}
    for name, (inputs, _) in once.items():
        outputs = found[f"output of {name}"]
        error = (outputs.T @ inputs - found[name]).abs().max()
        largest = outputs.norm(dim=0).max() * inputs.norm(dim=0).max()
        if error <= largest * torch.finfo(largest.dtype).eps ** 0.5:
            factors[name] = outputs, inputs
    return factors
