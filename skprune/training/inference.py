"""Predictions of a net without its DataLoader."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.utils import to_numpy
from torch import Tensor, nn

from skprune.network.chunks import forward_in_chunks
from skprune.network.forward import first_output
from skprune.pruning.outputs import unchanged
from skprune.seeding import given_back, preserve_rng
from skprune.training.loading import takes_rows_as_they_are
from skprune.training.rows import Rows

__all__ = [
    "net_outputs",
    "nonlinearity_of",
    "own_prediction",
    "own_way_to_predict",
    "sigmoid_of_labels",
]

_SKORCH_NETS = (NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor)


def net_outputs(
    net: NeuralNet, X: Any, nonlinearity: Callable[[Tensor], Tensor] | None = None
) -> np.ndarray:
    """Compute what a net's ``predict_proba`` would, in chunks of rows.

    Parameters
    ----------
    net : NeuralNet
        A fitted net.
    X : ndarray, CSR matrix, mapping of str to these, or Rows
        The inputs.
    nonlinearity : callable, default=None
        Applied to the outputs in place of the net's own.

    Returns
    -------
    outputs : ndarray of shape (n_samples, n_outputs) or (n_samples,)
        The outputs after the nonlinearity. Where the net's class has its own way to predict, its
        ``predict_proba`` is called.
    """
    by_rows = isinstance(X, Rows)
    as_skorch = _is_skorchs(net, *_PROBABILITIES)
    if not as_skorch or not (by_rows or takes_rows_as_they_are(net)):
        with given_back(), preserve_rng(net.device):  # a loader draws a seed
            return net.predict_proba(_as_skorch_takes(net, X))
    apply = nonlinearity or net._get_predict_nonlinearity()
    if by_rows:
        with given_back(), preserve_rng(net.device):
            batches = net.forward_iter(X.dataset(net), training=False)
            return np.concatenate([to_numpy(apply(first_output(batch))) for batch in batches])
    modules = (getattr(net, f"{name}_") for name in net._modules)
    if any(part.training for module in modules for part in module.modules()):
        net._set_training(False)
    device = net.device if net.device is not None else _device(net.module_)
    return forward_in_chunks(lambda chunk: apply(first_output(net.infer(chunk))), X, device)


def _as_skorch_takes(net: NeuralNet, X: Any) -> Any:
    return X.dataset(net) if isinstance(X, Rows) else X


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))


# What stands between the data and the probabilities, ``infer`` apart.
_PROBABILITIES = ("predict_proba", "forward_iter", "evaluation_step")


def _is_skorchs(net: NeuralNet, *names: str) -> bool:
    """Whether a net has methods as one of skorch's own has them."""
    cls: Any = type(net)
    return _own_method(cls, names) is None


@lru_cache
def _own_method(cls: Any, names: tuple[str, ...]) -> str | None:
    """Name the first of some methods that a class has otherwise than all of skorch's nets."""
    for name in names:
        if all(getattr(cls, name) is not getattr(net, name) for net in _SKORCH_NETS):
            return name
    return None


def own_way_to_predict(net: NeuralNet) -> str | None:
    """Say why a net's predictions are not those of its module alone.

    Parameters
    ----------
    net : NeuralNet
        A net.

    Returns
    -------
    reason : str or None
        What its class, or its loader, does in a way of its own; None if nothing is.
    """
    cls: Any = type(net)
    name = _own_method(cls, (*_PROBABILITIES, "predict", "infer"))
    if name is not None:
        article = "an" if name[0] in "aeiou" else "a"
        return f"{cls.__name__} has {article} {name} of its own"
    if not takes_rows_as_they_are(net):
        return f"{cls.__name__} has a dataset, a loader or a collation of its own"
    return None


def own_prediction(net: NeuralNet, X: Any) -> np.ndarray | None:
    """Compute a net's ``predict`` if its class decides on predictions in a way of its own.

    Parameters
    ----------
    net : NeuralNet
        A fitted net.
    X : ndarray, CSR matrix, mapping of str to these, or Rows
        The inputs.

    Returns
    -------
    predictions : ndarray or None
        None if the class predicts as skorch's do.
    """
    if _is_skorchs(net, "predict"):
        return None
    with given_back(), preserve_rng(net.device):
        return np.asarray(net.predict(_as_skorch_takes(net, X)))


def nonlinearity_of(net: NeuralNet) -> str | Callable[[Tensor], Tensor] | None:
    """Say what a net makes predictions of its module's outputs with, without skorch's functions.

    Parameters
    ----------
    net : NeuralNet
        An initialized net.

    Returns
    -------
    nonlinearity : {"softmax", "sigmoid"}, callable or None
        The user's own; or what goes with the net's criterion, None for probabilities and values.
    """
    own = type(net)._get_predict_nonlinearity is not NeuralNet._get_predict_nonlinearity
    if net.predict_nonlinearity is None and not own:
        return unchanged
    if net.predict_nonlinearity != "auto" or own:
        return net._get_predict_nonlinearity()
    if len(net._criteria) == 1:
        criterion = getattr(net, f"{net._criteria[0]}_")
        if isinstance(criterion, nn.CrossEntropyLoss):
            return "softmax"
        if isinstance(criterion, nn.BCEWithLogitsLoss):
            return "sigmoid"
    return None


def sigmoid_of_labels(net: NeuralNet) -> Callable[[Tensor], Tensor] | None:
    """Give the nonlinearity of several labels a row; None if the net says what it is.

    skorch's own choice for a binary criterion makes two columns of one.
    """
    if net.predict_nonlinearity != "auto":
        return None
    if isinstance(net.criterion_, nn.BCEWithLogitsLoss):
        return torch.sigmoid
    return unchanged if isinstance(net.criterion_, nn.BCELoss) else None
