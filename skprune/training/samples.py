"""Rows that a network is trained on, for what looks at its losses and gradients."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.dataset import unpack_data
from skorch.utils import to_tensor
from torch import Tensor, nn
from torch.utils.data import Subset

from skprune.network.forward import first_output
from skprune.network.losses import unreduced
from skprune.seeding import GeneratorStates, preserve_rng
from skprune.strategies.samples import Batch
from skprune.training.nets import ModuleForward
from skprune.training.staged_net import extended_for_stage, split_weights

__all__ = ["NetSamples"]


class NetSamples:
    """The rows that a net is trained on; those it holds out for validation are not among them.

    Parameters
    ----------
    net : NeuralNet
        An initialized net.
    X, y : array or mapping of arrays
        The data as a stage takes them, weights of rows included.
    """

    def __init__(self, net: NeuralNet, X: Any, y: Any) -> None:
        self._net = net
        self._forward = ModuleForward(net)
        with preserve_rng(net.device):  # a split may be random
            dataset = net.get_split_datasets(X, y)[0]
        self._dataset, self._rows = dataset, np.arange(len(dataset))
        if type(dataset) is Subset:
            self._dataset, self._rows = dataset.dataset, np.asarray(dataset.indices)

    def __len__(self) -> int:
        return len(self._rows)

    def batches(
        self, n_rows: int | None = None, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Go through rows in batches of the net's size.

        Parameters
        ----------
        n_rows : int, default=None
            How many rows, at the most; all if None.
        generator : Generator, default=None
            Where a choice of rows is drawn from; the first ones if None.

        Yields
        ------
        batch : Batch
            Some of the rows.
        """
        rows = self._rows
        if n_rows is not None and n_rows < len(rows):
            order = (
                torch.arange(n_rows)
                if generator is None
                else torch.randperm(len(rows), generator=generator)[:n_rows]
            )
            rows = rows[order.numpy()]
        net = self._net
        randomness = GeneratorStates(net.device)  # a loader draws a seed, and a dataset may draw
        with randomness.resumed(onward=True), extended_for_stage(net):
            subset = Subset(self._dataset, rows.tolist())
            loader = iter(net.get_iterator(subset, training=False))
        while True:
            # Nothing is borrowed while the batch is looked at: the next may never be asked for.
            with randomness.resumed(onward=True):
                data = next(loader, None)
            if data is None:
                return
            X, y = unpack_data(data)
            X, weights = split_weights(X)
            yield Batch(
                to_tensor(X, device=net.device),
                to_tensor(y, device=net.device),
                None if weights is None else to_tensor(weights, device=net.device),
            )

    def outputs(self, module: nn.Module, inputs: Any) -> Tensor:
        """Compute the outputs of a module, which may be a changed copy of the net's.

        Parameters
        ----------
        module : nn.Module
            The module.
        inputs : Tensor or dict of str to Tensor
            As in a batch.

        Returns
        -------
        outputs : Tensor
            The prediction, where the module gives several outputs.
        """
        return first_output(self._forward(module, inputs))

    def losses(self, module: nn.Module, batch: Batch) -> Tensor:
        """Compute the loss of each row, without its weight.

        Parameters
        ----------
        module : nn.Module
            The net's module, or a changed copy of it.
        batch : Batch
            The rows.

        Returns
        -------
        losses : Tensor of shape (n_rows,)
            The mean over the outputs of each row, where the criterion gives several losses a row.

        Raises
        ------
        ValueError
            If the criterion gives no loss per row.
        """
        net = self._net
        with unreduced(net.criterion_):
            losses = net.get_loss(
                self._forward(module, batch.inputs), batch.targets, X=batch.inputs, training=False
            )
        n_rows = len(batch.targets)
        if losses.dim() == 0 or len(losses) != n_rows:
            raise ValueError(
                f"{type(net.criterion_).__name__} gives no loss per row (its shape is "
                f"{tuple(losses.shape)} for {n_rows} rows), so that no gradient of a row can be "
                "computed. Use an importance that needs none, such as 'taylor', 'magnitude' or "
                "'layer_obs'."
            )
        return losses.reshape(n_rows, -1).mean(1)

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Compute the mean loss of a batch, rows by their weights.

        Parameters
        ----------
        module : nn.Module
            The net's module, or a changed copy of it.
        batch : Batch
            The rows.

        Returns
        -------
        loss : Tensor of shape ()
            What training would minimize, whatever the criterion.
        """
        if batch.weights is None:
            outputs = self._forward(module, batch.inputs)
            return self._net.get_loss(outputs, batch.targets, X=batch.inputs, training=False)
        weights = batch.weights / batch.weights.sum().clamp(min=torch.finfo(torch.float32).tiny)
        losses = self.losses(module, batch)
        return (losses * weights.to(losses.dtype)).sum()
