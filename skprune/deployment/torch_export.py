"""The graph of a module by torch.export, without what torch says of that."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["exported_program", "quiet_torch", "reason_of"]

# torch tells these what it could not do, and then raises an exception as well.
_LOGGERS = ("torch.onnx", "torch.export", "torch._dynamo", "onnxscript", "onnx_ir")


def exported_program(module: nn.Module, example: Tensor) -> Any:
    """Export a module in evaluation mode, for just as many rows as the example has.

    Parameters
    ----------
    module : Module
        The network; it is left as it is.
    example : Tensor
        A few rows of input.

    Returns
    -------
    program : torch.export.ExportedProgram
        Its graph has no operation that changes a tensor in place.
    """
    module = deepcopy(module).eval().requires_grad_(False).cpu()
    with quiet_torch(), torch.no_grad():
        return torch.export.export(module, (example,)).run_decompositions({})


@contextmanager
def quiet_torch() -> Iterator[None]:
    """Keep what torch says of its own exporters from the user."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def reason_of(error: BaseException) -> str:
    """Find what an exporter was told, under what it says about it.

    Parameters
    ----------
    error : Exception
        What it raised.

    Returns
    -------
    reason : str
        The name of the first cause, and its first line.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
