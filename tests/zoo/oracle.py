"""The original network with all that pruning removed at zero; it shares no code with skprune."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["call", "kept_entries", "lively", "outputs", "reference", "worst_error"]

# Norms over channels, and which dimension these are.
_NORMS = {
    functional.layer_norm: -1,
    functional.rms_norm: -1,
    functional.group_norm: 1,
    torch.layer_norm: -1,
    torch.rms_norm: -1,
    torch.group_norm: 1,
}
_WRITTEN_NORMS = re.compile(r"RMSNorm$|^T5LayerNorm$")


def lively(module: nn.Module, inputs: Any, seed: int = 0) -> nn.Module:
    """A network in double precision, no two of whose parameters are equal."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        module = module.double().eval()
        for tensor in module.parameters():
            if tensor.is_complex():
                tensor.data = tensor.data.to(torch.complex128)
        call(module, inputs)  # lazy layers get their sizes
        for tensor in module.parameters():
            if tensor.dim() > 1:
                tensor.copy_(torch.randn_like(tensor) / tensor[0].numel() ** 0.5)
            else:
                tensor.copy_((0.3 + torch.rand_like(tensor)) * torch.randn_like(tensor).sign())
        for name, tensor in module.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                tensor.copy_(0.5 + torch.rand_like(tensor))
    return module


def call(module: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return module(**inputs)
    return module(*inputs) if isinstance(inputs, tuple) else module(inputs)


def outputs(module: nn.Module, inputs: Any) -> list[Tensor]:
    """All tensors that a network puts out."""
    with torch.no_grad():
        return list(_tensors(call(module, inputs)))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def worst_error(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """The largest difference, relative to the largest value of its tensor."""
    if [t.shape for t in ours] != [t.shape for t in theirs]:
        return float("inf")
    errors = [
        float((one - other).abs().max() / other.abs().max().clamp(min=1e-300))
        for one, other in zip(ours, theirs, strict=True)
        if other.is_floating_point() or other.is_complex()
    ]
    return max(errors) if np.isfinite(errors).all() else float("inf")


def kept_entries(
    module: nn.Module, pruned: nn.Module, masks: Mapping[str, np.ndarray]
) -> dict[str, Tensor]:
    """Which entries of each parameter and buffer of the original are left, in its shape.

    The masks say it of weights. A vector's entries are known by their values, of which no two are
    equal; where it has another name in the pruned network, it goes with the rows of its layer's
    weight.
    """
    left = dict(pruned.named_parameters()) | dict(pruned.named_buffers())
    kept = {name: torch.from_numpy(mask) for name, mask in masks.items()}
    originals = dict(module.named_parameters()) | dict(module.named_buffers())
    for name, tensor in originals.items():
        if name in kept or not tensor.is_floating_point():
            continue
        kept[name] = torch.ones(tensor.shape, dtype=torch.bool)
        if name in left and left[name].shape == tensor.shape:
            continue
        if name in left:
            found = torch.isin(tensor.detach(), left[name].detach())
            if int(found.sum()) == left[name].numel():
                kept[name] = found
                continue
        if (weight := _weight_of(name, originals, masks)) is not None:
            rows = torch.from_numpy(masks[weight]).flatten(1).any(1)
            kept[name] = rows.expand(tensor.shape)
    return kept


def _weight_of(
    name: str, tensors: Mapping[str, Tensor], masks: Mapping[str, np.ndarray]
) -> str | None:
    """The weight whose rows go with a vector: bias with weight, bias_ih_l0 with weight_ih_l0."""
    if tensors[name].dim() != 1:
        return None
    owner, _, last = name.rpartition(".")
    own = last.replace("bias", "weight")
    names = [f"{owner}.{own}" if owner else own]
    names += [other for other in masks if other.rpartition(".")[0] == owner]
    return next((n for n in names if n in masks and len(masks[n]) == len(tensors[name])), None)


class _NormsOverTheRest(TorchFunctionMode):
    """Norms take their statistics over the channels that are left."""

    def __init__(self, kept: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.kept = kept

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func not in _NORMS:
            return func(*args, **kwargs)
        dim, (x, sizes, *rest) = _NORMS[func], args
        affine = [p for p in (*rest, *kwargs.values()) if isinstance(p, Tensor)]
        keep = self.kept[id(affine[0])] if affine else _not_zero(x, dim)
        if keep.all() or keep.dim() != 1:
            return func(*args, **kwargs)
        index = keep.nonzero().flatten()
        rest = [p[index] if isinstance(p, Tensor) else p for p in rest]
        kwargs = {n: p[index] if isinstance(p, Tensor) else p for n, p in kwargs.items()}
        sizes = [len(index)] if dim == -1 else sizes
        part = func(x.index_select(dim, index), sizes, *rest, **kwargs)
        return torch.zeros_like(x).index_copy(dim, index, part)


def _not_zero(x: Tensor, dim: int) -> Tensor:
    return x.movedim(dim, 0).flatten(1).ne(0).any(1)


def _norm_by_hand(norm: nn.Module, keep: Tensor) -> None:
    """Let a norm that is written out see the channels that are left."""
    index = keep.nonzero().flatten()
    smaller = deepcopy(norm)
    smaller.weight = nn.Parameter(norm.weight.detach()[index])

    def forward(x: Tensor) -> Tensor:
        part = smaller(x[..., index])
        return part.new_zeros(x.shape).index_copy(-1, index, part)

    norm.forward = forward


class _Reference(nn.Module):
    def __init__(self, module: nn.Module, norms: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.module, self.norms = module, norms

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        # Transformer layers have a fast path in evaluation, which no mode sees into.
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with _NormsOverTheRest(self.norms):
                return self.module(*args, **kwargs)
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)


def _without_length(name: str, kept: Mapping[str, Tensor]) -> Tensor:
    """Which rows of weight_norm's directions have no length: zeros would be no direction."""
    for ours, theirs in (("original1", "original0"), ("weight_v", "weight_g")):
        length = kept.get(name.removesuffix(ours) + theirs) if name.endswith(ours) else None
        if length is not None:
            return ~length.expand(kept[name].shape)
    return torch.zeros_like(kept[name])


def reference(module: nn.Module, kept: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the original, as large as it was, with all else at zero."""
    copy = deepcopy(module)
    tensors = dict(copy.named_parameters()) | dict(copy.named_buffers())
    with torch.no_grad():
        for name, mask in kept.items():
            if name.endswith(".parametrizations.weight.original1"):
                # weight_norm divides a row by its norm; that of a row that is gone has a scale of
                # zero, and no norm if it is zero as well.
                mask = mask | ~mask.flatten(1).any(1)[:, None]
            if not name.endswith(("running_mean", "running_var")):
                tensors[name][~mask & ~_without_length(name, kept)] = 0.0
    norms = {id(tensors[name]): mask for name, mask in kept.items()}
    for norm in copy.modules():
        if _WRITTEN_NORMS.search(type(norm).__name__) and type(norm) is not nn.RMSNorm:
            _norm_by_hand(norm, norms[id(norm.weight)])
    return _Reference(copy, norms)
