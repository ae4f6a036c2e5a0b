"""Predictions of a net without its DataLoader."""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.utils import to_numpy
from torch import Tensor, nn

from skprune.network.chunks import NotFinite, forward_in_chunks
from skprune.network.forward import first_output
from skprune.seeding import given_back, preserve_rng
from skprune.training.loading import takes_rows_as_they_are
from skprune.training.rows import Rows

__all__ = ["net_outputs", "own_prediction", "sigmoid_of_labels"]

_SKORCH_NETS = (NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor)


def net_outputs(
    net: NeuralNet,
    X: Any,
    nonlinearity: Callable[[Tensor], Tensor] | None = None,
    *,
    to_rank: bool = False,
    check_finite: bool = False,
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
    to_rank : bool, default=False
        Whether only the order of a row's outputs counts. A softmax does not change it, and is then
        left out.
    check_finite : bool, default=False
        Whether to see that the inputs are finite.

    Returns
    -------
    outputs : ndarray of shape (n_samples, n_outputs) or (n_samples,)
        The outputs after the nonlinearity. Where the net's class has its own way to predict, its
        ``predict_proba`` is called.

    Raises
    ------
    NotFinite
        If an input is not finite, or too large to tell; or where it cannot be told at all, since
        the net predicts in its own way.
    """
    cls: Any = type(net)
    by_rows = isinstance(X, Rows) and _predicts_as_skorch(cls)
    if not by_rows and not (_predicts_as_skorch(cls) and takes_rows_as_they_are(net)):
        if check_finite:
            raise NotFinite
        with given_back(), preserve_rng(net.device):  # a loader draws a seed
            return net.predict_proba(_as_skorch_takes(net, X))
    apply = nonlinearity or net._get_predict_nonlinearity()
    if by_rows:
        with given_back(), preserve_rng(net.device):
            batches = net.forward_iter(X.dataset(net), training=False)
            return np.concatenate([to_numpy(apply(first_output(batch))) for batch in batches])
    if to_rank and isinstance(apply, partial) and apply.func is torch.softmax:
        apply = _unchanged
    modules = (getattr(net, f"{name}_") for name in net._modules)
    if any(part.training for module in modules for part in module.modules()):
        net._set_training(False)
    device = net.device if net.device is not None else _device(net.module_)
    infer = net.infer if isinstance(X, Mapping) or _infers_in_its_own_way(net) else net.module_
    return forward_in_chunks(
        lambda chunk: apply(first_output(infer(chunk))), X, device, check_finite=check_finite
    )


def _as_skorch_takes(net: NeuralNet, X: Any) -> Any:
    return X.dataset(net) if isinstance(X, Rows) else X


def _infers_in_its_own_way(net: NeuralNet) -> bool:
    return type(net).infer is not NeuralNet.infer


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))


@lru_cache
def _predicts_as_skorch(cls: type[NeuralNet]) -> bool:
    """Whether nothing between the data and the probabilities was overridden, ``infer`` apart."""
    return all(
        any(getattr(cls, name) is getattr(own, name) for own in _SKORCH_NETS)
        for name in ("predict_proba", "forward_iter", "evaluation_step")
    )


def own_prediction(net: NeuralNet, X: Any, *, check_finite: bool = False) -> np.ndarray | None:
    """Compute a net's ``predict`` if its class decides on predictions in a way of its own.

    Parameters
    ----------
    net : NeuralNet
        A fitted net.
    X : ndarray, CSR matrix, mapping of str to these, or Rows
        The inputs.
    check_finite : bool, default=False
        Whether to see that the inputs are finite.

    Returns
    -------
    predictions : ndarray or None
        None if the class predicts as skorch's do.

    Raises
    ------
    NotFinite
        If that is asked for, since the class has a way of its own and it cannot be told.
    """
    if any(type(net).predict is cls.predict for cls in _SKORCH_NETS):
        return None
    if check_finite:
        raise NotFinite
    with given_back(), preserve_rng(net.device):
        return np.asarray(net.predict(_as_skorch_takes(net, X)))


def sigmoid_of_labels(net: NeuralNet) -> Callable[[Tensor], Tensor] | None:
    """Give the nonlinearity of several labels a row; None if the net says what it is.

    skorch's own choice for a binary criterion makes two columns of one.
    """
    if net.predict_nonlinearity != "auto":
        return None
    if isinstance(net.criterion_, nn.BCEWithLogitsLoss):
        return torch.sigmoid
    return _unchanged if isinstance(net.criterion_, nn.BCELoss) else None


def _unchanged(outputs: Tensor) -> Tensor:
    return outputs
