"""The arithmetic of a scaler, folded into the first layer of the network behind it."""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.network.forward import first_output
from skprune.network.layers import layer_for
from skprune.network.layers.linear import LinearLayer

__all__ = ["affine_of", "with_affine"]

_SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")


def affine_of(transformer: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Read what a fitted scaler multiplies each column by, and what it adds.

    Parameters
    ----------
    transformer : object
        A fitted transformer.

    Returns
    -------
    scale, shift : ndarray of shape (n_features,)
        The scaler makes ``X * scale + shift`` of X; None for what is none of scikit-learn's
        scalers, or does more than that.
    """
    kind = type(transformer)
    if kind.__name__ not in _SCALERS or not kind.__module__.startswith("sklearn.preprocessing."):
        return None
    if getattr(transformer, "clip", False):
        return None
    n_features = transformer.n_features_in_
    scale = getattr(transformer, "scale_", None)
    scale = np.ones(n_features) if scale is None else np.asarray(scale, dtype=np.float64)
    if kind.__name__ == "MinMaxScaler":
        return scale, np.asarray(transformer.min_, dtype=np.float64)
    center = getattr(transformer, "mean_", getattr(transformer, "center_", None))
    if center is None or not getattr(transformer, "with_mean", True):
        center = np.zeros(n_features)
    return 1 / scale, -np.asarray(center, dtype=np.float64) / scale


def with_affine(
    module: nn.Module, scale: np.ndarray, shift: np.ndarray, example: Tensor
) -> nn.Module | None:
    """Let a module multiply its inputs and add to them, by other weights in its first layer.

    Whether its inputs go nowhere else is seen by the outputs for a few rows.

    Parameters
    ----------
    module : Module
        The network; it is left as it is.
    scale, shift : ndarray of shape (n_features,)
        What each column is multiplied by, and what is added to it then.
    example : Tensor of shape (n_rows, n_features)
        A few rows of what the module takes now.

    Returns
    -------
    folded : Module or None
        A copy that puts out for X what the module does for ``X * scale + shift``. None if the
        inputs do not go into one linear layer alone.
    """
    folded = deepcopy(module).cpu().eval()
    example = example.detach().cpu()
    entered = _entered(folded, example)
    if len(entered) != 1:
        return None
    layer = entered[0]
    weight, bias = layer.get_parameter("weight"), getattr(layer, "bias", None)
    scales, shifts = torch.from_numpy(scale), torch.from_numpy(shift)
    with torch.no_grad():
        exact = weight.double()
        added = exact @ shifts + (0 if bias is None else bias.double())
        layer.weight = nn.Parameter((exact * scales).to(weight.dtype), requires_grad=False)
        layer.bias = nn.Parameter(added.to(weight.dtype), requires_grad=False)
        expected = first_output(deepcopy(module).cpu().eval().double()(example.double()))
        unscaled = (example.double() - shifts) / scales
        found = first_output(deepcopy(folded).double()(unscaled))
    close = found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
    return folded if close else None


def _entered(module: nn.Module, example: Tensor) -> list[nn.Module]:
    """Find the linear layers that are given the very inputs of a module."""
    found = []

    def look(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        (inputs,) = arguments
        if inputs.data_ptr() == example.data_ptr() and inputs.shape == example.shape:
            found.append(layer)

    hooks = [
        part.register_forward_pre_hook(look)
        for part in module.modules()
        if isinstance(layer_for(part), LinearLayer)
    ]
    try:
        with torch.no_grad():
            module(example)
    finally:
        for hook in hooks:
            hook.remove()
    return found
