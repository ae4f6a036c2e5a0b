"""The types of a network's numbers, and inputs that have them."""

from typing import Any

import numpy as np
import torch
from torch import nn

from skprune.casting import cast_inputs
from skprune.network.layers import layer_for

__all__ = ["as_input_dtype", "has_embedding", "module_dtype", "numpy_dtype"]

_NUMPY_DTYPES = {torch.float64: np.float64, torch.float32: np.float32, torch.float16: np.float16}


def module_dtype(module: nn.Module) -> torch.dtype:
    """Type of a module's floating-point weights; torch's default if it has none."""
    return next(
        (p.dtype for p in module.parameters() if p.dtype.is_floating_point),
        torch.get_default_dtype(),
    )


def as_input_dtype(X: Any, module: nn.Module, *, alone: bool = True) -> Any:
    """Give inputs the type that a module's weights have.

    Parameters
    ----------
    X : ndarray, CSR matrix, or mapping of str to these
        The inputs.
    module : nn.Module
        The module.
    alone : bool, default=True
        Whether X is all the input there is. Whole numbers stay whole in a mapping, or where the
        module has an embedding to look them up in.

    Returns
    -------
    X : ndarray, CSR matrix, or dict of these
        The inputs, converted where they had to be.

    Raises
    ------
    ValueError
        If a finite number is infinite in the type of the weights.
    """
    return cast_inputs(X, numpy_dtype(module), lambda: has_embedding(module), alone=alone)


def numpy_dtype(module: nn.Module) -> Any:
    """Type of NumPy's that inputs of a module are given; single precision for types it lacks."""
    return _NUMPY_DTYPES.get(module_dtype(module), np.float32)


def has_embedding(module: nn.Module) -> bool:
    """Whether a module looks whole numbers up in an embedding."""
    return any(layer_for(layer).reads_codes for layer in module.modules())
