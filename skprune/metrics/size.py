"""Parameters, units, bytes and multiply-accumulates of a network, layer by layer."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from skprune.network.layers import layer_for

__all__ = [
    "count_applications",
    "count_macs",
    "count_parameters",
    "count_rows",
    "count_units",
    "count_weights",
    "layers",
    "multiplied",
    "size_in_bytes",
    "tensors_of",
]


def layers(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Iterate over the parts of a network that hold tensors of their own.

    Parameters
    ----------
    module : nn.Module
        The network.

    Yields
    ------
    name : str
        The part's name within the network; empty for the network itself.
    layer : nn.Module
        The part. Attention is one part, its output projection included.
    """
    inside = {
        id(child)
        for layer in module.modules()
        if layer_for(layer).is_one_part
        for child in layer.modules()
        if child is not layer
    }
    for name, layer in module.named_modules():
        if id(layer) not in inside and any(True for _ in tensors_of(layer)):
            yield name, layer


def tensors_of(layer: nn.Module, *, buffers: bool = True) -> Iterator[tuple[str, Tensor]]:
    """Iterate over the tensors that a part of a network holds.

    Parameters
    ----------
    layer : nn.Module
        One of :func:`layers`.
    buffers : bool, default=True
        Whether its buffers are among them.

    Yields
    ------
    name : str
        The tensor's name within the part.
    tensor : Tensor
        The tensor.
    """
    recurse = layer_for(layer).is_one_part
    yield from layer.named_parameters(recurse=recurse)
    if buffers:
        yield from layer.named_buffers(recurse=recurse)


def count_parameters(
    module: nn.Module, masks: Mapping[str, Tensor] | None = None
) -> dict[str, int]:
    """Count the parameters of each layer.

    Parameters
    ----------
    module : nn.Module
        The network.
    masks : mapping of str to Tensor of bool, default=None
        What is kept of each weight, by the parameter's name; what is not is not counted.

    Returns
    -------
    counts : dict of str to int
        Number of parameters by the layer's name. A shared parameter counts where it first stands.
    """
    return _count(module, masks, min_dim=0)


def count_weights(module: nn.Module, masks: Mapping[str, Tensor] | None = None) -> dict[str, int]:
    """Count the weights of each layer: its parameters of two or more dimensions.

    Parameters
    ----------
    module : nn.Module
        The network.
    masks : mapping of str to Tensor of bool, default=None
        What is kept of each weight, by the parameter's name; what is not is not counted.

    Returns
    -------
    counts : dict of str to int
        Number of weights by the layer's name. A shared parameter counts where it first stands.
    """
    return _count(module, masks, min_dim=2)


def _count(
    module: nn.Module, masks: Mapping[str, Tensor] | None, *, min_dim: int
) -> dict[str, int]:
    seen: set[int] = set()
    counts = {}
    for name, layer in layers(module):
        total = 0
        for tensor, parameter in tensors_of(layer, buffers=False):
            if parameter.dim() >= min_dim and id(parameter) not in seen:
                seen.add(id(parameter))
                total += _kept(f"{name}.{tensor}" if name else tensor, parameter, masks)
        counts[name] = total
    return counts


def _kept(name: str, parameter: Tensor, masks: Mapping[str, Tensor] | None) -> int:
    if masks and name in masks:
        return int(masks[name].sum())
    return parameter.numel()


def count_units(module: nn.Module) -> dict[str, int]:
    """Count the units (neurons, channels, embedding dimensions) that each layer puts out.

    Parameters
    ----------
    module : nn.Module
        The network.

    Returns
    -------
    counts : dict of str to int
        Number of units by the layer's name; 0 for a layer that makes none of its own.
    """
    return {name: layer_for(layer).n_units for name, layer in layers(module)}


