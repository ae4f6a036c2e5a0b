"""The callbacks that keep masked weights at zero, and notice when training diverges."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn

from skprune.exceptions import DivergedError
from skprune.network.network import Network

__all__ = ["MaskAgain", "MaskCallback", "check_finite_weights"]


class MaskCallback(Callback):
    """Sets masked weights to zero after each training step, before anything else sees them.

    Parameters
    ----------
    network : Network or None
        The network whose masks hold; None while it is dense.
    stage : str
        What the training is called in messages.
    """

    def __init__(self, network: Network | None, stage: str) -> None:
        self.network = network
        self.stage = stage

    def initialize(self) -> "MaskCallback":
        """Begin without masks; they are looked up as they are needed."""
        self.masks_: Mapping[str, Tensor] = {}
        self.factors_: list[tuple[nn.Parameter, Tensor]] = []
        return self

    def mask(self) -> None:
        """Set what is not kept to zero."""
        if self.network is not None and self.network.masks is not self.masks_:
            self.masks_ = self.network.masks
            weights = self.network.weights
            # Multiplying by numbers of the weight's own kind is the quickest way to mask.
            self.factors_ = [
                (weights[name], m.to(weights[name])) for name, m in self.masks_.items()
            ]
        for weight, factor in self.factors_:
            # Looked up anew each time: a callback may have given the weight other memory.
            weight.data.mul_(factor)

    def on_batch_end(
        self, net: NeuralNet, batch: Any = None, training: bool | None = None, **kwargs: Any
    ) -> None:
        """Mask."""
        if training:
            self.mask()

    def on_epoch_end(
        self, net: NeuralNet, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Raise an error if a loss of the epoch is not finite."""
        epoch = net.history[-1]
        for number, batch in enumerate(epoch["batches"], start=1):
            loss = batch.get("train_loss")
            if loss is not None and not isfinite(loss):
                raise DivergedError(
                    f"The network diverged while {self.stage}: the training loss became {loss} in "
                    f"epoch {epoch['epoch']}, batch {number}. Try a smaller learning rate, or "
                    "scale the data."
                )


class MaskAgain(Callback):
    """Masks after all other callbacks what they may have set: initialized, loaded, averaged.

    Parameters
    ----------
    first : MaskCallback
        What masks during the training.
    """

    def __init__(self, first: MaskCallback) -> None:
        self.first = first

    def on_epoch_begin(
        self, net: NeuralNet, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Mask."""
        self.first.mask()

    def on_train_end(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Mask."""
        self.first.mask()


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
