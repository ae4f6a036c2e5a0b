"""How a module is run, and what comes out of it."""

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["first_output", "flattened", "module_device", "run_module"]


def run_module(module: nn.Module, inputs: Any) -> Any:
    """Compute the output of a module.

    Parameters
    ----------
    module : nn.Module
        The module.
    inputs : Tensor, tuple of Tensor, or mapping of str to Tensor
        Its argument, its arguments in their order, or by name.

    Returns
    -------
    outputs : Tensor, or a nest of tensors
        What the module gives.
    """
    if isinstance(inputs, Mapping):
        return module(**inputs)
    return module(*inputs) if isinstance(inputs, (tuple, list)) else module(inputs)


def first_output(outputs: Any) -> Tensor:
    """Take the output that is the prediction where a module has several, as skorch does."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def flattened(outputs: Any) -> list[Tensor]:
    """List the tensors in a nest of outputs: mappings, sequences, dataclasses."""
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, Mapping):
        values: Iterable[Any] = outputs.values()
    elif is_dataclass(outputs):
        values = vars(outputs).values()
    else:
        values = outputs if isinstance(outputs, Iterable) and not isinstance(outputs, str) else ()
    return [tensor for value in values for tensor in flattened(value)]


def module_device(module: nn.Module) -> torch.device:
    """Where a module's parameters are; the CPU if it has none."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))
