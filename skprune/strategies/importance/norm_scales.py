"""The scales of norms, which go with the units that they scale."""

from torch import Tensor, nn

from skprune.network.layers import layer_for

__all__ = ["norm_scales"]


def norm_scales(module: nn.Module) -> dict[str, Tensor]:
    """Find the factors that norms multiply channels with.

    Parameters
    ----------
    module : nn.Module
        The network.

    Returns
    -------
    scales : dict of str to Tensor of shape (..., 1)
        By the parameter's name, with as many dimensions as weights have at the least; norms
        without parameters have none.
    """
    return {
        f"{name}.weight" if name else "weight": layer.weight.detach()[..., None]
        for name, layer in module.named_modules()
        if layer_for(layer).normalizes and getattr(layer, "weight", None) is not None
    }
