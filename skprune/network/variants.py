"""Inputs that are unlike those of the data, to see what a network does with them."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

__all__ = ["variants_of"]


def variants_of(inputs: Any) -> Iterator[Any]:
    """Change inputs, such that a network may do something else with them.

    Parameters
    ----------
    inputs : object
        Rows: a tensor, a mapping or a sequence of tensors.

    Yields
    ------
    variant : object
        Disturbed at random first; then far larger ones, of both signs, and zeros.
    """
    yield _changed(inputs, _disturb)
    for factor in (1e3, -1e3, 0.0):
        yield _changed(inputs, partial(_scale, factor))


def _changed(inputs: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change the tensors in inputs."""
    if isinstance(inputs, Mapping):
        return {key: _changed(value, change) for key, value in inputs.items()}
    if isinstance(inputs, (tuple, list)):
        return tuple(_changed(value, change) for value in inputs)
    return change(inputs) if isinstance(inputs, Tensor) else inputs


def _scale(factor: float, values: Tensor) -> Tensor:
    return values * factor if values.is_floating_point() else values


def _disturb(values: Tensor) -> Tensor:
    """Make values unlike those of the data, so that what is constant by chance is seen to vary."""
    generator = torch.Generator().manual_seed(0)
    if values.is_floating_point():
        noise = torch.randn(values.shape, generator=generator).to(values)
        return values + 3 * (1 + values.detach().std(correction=0)) * noise
    order = torch.rand(values.shape, generator=generator).argsort(0).to(values.device)
    shuffled = values.gather(0, order)
    return ~shuffled if values.dtype == torch.bool else shuffled
