"""What the layers of torch are made of: which dimension of which tensor is a channel's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.parametrizations import _WeightNorm

__all__ = [
    "NORMS",
    "PRODUCERS",
    "ChannelAxis",
    "Side",
    "channel_axes",
    "channel_count",
    "channels_per_bundle",
    "has_computed_tensors",
    "is_channelwise",
    "keep_channels",
    "layer_of",
    "weight_normed",
    "weight_parameters",
    "zero_channels",
]

Side = Literal["out", "in"]

NORMS = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm)
PRODUCERS = (nn.Linear, _ConvNd, nn.Embedding, nn.EmbeddingBag)


class ChannelAxis(NamedTuple):
    """Channel `c` of a layer lies at index ``c % period`` of dimension `dim` of `tensor`."""

    tensor: str
    dim: int
    period: int


@dataclass(frozen=True)
class _Layer:
    """How a type of layer stores its channels."""

    type: type | tuple[type, ...]
    out: dict[str, int]
    out_sizes: tuple[str, ...]
    inp: dict[str, int] | None = None  # None: the output channels are the input channels
    in_sizes: tuple[str, ...] = ()


def _is_depthwise(module: nn.Module) -> bool:
    return (
        isinstance(module, _ConvNd)
        and 1 < module.groups == module.in_channels == module.out_channels
    )


_LINEAR = _Layer(
    nn.Linear, {"weight": 0, "bias": 0}, ("out_features",), {"weight": 1}, ("in_features",)
)
_CONV = _Layer(
    _ConvNd, {"weight": 0, "bias": 0}, ("out_channels",), {"weight": 1}, ("in_channels",)
)
_TRANSPOSED = _Layer(
    _ConvNd, {"weight": 1, "bias": 0}, ("out_channels",), {"weight": 0}, ("in_channels",)
)
_DEPTHWISE = _Layer(_ConvNd, {"weight": 0, "bias": 0}, ("out_channels", "in_channels", "groups"))
_OTHERS = (
    _Layer(
        (_BatchNorm, _InstanceNorm),
        {"weight": 0, "bias": 0, "running_mean": 0, "running_var": 0},
        ("num_features",),
    ),
    _Layer(nn.LayerNorm, {"weight": 0, "bias": 0}, ("normalized_shape",)),
    _Layer(nn.GroupNorm, {"weight": 0, "bias": 0}, ("num_channels",)),
    _Layer(nn.PReLU, {"weight": 0}, ("num_parameters",)),
    _Layer((nn.Embedding, nn.EmbeddingBag), {"weight": 1}, ("embedding_dim",)),
)


def _describe(module: nn.Module) -> _Layer | None:
    if isinstance(module, nn.Linear):
        return _LINEAR
    if isinstance(module, _ConvNd):
        if _is_depthwise(module):
            return _DEPTHWISE
        return _TRANSPOSED if module.transposed else _CONV
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) > 1:
        return None  # mixes positions with channels
    if isinstance(module, nn.PReLU) and module.num_parameters == 1:
        return None
    return next((layer for layer in _OTHERS if isinstance(module, layer.type)), None)


def is_channelwise(module: nn.Module) -> bool:
    """Whether the layer's output channels are its input channels (norms, depthwise, PReLU)."""
    layer = _describe(module)
    return layer is not None and layer.inp is None


def channel_count(module: nn.Module, side: Side) -> int | None:
    """Count the channels on a side of a layer; None for a layer that has none to speak of."""
    layer = _describe(module)
    if layer is None:
        return None
    sizes = layer.in_sizes if side == "in" and layer.inp is not None else layer.out_sizes
    size = getattr(module, sizes[0])
    return size[0] if isinstance(size, tuple) else size


def channels_per_bundle(module: nn.Module, side: Side) -> int:
    """Count the channels after which a grouped layer repeats; all if it has no groups.

    The groups of a convolution or of a group norm keep equal widths, so channels at equal places
    in each group can only go together.
    """
    count = channel_count(module, side)
    assert count is not None
    if isinstance(module, _ConvNd) and not _is_depthwise(module):
        return count // module.groups
    if isinstance(module, nn.GroupNorm) and module.num_groups < module.num_channels:
        return count // module.num_groups
    return count


def channel_axes(module: nn.Module, side: Side) -> Iterator[ChannelAxis]:
    """Where the channels on a side of a layer lie in its tensors."""
    layer = _describe(module)
    if layer is None:
        return
    dims = layer.inp if side == "in" and layer.inp is not None else layer.out
    for tensor, dim in dims.items():
        if getattr(module, tensor, None) is not None:
            yield ChannelAxis(tensor, dim, getattr(module, tensor).shape[dim])


def has_computed_tensors(module: nn.Module) -> bool:
    """Whether a layer's tensors are made from other parameters, as ``weight_norm`` does it."""
    own = {*module._parameters, *module._buffers}
    return any(axis.tensor not in own for axis in channel_axes(module, "out"))


def weight_normed(module: nn.Module, parameter: str) -> str | None:
    """Name the layer whose weight is computed from a parameter by ``weight_norm``, if any is."""
    owner = parameter.rpartition(".")[0]
    layer, computed, _ = owner.rpartition(".parametrizations.")
    if not computed:
        return None
    steps = module.get_submodule(owner).children()
    return layer if any(isinstance(step, _WeightNorm) for step in steps) else None


def keep_channels(module: nn.Module, side: Side, keep: Tensor) -> list[tuple[str, int, Tensor]]:
    """Remove the channels of a layer that are not kept, in place.

    Parameters
    ----------
    module : nn.Module
        The layer.
    side : {"out", "in"}
        Which of its channels.
    keep : Tensor of bool of shape (n_channels,)
        True for a channel that stays.

    Returns
    -------
    slices : list of (str, int, Tensor)
        The name of each tensor that was cut, the dimension, and the indices that it kept.
    """
    slices = []
    for tensor, dim, period in list(channel_axes(module, side)):
        index = keep[:period].nonzero().flatten()
        _slice(module, tensor, dim, index)
        slices.append((tensor, dim, index))
    layer = _describe(module)
    assert layer is not None
    n_kept = int(keep.sum())
    if isinstance(module, nn.GroupNorm) and module.num_groups == module.num_channels:
        module.num_groups = n_kept
    for size in layer.in_sizes if side == "in" and layer.inp is not None else layer.out_sizes:
        setattr(module, size, (n_kept,) if size == "normalized_shape" else n_kept)
    return slices


def _slice(module: nn.Module, tensor: str, dim: int, index: Tensor) -> None:
    old = getattr(module, tensor)
    new = old.detach().index_select(dim, index.to(old.device))
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
    setattr(module, tensor, new)


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
        if isinstance(layer, NORMS)
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


def zero_channels(module: nn.Module, side: Side, channels: Tensor) -> None:
    """Set the weights of the given channels of a layer to zero, in place."""
    with torch.no_grad():
        for tensor, dim, period in channel_axes(module, side):
            if tensor.startswith("running"):
                continue
            values = getattr(module, tensor)
            values.index_fill_(dim, (channels % period).unique().to(values.device), 0.0)
