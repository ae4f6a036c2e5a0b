"""Rows that a plain torch module is trained on: a loader, batches, or a pair of tensors."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from inspect import Parameter, signature
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler, Subset, TensorDataset

from skprune._sklearn import InvalidParameterError
from skprune.network.forward import first_output, run_module
from skprune.network.losses import unreduced
from skprune.seeding import GeneratorStates
from skprune.strategies.samples import Batch, LooksAt

__all__ = ["BatchSamples", "NoSamples", "as_loader", "to_device"]

Loss = Callable[[Any, Any], Tensor]


def as_loader(data: Any, batch_size: int) -> Iterable[Any]:
    """Make something that gives batches again and again of what the user gave.

    Parameters
    ----------
    data : DataLoader, iterable of batches, or pair of inputs and targets
        A batch is a pair of inputs and targets. A pair of arrays or tensors of all rows (or of a
        tuple or a mapping of them, and the targets) is cut into batches of rows in random order.
    batch_size : int
        Rows of a batch, for a pair.

    Returns
    -------
    loader : iterable
        Of pairs.

    Raises
    ------
    InvalidParameterError
        If it can be gone through only once, or is nothing of these.
    """
    if isinstance(data, (tuple, list)) and len(data) == 2 and _is_rows(data[1]):
        return _loader_of_pair(data[0], data[1], batch_size)
    if isinstance(data, (Tensor, np.ndarray)) or not isinstance(data, Iterable):
        raise InvalidParameterError(
            "data must be a DataLoader, an iterable of batches (pairs of inputs and targets), or a "
            f"pair of tensors (inputs, targets); got a {type(data).__name__}."
        )
    if isinstance(data, Iterator):
        raise InvalidParameterError(
            "data can be gone through only once, and is needed several times: give a list of "
            "batches or a DataLoader, and not an iterator or a generator."
        )
    return data


def to_device(values: Any, device: torch.device) -> Any:
    """Send all tensors of a nest to a device."""
    return tree_map(lambda v: v.to(device) if isinstance(v, Tensor) else v, values)


class BatchSamples:
    """Rows that come in batches; see :class:`~skprune.strategies.samples.Samples`.

    Parameters
    ----------
    loader : iterable
        Gives pairs of inputs and targets, again and again. Rows are chosen from the dataset of a
        ``DataLoader`` that goes through all of it, and are the first ones of anything else.
    loss : callable or None
        ``loss(outputs, targets)``, such as a criterion of torch; None if there is none.
    device : torch.device
        Where the network is.
    """

    def __init__(self, loader: Iterable[Any], loss: Loss | None, device: torch.device) -> None:
        self.loader = loader
        self._loss = loss
        self._device = device

    @cached_property
    def n_batches(self) -> int:
        """Number of batches of an epoch; they are counted where the loader does not say."""
        try:
            return len(self.loader)  # type: ignore[arg-type]
        except TypeError:
            return sum(1 for _ in self.loader)

    @cached_property
    def _n_rows(self) -> int:
        if (dataset := _dataset_of(self.loader)) is not None:
            return len(dataset)
        return sum(_n_rows(targets) for _, targets in self.pairs())

    def __len__(self) -> int:
        return self._n_rows

    def check(self, looks_at: LooksAt) -> None:
        """Raise an error if what an importance looks at is not there."""
        if looks_at == "loss":
            self._required_loss()

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Go through an epoch's batches, on the network's device."""
        for number, batch in enumerate(self.loader):
            yield self._pair(batch, number)

    def batches(
        self, n_rows: int | None = None, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Go through some rows, in batches; see :class:`~skprune.strategies.samples.Samples`."""
        randomness = GeneratorStates(self._device)  # a loader draws a seed, and a dataset may draw
        with randomness.resumed(onward=True):
            loader = iter(self._loader_of(n_rows, generator))
        left, number = n_rows, 0
        while left is None or left > 0:
            # Nothing is borrowed while the batch is looked at: the next may never be asked for.
            with randomness.resumed(onward=True):
                batch = next(loader, None)
            if batch is None:
                return
            inputs, targets = self._pair(batch, number)
            if left is not None:
                size = _n_rows(targets)
                if size > left:
                    inputs, targets = tree_map(lambda v, k=left: v[:k], (inputs, targets))
                left -= size
            number += 1
            yield Batch(inputs, targets, None)

    def outputs(self, module: nn.Module, inputs: Any) -> Tensor:
        """Compute the outputs of a module, the prediction where it gives several."""
        return first_output(run_module(module, inputs))

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Compute the loss of a batch."""
        return self.loss_of(run_module(module, batch.inputs), batch.targets)

    def losses(self, module: nn.Module, batch: Batch) -> Tensor:
        """Compute the loss of each row of a batch."""
        outputs, loss = run_module(module, batch.inputs), self._required_loss()
        if "reduction" in _parameters_of(loss):
            losses = loss(outputs, batch.targets, reduction="none")  # type: ignore[call-arg]
        else:
            with unreduced(loss):
                losses = loss(outputs, batch.targets)
        n_rows = _n_rows(batch.targets)
        if losses.dim() > 0 and len(losses) == n_rows:
            return losses.reshape(n_rows, -1).mean(1)
        # A loss that knows of no rows is computed of one after the other.
        rows = [tree_map(lambda v, i=i: v[i : i + 1], outputs) for i in range(n_rows)]
        return torch.stack(
            [loss(row, batch.targets[i : i + 1]).mean() for i, row in enumerate(rows)]
        )

    def loss_of(self, outputs: Any, targets: Any) -> Tensor:
        """Compute the user's loss."""
        return self._required_loss()(outputs, targets)

    def _required_loss(self) -> Loss:
        if self._loss is None:
            raise InvalidParameterError(
                "The strategy looks at the loss, and there is none. Pass loss, such as "
                "loss=torch.nn.CrossEntropyLoss()."
            )
        return self._loss

    def _loader_of(self, n_rows: int | None, generator: torch.Generator | None) -> Iterable[Any]:
        dataset = _dataset_of(self.loader)
        if dataset is None:
            return self.loader
        n_all = len(dataset)
        if n_rows is None or n_rows >= n_all:
            order = torch.arange(n_all)
        elif generator is None:
            order = torch.arange(n_rows)
        else:
            order = torch.randperm(n_all, generator=generator)[:n_rows]
        loader: Any = self.loader
        return DataLoader(
            Subset(dataset, order.tolist()),
            batch_size=loader.batch_size,
            collate_fn=loader.collate_fn,
        )

    def _pair(self, batch: Any, number: int) -> tuple[Any, Any]:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            what = f"a {type(batch).__name__}"
            if isinstance(batch, (tuple, list)):
                what += f" of {len(batch)}"
            raise InvalidParameterError(
                f"Batch {number} of data is {what}; it must be a pair of inputs and targets. Let "
                "the loader's collate_fn make one (a tuple or a dict of tensors can be the inputs)."
            )
        return to_device(batch[0], self._device), to_device(batch[1], self._device)


class NoSamples:
    """No rows at all, for importances that need none.

    Parameters
    ----------
    what : str
        What is missing, for the message.
    """

    loader: tuple[()] = ()
    n_batches = 0

    def __len__(self) -> int:
        return 0

    def check(self, looks_at: LooksAt) -> None:
        """Raise an error if an importance looks at rows."""
        if looks_at != "weights":
            self.batches()

    def batches(
        self, n_rows: int | None = None, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Raise an error: there are none."""
        raise InvalidParameterError(
            "The strategy looks at rows of data, and there are none. Pass data (and loss), or use "
            "a strategy that needs none, such as 'magnitude', 'synflow' or 'random'."
        )

    def outputs(self, module: nn.Module, inputs: Any) -> Tensor:
        """Compute the outputs of a module, the prediction where it gives several."""
        return first_output(run_module(module, inputs))

    def losses(self, module: nn.Module, batch: Batch) -> Tensor:
        """Raise an error: there are no rows."""
        raise AssertionError("there is no batch")

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Raise an error: there are no rows."""
        raise AssertionError("there is no batch")


def _is_rows(values: Any) -> bool:
    return isinstance(values, (Tensor, np.ndarray))


class _Rows(torch.utils.data.Dataset):
    """Rows of several inputs, in their order or by name, and their targets."""

    def __init__(self, inputs: tuple[Tensor, ...] | dict[str, Tensor], targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Any, Tensor]:
        return tree_map(lambda values: values[row], self.inputs), self.targets[row]


def _loader_of_pair(inputs: Any, targets: Any, batch_size: int) -> DataLoader:
    targets = torch.as_tensor(targets)
    parts: dict[Any, Any] = {None: inputs}
    if isinstance(inputs, Mapping):
        parts = dict(inputs)
    elif isinstance(inputs, (tuple, list)) and all(map(_is_rows, inputs)):
        parts = dict(enumerate(inputs))
    tensors = {place: torch.as_tensor(values) for place, values in parts.items()}
    for place, values in tensors.items():
        if len(values) != len(targets):
            which = "" if place is None else f" {place!r}"
            raise InvalidParameterError(
                f"data has {len(values)} rows of inputs{which} and {len(targets)} targets."
            )
    dataset: Any
    if None in tensors:
        dataset = TensorDataset(tensors[None], targets)
    else:
        by_name = isinstance(inputs, Mapping)
        dataset = _Rows(tensors if by_name else tuple(tensors.values()), targets)
    return DataLoader(dataset, batch_size=batch_size, shuffle=True)


def _dataset_of(loader: Any) -> Any:
    """Give the dataset of a loader that goes through all its rows; None for another."""
    if not isinstance(loader, DataLoader) or loader.batch_size is None:
        return None
    if type(loader.sampler) not in (RandomSampler, SequentialSampler):
        return None  # it may leave rows out on purpose
    return loader.dataset


def _n_rows(targets: Any) -> int:
    return len(targets)


def _parameters_of(loss: Any) -> Mapping[str, Parameter]:
    if isinstance(loss, nn.Module):
        return {}
    try:
        return signature(loss).parameters
    except (TypeError, ValueError):  # built in, without a signature
        return {}
