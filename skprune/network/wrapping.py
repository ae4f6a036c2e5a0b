"""Modules around a module: those that distribute it, average it, or compile it."""

from torch import nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["inside", "wrapper_of"]

_WRAPPERS = (AveragedModel, nn.parallel.DistributedDataParallel, nn.DataParallel)


def wrapper_of(module: nn.Module) -> str | None:
    """Name what a module is wrapped in.

    Parameters
    ----------
    module : nn.Module
        The module.

    Returns
    -------
    wrapper : str or None
        The name of the class, ``"torch.compile"``, or None for a plain module.
    """
    if hasattr(module, "_orig_mod"):
        return "torch.compile"
    return type(module).__name__ if isinstance(module, _WRAPPERS) else None


def inside(module: nn.Module) -> nn.Module:
    """Take a module out of what averages or distributes it."""
    while isinstance(module, _WRAPPERS):
        module = module.module
    return module
