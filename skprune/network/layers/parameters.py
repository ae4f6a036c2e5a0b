"""Which parameters of a network are weights, and the layers that they belong to."""

from torch import nn
from torch.nn.utils.parametrizations import _WeightNorm

from skprune.network.layers.registry import layer_for

__all__ = ["layer_of", "weight_normed", "weight_parameters"]


def weight_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Weights of a network: its parameters of two or more dimensions, norms excepted.

    Parameters
    ----------
    module : nn.Module
        The network.

    Returns
    -------
    weights : dict of str to Parameter
        By the parameter's name, in the order of the network. A shared parameter stands once.
    """
    of_norms = {
        id(parameter)
        for layer in module.modules()
        if layer_for(layer).normalizes
        for parameter in layer.parameters(recurse=False)
    }
    return {
        name: parameter
        for name, parameter in module.named_parameters()
        if parameter.dim() >= 2 and id(parameter) not in of_norms
    }


def layer_of(parameter: str) -> str:
    """Name of the layer that a weight belongs to, as users write it.

    The one weight of an ordinary layer goes by the layer's name (``"conv1"``), any other by its
    own (``"rnn.weight_ih_l0"``).
    """
    return parameter.removesuffix(".weight")


def weight_normed(module: nn.Module, parameter: str) -> str | None:
    """Name the layer whose weight is computed from a parameter by ``weight_norm``, if any is."""
    owner = parameter.rpartition(".")[0]
    layer, computed, _ = owner.rpartition(".parametrizations.")
    if not computed:
        return None
    steps = module.get_submodule(owner).children()
    return layer if any(isinstance(step, _WeightNorm) for step in steps) else None
