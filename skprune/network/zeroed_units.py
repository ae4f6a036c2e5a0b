"""What a network without some units has to compute: that of the whole one with them at zero."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from skprune.network.coupling import Coupling, LayerSide, goes
from skprune.network.layers import layer_for
from skprune.network.network import Network, all_tensors
from skprune.network.removals import Removals, set_tensor

__all__ = ["with_units_at_zero"]


def with_units_at_zero(network: Network, coupling: Coupling, units: Tensor) -> Network:
    """Copy a network and set the parameters of units to zero, without removing anything.

    Norms over channels, such as a layer norm, compute over the channels that are left: a zero
    among them would count.

    Parameters
    ----------
    network : Network
        The network; it is left as it is.
    coupling : Coupling
        Its units.
    units : Tensor of int
        Those that are set to zero.

    Returns
    -------
    zeroed : Network
        Of the same shape, to compare with; it is not to be trained.
    """
    zeroed = network.copy(shares_parameters=True)
    for (name, side), ids in coupling.units.items():
        gone = goes(ids, units)
        if not gone.any():
            continue
        if isinstance(side, int):
            tensors = all_tensors(zeroed.module)
            tensor = tensors[name]
            if isinstance(tensor, nn.Parameter) and not _has_length(tensors, name, side):
                index = gone.nonzero().flatten().to(tensor.device)
                set_tensor(zeroed.module, tensor, tensor.detach().index_fill(side, index, 0.0))
            continue
        layer = layer_for(zeroed.module.get_submodule(name))
        if layer.mixes_units and name in coupling.norms:
            smaller = deepcopy(layer.module)
            layer_for(smaller).keep("out", ~gone)
            _put_out_of(layer.module, smaller, coupling.norms[name], ~gone)
        elif not layer.normalizes:
            for axis in layer.axes(side):
                tensor = getattr(layer.module, axis.tensor)
                set_tensor(zeroed.module, tensor, tensor.detach().clone())
            layer.zero(side, gone.nonzero().flatten())
    for name, dim in coupling.norms.items():
        norm = zeroed.module.get_submodule(name)
        if layer_for(norm).mixes_units:
            continue
        parameters = [leaf for leaf, _ in norm.named_parameters(recurse=False)]
        place = LayerSide(f"{name}.{parameters[0]}" if name else parameters[0], 0)
        if place not in coupling.units or not (gone := goes(coupling.units[place], units)).any():
            continue
        smaller, removals = deepcopy(norm), Removals()
        for leaf in parameters:
            removals.cut(smaller, leaf, 0, ~gone)
        for width in coupling.widths:
            if width.module == name:
                left = int((~goes(width.units, units)).sum())
                removals.set_width(smaller, "", width.attribute, left)
        _put_out_of(norm, smaller, dim, ~gone)
    return zeroed


def _has_length(tensors: Mapping[str, Tensor], name: str, dim: int) -> bool:
    """Whether a tensor's rows are directions, which weight_norm multiplies with lengths.

    The lengths are set to zero; a direction of zeros is none.
    """
    for ours, theirs in (("original1", "original0"), ("weight_v", "weight_g")):
        length = tensors.get(name.removesuffix(ours) + theirs) if name.endswith(ours) else None
        if length is not None and length.dim() == tensors[name].dim() and length.shape[dim] > 1:
            return True
    return False


def _put_out_of(norm: nn.Module, smaller: nn.Module, dim: int, keep: Tensor) -> None:
    """Let a norm put out what a smaller one does of some channels, and zero for the others."""
    index = keep.nonzero().flatten()

    def put_out(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], out: Any) -> Any:
        inputs = (*arguments, *named.values())[0]
        kept = index.to(inputs.device)
        left = smaller(inputs.index_select(dim, kept))
        return torch.zeros_like(out).index_copy(dim, kept, left.to(out.dtype))

    norm.register_forward_hook(put_out, with_kwargs=True)
