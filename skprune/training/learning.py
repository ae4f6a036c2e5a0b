"""What a net learns, as the engine and the recoveries see it."""

from collections.abc import Callable
from copy import copy, deepcopy
from functools import cached_property
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.utils.data import DataLoader

from skprune._sklearn import InvalidParameterError
from skprune.network.chunks import forward_in_chunks
from skprune.strategies.learning import FitData, FrozenNetwork
from skprune.strategies.recovery.teachers import Teacher
from skprune.training.loading import takes_rows_as_they_are
from skprune.training.net_teacher import NetTeacher
from skprune.training.outputs import NetOutputs
from skprune.training.rows import Rows
from skprune.training.samples import NetSamples
from skprune.training.staged_net import split_weights

__all__ = ["NetLearning"]


class NetLearning:
    """What a net learns; see :class:`~skprune.strategies.learning.Learning`.

    Parameters
    ----------
    net : NeuralNet
        An initialized net.
    X, y : array or mapping of arrays
        The data as a stage takes them, weights of rows included.
    data : FitData
        What the fit was given.
    """

    def __init__(self, net: NeuralNet, X: Any, y: Any, data: FitData) -> None:
        self.net = net
        self.X, self.y = X, y
        self.data = data
        self._dense: FrozenNetwork | None = None

    @property
    def module(self) -> nn.Module:
        """The network as it is now."""
        module: nn.Module = self.net.module_
        return module

    @property
    def device(self) -> str | torch.device | None:
        """Where it is; None if that is left to others."""
        device: str | torch.device | None = self.net.device
        return device

    @cached_property
    def samples(self) -> NetSamples:
        """The rows that it is trained on."""
        return NetSamples(self.net, self.X, self.y)

    @property
    def target_shape(self) -> tuple[int, ...]:
        """The shape of the target of a row, as the loss takes it."""
        return tuple(self.y.shape[1:])

    @property
    def outputs(self) -> NetOutputs:
        """What the network's outputs mean."""
        return NetOutputs(self.net, self.data, self.target_shape)

    @property
    def rows_are_fixed(self) -> bool:
        """Whether it is trained on all rows of the data as they are, in each epoch."""
        net, steps = self.net, ("fit_loop", "run_single_epoch", "train_step", "train_step_single")
        return (
            not isinstance(self.data.X, Rows)
            and takes_rows_as_they_are(net)
            and net.iterator_train is DataLoader
            and not hasattr(net, "iterator_train__collate_fn")
            and all(getattr(type(net), step) is getattr(NeuralNet, step) for step in steps)
        )

    def over_all_rows(self, compute: Callable[[Any], Tensor]) -> np.ndarray:
        """Compute something of the inputs of all rows, where these are fixed."""
        device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        return forward_in_chunks(compute, split_weights(self.X)[0], device)

    def dense_network(self) -> FrozenNetwork:
        """Give the network as it was when this was first asked."""
        if self._dense is None:
            frozen = _frozen_copy(self.net)
            self._dense = FrozenNetwork(frozen.module_, frozen.infer)
        return self._dense

    def teacher(self, estimator: Any) -> Teacher:
        """Make a teacher of an estimator.

        Raises
        ------
        InvalidParameterError
            If the estimator takes arrays, and X is read row by row.
        """
        if isinstance(self.data.X, Rows):
            raise InvalidParameterError(
                f"The teacher of Distill, a {type(estimator).__name__}, takes arrays, and X is "
                "read row by row (a Dataset, or rows of different lengths). Let the dense network "
                "teach: teacher=None."
            )
        return NetTeacher(estimator) if isinstance(estimator, NeuralNet) else Teacher(estimator)

    def of(self, net: NeuralNet) -> "NetLearning":
        """Say the same of a copy of the net."""
        other = copy(self)
        other.net = net
        vars(other).pop("samples", None)
        return other


def _frozen_copy(net: NeuralNet) -> NeuralNet:
    """Copy a net's modules into a net that shares all else, and only computes outputs."""
    frozen: NeuralNet = object.__new__(type(net))
    modules = deepcopy({f"{name}_": getattr(net, f"{name}_") for name in net._modules})
    for module in modules.values():
        module.eval().requires_grad_(False)
    vars(frozen).update(vars(net), **modules)
    return frozen
