"""Batches cut from arrays at once, where skorch's loader would collate them row by row."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from skorch import NeuralNet
from skorch.dataset import Dataset
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, Subset

__all__ = ["batch_loader", "collates", "cuts_batches", "takes_rows_as_they_are"]

# What a loader may be told without that changing what a batch is.
_PLAIN_OPTIONS = {"batch_size", "shuffle", "drop_last"}


class _Batches(torch.utils.data.Dataset):
    """Rows of arrays, many at a time."""

    def __init__(self, X: Any, y: Any, rows: np.ndarray | None) -> None:
        self.X = _as_tensors(X)
        self.y = _as_tensors(y)
        # A split may count from the end.
        self.rows = None if rows is None else torch.from_numpy(np.asarray(rows) % len(self.y))

    def __len__(self) -> int:
        return len(self.y if self.rows is None else self.rows)

    def __getitem__(self, batch: Tensor) -> tuple[Any, Tensor]:
        index = batch if self.rows is None else self.rows[batch]
        X: Any
        if isinstance(self.X, Mapping):
            X = {key: _rows_of(value, index) for key, value in self.X.items()}
        else:
            X = _rows_of(self.X, index)
        return X, self.y.index_select(0, index)


class _BatchLoader(DataLoader):
    """Draws from the generators as any DataLoader does, and so comes to the same batches."""

    batch_size: int
    dataset: _Batches

    def __iter__(self) -> Any:
        _draw_seed()  # for the workers, whether or not there are any
        order = torch.arange(len(self.dataset))
        if isinstance(self.sampler, RandomSampler):
            generator = torch.Generator().manual_seed(_draw_seed())
            order = torch.randperm(len(order), generator=generator)
        size = self.batch_size
        end = len(order) - len(order) % size if self.drop_last else len(order)
        for start in range(0, end, size):
            yield self.dataset[order[start : start + size]]


def _draw_seed() -> int:
    return int(torch.empty((), dtype=torch.int64).random_().item())


def _as_tensors(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _as_tensors(value) for key, value in data.items()}
    return data if issparse(data) else torch.as_tensor(data)


def _rows_of(data: Any, index: Tensor) -> Tensor:
    if issparse(data):  # what is dense is never more than a batch
        return torch.from_numpy(data[index.numpy()].toarray())
    return data.index_select(0, index)


def takes_rows_as_they_are(net: NeuralNet) -> bool:
    """Whether a net predicts from rows of X, and not from what a dataset or a loader makes of them.

    Parameters
    ----------
    net : NeuralNet
        The net.

    Returns
    -------
    as_they_are : bool
        False where the net has a dataset, a loader or a collation of its own.
    """
    return (
        type(net).get_dataset is NeuralNet.get_dataset
        and type(net).get_iterator is NeuralNet.get_iterator
        and net.dataset is Dataset
        and net.iterator_valid is DataLoader
        and not hasattr(net, "iterator_valid__collate_fn")
    )


def collates(net: NeuralNet) -> bool:
    """Whether a net makes batches of rows in a way of its own, and they need not be alike.

    Parameters
    ----------
    net : NeuralNet
        The net.

    Returns
    -------
    collates : bool
        True where the net has a dataset, a loader or a collation of its own.
    """
    return (
        not takes_rows_as_they_are(net)
        or net.iterator_train is not DataLoader
        or hasattr(net, "iterator_train__collate_fn")
    )


def cuts_batches(net: NeuralNet) -> bool:
    """Whether :func:`batch_loader` has the loaders of a net for arrays."""
    return not collates(net) and all(
        _options(net, training).keys() <= _PLAIN_OPTIONS for training in (True, False)
    )


def _options(net: NeuralNet, training: bool) -> dict[str, Any]:
    return {
        "batch_size": net.batch_size,
        **net.get_params_for("iterator_train" if training else "iterator_valid"),
    }


def batch_loader(net: NeuralNet, dataset: Any, training: bool) -> DataLoader | None:
    """Make a loader that yields the batches that the net's own would, and faster.

    It draws from the generators as torch's ``DataLoader`` does, so that the batches are the same,
    row for row.

    Parameters
    ----------
    net : NeuralNet
        The net whose data are loaded.
    dataset : Dataset
        What skorch would iterate over.
    training : bool
        Whether it is for training or for validation.

    Returns
    -------
    loader : DataLoader or None
        None where the net or the data are such that only its own loader will do.
    """
    kind = net.iterator_train if training else net.iterator_valid
    options = _options(net, training)
    rows = None
    if type(dataset) is Subset:
        dataset, rows = dataset.dataset, dataset.indices
    if (
        kind is not DataLoader
        or not options.keys() <= _PLAIN_OPTIONS
        or type(dataset) is not Dataset
        or not _is_arrays(dataset.X)
        or not isinstance(dataset.y, (np.ndarray, Tensor))
    ):
        return None
    length = len(dataset) if rows is None else len(rows)
    size = options["batch_size"] if options["batch_size"] != -1 else length
    return _BatchLoader(_Batches(dataset.X, dataset.y, rows), **{**options, "batch_size": size})


def _is_arrays(X: Any) -> bool:
    if isinstance(X, Mapping):
        return all(_is_arrays(value) for value in X.values())
    return isinstance(X, (np.ndarray, Tensor)) or (issparse(X) and X.format == "csr")
