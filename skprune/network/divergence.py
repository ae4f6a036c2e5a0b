"""Whether a training went to pieces."""

import torch
from torch import nn

from skprune.exceptions import DivergedError

__all__ = ["check_finite_weights"]


def check_finite_weights(module: nn.Module, stage: str) -> None:
    """Raise an error if a parameter of a network is not finite.

    Parameters
    ----------
    module : nn.Module
        The network.
    stage : str
        What it has been through, for the message.

    Raises
    ------
    DivergedError
        The message names the parameter.
    """
    for name, parameter in module.named_parameters():
        if not torch.isfinite(parameter).all():
            raise DivergedError(
                f"The network diverged while {stage}: parameter {name!r} is not finite at its end. "
                "Try a smaller learning rate, or scale the data."
            )
