"""Inputs that are read row by row: those of a Dataset, and rows of different lengths."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.dataset import Dataset, unpack_data
from skorch.helper import SliceDataset
from skorch.utils import to_numpy
from torch import Tensor
from torch.utils.data import IterableDataset, Subset, TensorDataset

from skprune.seeding import preserve_rng

__all__ = ["Rows", "WeightedRows", "is_dataset", "read_targets"]


class Rows:
    """Inputs that stay where they are until a batch of them is asked for.

    It is indexed as scikit-learn indexes arrays, and what comes out is not read either.

    Parameters
    ----------
    source : torch.utils.data.Dataset, SliceDataset, or ndarray of object
        A ``Dataset`` gives pairs of inputs and targets, the others inputs alone.
    indices : ndarray of int, default=None
        Which rows of the source; all if None.

    Raises
    ------
    TypeError
        If the source is a ``Dataset`` whose rows cannot be counted.
    """

    ndim = 1

    def __init__(self, source: Any, indices: np.ndarray | None = None) -> None:
        if isinstance(source, IterableDataset) or not hasattr(source, "__len__"):
            raise TypeError(
                f"X is a {type(source).__name__}, a Dataset without a length, whose rows cannot be "
                "counted, looked up or read twice. Use one that has __len__ and __getitem__."
            )
        self.source = source
        self.indices = np.arange(len(source)) if indices is None else indices

    @property
    def has_targets(self) -> bool:
        """Whether the source gives targets, too."""
        return isinstance(self.source, torch.utils.data.Dataset)

    @property
    def shape(self) -> tuple[int]:
        """The number of rows."""
        return (len(self.indices),)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: Any) -> Any:
        """Give some of the rows, or the inputs of one."""
        if not isinstance(rows, (int, np.integer)):
            return Rows(self.source, self.indices[rows])
        row = self.source[int(self.indices[rows])]
        return unpack_data(row)[0] if self.has_targets else row

    @cached_property
    def first(self) -> np.ndarray | None:
        """The inputs of the first row; None if they are no array."""
        with preserve_rng():  # to read a row may draw random numbers
            row = self[0]
        return to_numpy(row) if isinstance(row, (np.ndarray, Tensor)) else None

    def targets(self) -> np.ndarray:
        """Read the targets that the source gives."""
        return _targets_of(Subset(self.source, self.indices.tolist()))

    def dataset(self, net: NeuralNet, y: Any = None) -> Any:
        """Make what a net's loader reads from.

        Parameters
        ----------
        net : NeuralNet
            The net, which may have a ``Dataset`` of its own for inputs alone.
        y : ndarray, default=None
            Targets in place of those that the source gives.

        Returns
        -------
        dataset : torch.utils.data.Dataset
            Of pairs of inputs and targets.
        """
        if not self.has_targets:
            return net.get_dataset(self.source[self.indices], y)
        pairs = Subset(self.source, self.indices.tolist())
        return _Unlabelled(pairs) if y is None else _Relabelled(pairs, y)


class _Unlabelled(torch.utils.data.Dataset):
    """A Dataset whose targets are not looked at: those that are no numbers are zeros."""

    def __init__(self, pairs: Any) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        X, own = unpack_data(self.pairs[row])
        # What collates the rows may count on numbers, which a fit makes of labels.
        return X, own if isinstance(own, Tensor) or np.asarray(own).dtype.kind in "biuf" else 0


class _Relabelled(torch.utils.data.Dataset):
    """A Dataset with other targets."""

    def __init__(self, pairs: Any, y: np.ndarray) -> None:
        self.pairs = pairs
        self.y = y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        X, own = unpack_data(self.pairs[row])
        # What collates the rows may count on tensors.
        return X, torch.as_tensor(self.y[row]) if isinstance(own, Tensor) else self.y[row]


class WeightedRows(torch.utils.data.Dataset):
    """A Dataset with a weight for each of its rows.

    Parameters
    ----------
    rows : Dataset
        Of pairs of inputs and targets.
    weights : ndarray of shape (n_samples,)
        The weights.
    """

    def __init__(self, rows: Any, weights: np.ndarray) -> None:
        self.rows = rows
        self.weights = weights

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, row: int) -> tuple[Any, float]:
        """Give the pair of a row, and its weight."""
        return self.rows[row], self.weights[row]


def is_dataset(X: Any) -> bool:
    """Whether inputs are a Dataset, or the slices of one."""
    return isinstance(X, (torch.utils.data.Dataset, SliceDataset))


def read_targets(y: Any) -> Any:
    """Read targets that are given as a ``SliceDataset``; others are passed through.

    Parameters
    ----------
    y : object
        The targets.

    Returns
    -------
    y : ndarray or object
        The targets; only they are kept of the rows that had to be read.
    """
    if not isinstance(y, SliceDataset):
        return y
    if type(y) is SliceDataset and y.idx == 1:
        return _targets_of(Subset(y.dataset, np.asarray(y.indices_).tolist()))
    with preserve_rng():
        return np.asarray(y)


def _targets_of(dataset: Any) -> np.ndarray:
    if type(dataset) is Subset:
        whole = _kept_targets(dataset.dataset)
        if whole is not None:
            return whole[np.asarray(dataset.indices, dtype=int)]
    with preserve_rng():
        targets = [unpack_data(dataset[row])[1] for row in range(len(dataset))]
    return np.asarray([to_numpy(y) if isinstance(y, Tensor) else y for y in targets])


def _kept_targets(dataset: Any) -> np.ndarray | None:
    """Give the targets that a Dataset keeps apart from the inputs, which then need not be read."""
    if type(dataset) is Subset:
        whole = _kept_targets(dataset.dataset)
        return None if whole is None else whole[np.asarray(dataset.indices, dtype=int)]
    if type(dataset) is TensorDataset and len(dataset.tensors) == 2:
        return to_numpy(dataset.tensors[1])
    if type(dataset) is Dataset and dataset.y is None:
        raise ValueError("X is a Dataset without targets, and y is None.")
    if type(dataset) is Dataset and isinstance(dataset.y, (np.ndarray, Tensor)):
        return to_numpy(dataset.y)
    return None