def size_in_bytes(module: nn.Module) -> dict[str, int]:
    """Bytes that each layer's parameters and buffers take in memory.

    Parameters
    ----------
    module : nn.Module
        The network.

    Returns
    -------
    sizes : dict of str to int
        Bytes by the layer's name. Masked weights are stored, so they count.
    """
    seen: set[int] = set()
    sizes = {}
    for name, layer in layers(module):
        total = 0
        for _, tensor in tensors_of(layer):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                total += tensor.numel() * tensor.element_size()
        sizes[name] = total
    return sizes


def count_macs(
    module: nn.Module,
    inputs: Any,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    masks: Mapping[str, Tensor] | None = None,
) -> dict[str, int]:
    """Count the multiply-accumulates of one forward pass, per row of input.

    Each weight of a linear, convolutional, recurrent or attention layer counts once for every
    position that it is applied to; a masked weight does not count, which is what a sparse kernel
    makes of it. Biases, norms, activations, look-ups in embeddings, and the products of attention
    that have no weight in them are left out, as is usual.

    Parameters
    ----------
    module : nn.Module
        The network.
    inputs : object
        A few rows of input.
    forward : callable, default=None
        Computes the output of a module from inputs; ``module(inputs)`` if None.
    masks : mapping of str to Tensor of bool, default=None
        What is kept of each weight, by the parameter's name.

    Returns
    -------
    macs : dict of str to int
        Multiply-accumulates per row, by the layer's name.
    """
    kept = (
        {
            id(parameter): masks[name]
            for name, parameter in module.named_parameters()
            if name in masks
        }
        if masks
        else {}
    )
    rows, applications = count_rows(inputs), count_applications(module, inputs, forward)

    def n_kept(weight: Tensor) -> int:
        return int(kept[id(weight)].sum()) if id(weight) in kept else weight.numel()

    return {
        name: applications[name] * sum(n_kept(weight) for _, weight in multiplied(layer)) // rows
        if applications[name]
        else 0
        for name, layer in layers(module)
    }


def multiplied(layer: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Iterate over the weights of a part of a network that are multiplied with its inputs.

    Parameters
    ----------
    layer : nn.Module
        One of :func:`layers`, of those that are applied at all.

    Yields
    ------
    name : str
        The weight's name within the part.
    weight : Tensor
        The weight. A layer under ``weight_norm`` or the like has none among its own parameters: it
        is the computed one.
    """
    weights = [(name, p) for name, p in tensors_of(layer, buffers=False) if p.dim() >= 2]
    yield from weights or [("weight", layer_for(layer).weight)]


def count_applications(
    module: nn.Module, inputs: Any, forward: Callable[[nn.Module, Any], Any] | None = None
) -> dict[str, int]:
    """Count how often one forward pass applies the weights of each layer.

    Parameters
    ----------
    module : nn.Module
        The network.
    inputs : object
        A few rows of input.
    forward : callable, default=None
        Computes the output of a module from inputs; ``module(inputs)`` if None.

    Returns
    -------
    applications : dict of str to int
        Over all rows, by the layer's name; 0 for a layer whose work is not counted.
    """
    applications = {name: 0 for name, _ in layers(module)}

    def counter(name: str) -> Callable:
        def count(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            first = args[0] if args else next(iter(kwargs.values()), None)
            applications[name] += layer_for(layer).n_applications(first, output)

        return count

    hooks = [
        layer.register_forward_hook(counter(name), with_kwargs=True)
        for name, layer in layers(module)
        if not isinstance(layer, torch.jit.ScriptModule)  # takes no hooks: counts as nothing
    ]
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            (forward or _call)(module, inputs)
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return applications


def _call(module: nn.Module, inputs: Any) -> Any:
    return module(inputs)


def count_rows(inputs: Any) -> int:
    """Count the rows of an input, which may be a mapping or a sequence of tensors.

    Parameters
    ----------
    inputs : object
        What a network is given.

    Returns
    -------
    n_rows : int
        At least one.
    """
    while not isinstance(inputs, Tensor):
        inputs = next(iter(inputs.values() if isinstance(inputs, Mapping) else inputs))
    return max(len(inputs), 1)
