"""Gradients of the loss with respect to the weights, and means of what is made of them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from skprune.network.layers import layer_for
from skprune.network.network import Network
from skprune.strategies.importance.base import ScoringContext
from skprune.strategies.samples import Batch
from skprune.structures.base import Elements

__all__ = [
    "batch_gradients",
    "differentiable",
    "gradient",
    "hessian_product",
    "mean_gradient",
    "require_gradients",
    "twice_differentiable",
    "weight_of",
    "weighted_mean",
]

Tensors = dict[str, Tensor]


@contextmanager
def differentiable(module: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Have a network evaluate, with gradients of all its weights, and put it back as it was.

    A weight that is frozen has a gradient all the same: it can be removed like any other.

    Parameters
    ----------
    module : nn.Module
        The network.
    weights : mapping of str to Tensor
        Its weights.
    """
    modes = [(part, part.training) for part in module.modules()]
    frozen = [weight for weight in weights.values() if not weight.requires_grad]
    with ExitStack() as stack:
        if any(layer_for(part).is_recurrent for part in module.modules()):
            # cuDNN's recurrent layers have a gradient in training mode only.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        try:
            module.eval()
            for weight in frozen:
                weight.requires_grad_(True)
            yield
        finally:
            for weight in frozen:
                weight.requires_grad_(False)
            for part, training in modes:
                part.training = training


@contextmanager
def twice_differentiable(module: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Have a network evaluate so that gradients have gradients; see :func:`differentiable`."""
    # No other way of computing attention can be differentiated twice.
    with differentiable(module, weights), sdpa_kernel(SDPBackend.MATH):
        yield


def gradient(
    loss: Tensor,
    weights: Mapping[str, Tensor],
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Tensors:
    """Compute the gradient of a loss; zero for weights that it does not depend on.

    Nothing is left on the weights.
    """
    if not loss.requires_grad:
        return {name: torch.zeros_like(weight) for name, weight in weights.items()}
    gradients = torch.autograd.grad(
        loss,
        list(weights.values()),
        create_graph=create_graph,
        retain_graph=create_graph or retain_graph,
        materialize_grads=True,
    )
    return {name: g.to_dense() for name, g in zip(weights, gradients, strict=True)}


def hessian_product(
    first: Mapping[str, Tensor],
    vector: Mapping[str, Tensor],
    network: Network,
    *,
    again: bool,
    needed_by: str,
    instead: str,
) -> Tensors:
    """Compute the product of the Hessian of a loss with a vector.

    Parameters
    ----------
    first : mapping of str to Tensor
        The gradient of the loss, with its graph; see :func:`twice_differentiable`.
    vector : mapping of str to Tensor
        A number for each weight, by the parameter's name.
    network : Network
        The network.
    again : bool
        Whether there are more products to come with this gradient.
    needed_by, instead : str
        What needs the product, and what does without, for the message.

    Returns
    -------
    product : dict of str to Tensor
        By the parameter's name.

    Raises
    ------
    ValueError
        If a layer has no second derivative.
    """
    product = torch.stack([(part * vector[name]).sum() for name, part in first.items()]).sum()
    try:
        return gradient(product, network.weights, retain_graph=again)
    except NotImplementedError as error:
        raise ValueError(
            f"A layer of {type(network.module).__name__} has no second derivative in torch "
            f"({error}), which {needed_by} needs. Use {instead}."
        ) from error


def weight_of(batch: Batch) -> float:
    """Say what a batch weighs: its number of rows, or the sum of their weights."""
    return len(batch.targets) if batch.weights is None else float(batch.weights.double().sum())


def batch_gradients(
    context: ScoringContext, n_samples: int | None
) -> Iterator[tuple[float, Tensors]]:
    """Go through some rows in batches, for the gradients of their mean losses.

    Parameters
    ----------
    context : ScoringContext
        The network, its rows, and where a choice of them is drawn from.
    n_samples : int or None
        How many rows, at the most; all if None.

    Yields
    ------
    weight : float
        What the batch weighs.
    gradients : dict of str to Tensor
        By the parameter's name.
    """
    network, samples = context.elements.network, context.samples
    weights = network.weights
    with differentiable(network.module, weights):
        for batch in samples.batches(n_samples, context.generator):
            yield weight_of(batch), gradient(samples.loss(network.module, batch), weights)


def weighted_mean(values: Iterable[tuple[float, Tensors]]) -> Tensors:
    """Average tensors, name by name.

    Parameters
    ----------
    values : iterable of (float, dict of str to Tensor)
        Each with its weight. At least in single precision they are added up.

    Returns
    -------
    mean : dict of str to Tensor
        By name.

    Raises
    ------
    ValueError
        If nothing weighs anything.
    """
    total, sums = 0.0, {}
    for weight, tensors in values:
        total += weight
        for name, tensor in tensors.items():
            if name not in sums:
                dtype = torch.promote_types(tensor.dtype, torch.float32)
                sums[name] = torch.zeros_like(tensor, dtype=dtype)
            sums[name].add_(tensor, alpha=weight)
    if total <= 0:
        raise ValueError(
            "All rows that were drawn for the scores have the weight zero. Raise n_samples, or "
            "leave rows of no weight out of the data."
        )
    return {name: tensor.div_(total) for name, tensor in sums.items()}


def mean_gradient(context: ScoringContext, n_samples: int | None) -> Tensors:
    """Compute the gradient of the mean loss over some rows; see :func:`batch_gradients`."""
    return weighted_mean(batch_gradients(context, n_samples))


def require_gradients(scores: Mapping[str, Tensor], elements: Elements) -> None:
    """Raise an error if gradients are not finite, or if a layer has none that ranks it.

    In a network that has lost elements a layer may well be cut off from the outputs. Then it
    makes no difference what is kept of it.

    Parameters
    ----------
    scores : mapping of str to Tensor of shape (n_elements,)
        Products of weights and gradients, by layer.
    elements : Elements
        What they are of.

    Raises
    ------
    ValueError
        The message names the layer.
    """
    for name, score in scores.items():
        if not torch.isfinite(score).all():
            raise ValueError(
                f"The gradients of layer {name!r} are not finite, or too large for their type: "
                "the loss of some row is infinite, or the network has diverged. Scale the data, "
                "or use an importance without gradients, such as 'magnitude'."
            )
        if not score.any() and elements.n_kept == elements.n_elements:
            raise ValueError(
                f"The weights of layer {name!r} or their gradients are all zero, so that they do "
                "not rank them: the loss does not depend on the layer, forward computes it "
                "without gradients (torch.no_grad), training passes it over "
                "(requires_grad=False), or the network fits its rows exactly. Protect the layer "
                f"(protect=[{name!r}]) or use an importance without gradients, such as 'magnitude'."
            )
