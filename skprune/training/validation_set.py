"""A net's own validation set, with targets as its loss takes them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.dataset import Dataset, unpack_data
from skorch.helper import predefined_split
from torch import Tensor
from torch.utils.data import Subset

from skprune.network.dtypes import as_input_dtype

__all__ = ["encode_validation_set"]


def encode_validation_set(net: NeuralNet, encode: Callable[[np.ndarray], Any]) -> None:
    """Give the data of ``predefined_split`` the targets and the type of those of a fit, in place.

    Parameters
    ----------
    net : NeuralNet
        An initialized copy of the user's net. Where its ``train_split`` is a ``predefined_split``,
        it gets another; the user's data set is left as it is.
    encode : callable
        Gives targets as the net's loss takes them: ``encode(y)``.

    Raises
    ------
    ValueError
        If `encode` refuses the targets, or the set has none.
    """
    split = net.train_split
    if not isinstance(split, partial) or split.func is not predefined_split(None).func:
        return
    dataset = split.keywords["valid_ds"]
    if getattr(dataset, "encoded_", False):  # by an earlier fit, of a net that comes fitted
        return
    y = encode(_targets(dataset))
    arrays, rows = _arrays(dataset)
    if arrays is None:
        encoded: Any = _EncodedRows(dataset, y, net.module_)
    else:
        X = arrays.X if rows is None else arrays.X[rows]
        encoded = Dataset(as_input_dtype(X, net.module_), y)
    encoded.encoded_ = True
    net.train_split = predefined_split(encoded)


class _EncodedRows(torch.utils.data.Dataset):
    """The rows of another data set, with other targets."""

    def __init__(self, dataset: Any, y: np.ndarray, module: torch.nn.Module) -> None:
        self.dataset, self.y, self.module = dataset, y, module

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        X, _ = unpack_data(self.dataset[index])
        if isinstance(X, np.ndarray):
            X = as_input_dtype(X, self.module)
        return X, self.y[index]


def _arrays(dataset: Any) -> tuple[Any, Any]:
    """Find the arrays of skorch's own data set, and the rows of them that count."""
    rows = None
    if type(dataset) is Subset:
        dataset, rows = dataset.dataset, np.asarray(dataset.indices)
    plain = type(dataset) is Dataset and isinstance(dataset.X, np.ndarray)
    return (dataset, rows) if plain else (None, None)


def _targets(dataset: Any) -> np.ndarray:
    """Read the targets of all rows."""
    arrays, rows = _arrays(dataset)
    if arrays is not None and isinstance(arrays.y, (np.ndarray, Tensor, list)):
        y = np.asarray(arrays.y)
        return y if rows is None else y[rows]
    if arrays is not None and arrays.y is None:
        raise ValueError(
            "The data set of predefined_split has no targets. Give it some: Dataset(X, y)."
        )
    targets = [unpack_data(dataset[index])[1] for index in range(len(dataset))]
    return np.stack([np.asarray(target) for target in targets])
