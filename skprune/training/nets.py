"""skorch nets as skprune takes them: checked, copied, filled in, and given their targets."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from inspect import isclass, signature
from typing import Any
from warnings import warn

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import InputShapeSetter
from skorch.dataset import unpack_data
from skorch.utils import to_tensor
from torch import Tensor, nn

from skprune._sklearn import InvalidParameterError
from skprune.network.autoencoder import Autoencoder
from skprune.network.forward import run_module
from skprune.network.mlp import MLP
from skprune.training.loading import takes_rows_as_they_are
from skprune.training.masked_net import without_masks
from skprune.training.rows import Rows

__all__ = [
    "CLASSIFIER_NETS",
    "REGRESSOR_NETS",
    "ModuleForward",
    "check_net",
    "check_probabilities",
    "copy_net",
    "default_autoencoder_net",
    "default_classifier_net",
    "default_regressor_net",
    "detach_cached",
    "fill_in",
    "initialize",
    "is_binary",
    "is_fitted_net",
    "is_net",
    "rows_on_device",
    "takes_labels",
    "takes_logarithms",
    "takes_only_labels",
    "unwrapped",
    "working_copy",
]

CLASSIFIER_NETS = (NeuralNetClassifier, NeuralNetBinaryClassifier)
REGRESSOR_NETS = (NeuralNetRegressor,)


def default_classifier_net() -> NeuralNetClassifier:
    """Make the net that a classifier is given none of: an :class:`~skprune.network.MLP`.

    Returns
    -------
    net : NeuralNetClassifier
        The net, not initialized.
    """
    return NeuralNetClassifier(MLP, criterion=FROM_DATA, callbacks__valid_acc=None, **_DEFAULTS)


def default_regressor_net() -> NeuralNetRegressor:
    """Make the net that a regressor is given none of: an :class:`~skprune.network.MLP`.

    Returns
    -------
    net : NeuralNetRegressor
        The net, not initialized.
    """
    return NeuralNetRegressor(
        MLP,
        criterion=FROM_DATA,
        module__output_shift=FROM_DATA,
        module__output_scale=FROM_DATA,
        **_DEFAULTS,
    )


def default_autoencoder_net() -> NeuralNetRegressor:
    """Make the net that an autoencoder is given none of.

    Returns
    -------
    net : NeuralNetRegressor
        With an :class:`~skprune.network.Autoencoder`, not initialized.
    """
    return default_regressor_net().set_params(module=Autoencoder)


# Stands in a net for what is to be filled in from the data.
FROM_DATA = "data"


def _is_from_data(value: Any) -> bool:
    return isinstance(value, str) and value == FROM_DATA


_DEFAULTS: dict[str, Any] = {
    "module__dtype": FROM_DATA,
    "optimizer": torch.optim.Adam,
    "optimizer__weight_decay": 1e-3,
    "optimizer__fused": True,
    "lr": 3e-3,
    "batch_size": 200,
    "max_epochs": 100,
    "iterator_train__shuffle": True,
    "train_split": None,
    "callbacks__print_log": None,
    "verbose": 0,
}


def check_net(estimator: Any, kinds: tuple[type[NeuralNet], ...], owner: str) -> None:
    """Raise an error if an estimator is not a net of the right kind.

    Parameters
    ----------
    estimator : object
        What the user gave: a net, or a fitted one in a ``FrozenEstimator``.
    kinds : tuple of type
        The classes of nets that will do.
    owner : str
        Name of the class that it was given to, for the message.

    Raises
    ------
    InvalidParameterError
        The message says what would do.
    """
    net = unwrapped(estimator)
    names = " or ".join(f"skorch.{kind.__name__}" for kind in kinds)
    if not isinstance(net, kinds):
        what = f"the class {net.__name__}" if isclass(net) else f"a {type(net).__name__}"
        hint = (
            " Wrap the module in one."
            if isinstance(net, nn.Module) or (isclass(net) and issubclass(net, nn.Module))
            else ""
        )
        raise InvalidParameterError(
            f"estimator of {owner} must be a {names}, a subclass's instance, a fitted one in a "
            f"FrozenEstimator, or None for a default network; got {what}.{hint}"
        )
    if isinstance(estimator, FrozenEstimator) and not is_fitted_net(net):
        raise InvalidParameterError(
            f"estimator of {owner} is a FrozenEstimator around a net that is not fitted. "
            "Fit the net first, or pass it without FrozenEstimator."
        )
    if net.max_epochs < 0:
        raise InvalidParameterError(
            f"max_epochs of the net of {owner} is {net.max_epochs}; it must be 0 or more."
        )
    if net.compile:
        raise InvalidParameterError(
            f"estimator of {owner} has compile=True, and a compiled module cannot lose units. "
            "Set compile=False, and compile module_ after the fit."
        )


def unwrapped(estimator: Any) -> Any:
    """Take a net out of its ``FrozenEstimator``, if it is in one."""
    return estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator


def is_net(estimator: Any) -> bool:
    """Whether an estimator is a skorch net."""
    return isinstance(estimator, NeuralNet)


def is_fitted_net(estimator: Any) -> bool:
    """Whether an estimator is a net that is initialized, and so has weights of its own."""
    return isinstance(estimator, NeuralNet) and bool(estimator.initialized_)


def is_binary(net: NeuralNet) -> bool:
    """Whether a net has a single output for two classes."""
    return isinstance(net, NeuralNetBinaryClassifier)


def working_copy(estimator: Any) -> tuple[NeuralNet, bool]:
    """Copy a net, so that the user's own stays as it is.

    Parameters
    ----------
    estimator : NeuralNet or FrozenEstimator
        The user's net.

    Returns
    -------
    net : NeuralNet
        The copy.
    fitted : bool
        Whether it comes with trained weights.
    """
    net = unwrapped(estimator)
    if is_fitted_net(net):
        return without_masks(copy_net(net)), True
    return clone(net), False


def copy_net(net: NeuralNet) -> NeuralNet:
    """Copy a net with all that it has learned.

    Plain ``deepcopy`` has skorch save and load the net, which takes one that leaves the device to
    others (``device=None``) to the CPU, and refuses modules that cannot be pickled.

    Parameters
    ----------
    net : NeuralNet
        An initialized net.

    Returns
    -------
    copy : NeuralNet
        The copy.
    """
    copy: NeuralNet = object.__new__(type(net))
    memo: dict[int, Any] = {id(net): copy}
    memo |= {id(tensor): tensor.detach().clone() for _, _, tensor in _kept_results(net.module_)}
    # Rows of a history are long, and stay as they are once they are written.
    memo[id(net.history_)] = type(net.history_)(net.history_)
    vars(copy).update(deepcopy(vars(net), memo))
    return copy


def detach_cached(module: nn.Module) -> None:
    """Cut what a module has kept of a computation off from the computation, in place.

    A module that can be followed back to its last batch, such as one that keeps its activations
    for a penalty, can neither be copied nor pickled.

    Parameters
    ----------
    module : nn.Module
        The module.
    """
    for place, key, tensor in _kept_results(module):
        place[key] = tensor.detach()


def _kept_results(module: nn.Module) -> list[tuple[Any, Any, Tensor]]:
    """Find the results of a computation in a module: where, under which key, and what."""
    return [found for part in module.modules() for found in _results_in(vars(part))]


def _results_in(place: dict | list) -> Iterator[tuple[Any, Any, Tensor]]:
    for key, value in place.items() if isinstance(place, dict) else enumerate(place):
        if isinstance(value, (dict, list)):
            yield from _results_in(value)
        elif isinstance(value, Tensor) and not value.is_leaf:
            yield place, key, value


def fill_in(net: NeuralNet, values: Mapping[str, Any]) -> None:
    """Give a net's module the arguments that only the data determine, in place.

    Parameters
    ----------
    net : NeuralNet
        A net that is not initialized.
    values : mapping of str to object
        What the data determine: the ``criterion``, its ``criterion_options`` (a mapping), and
        arguments of the module. Sizes
        (``n_features``, ``n_outputs``), and an MLP's ``output_activation``, are set where the
        module has an argument of that name and the net does not set it; any value where the net
        sets it to ``"data"``.
    """
    if _is_from_data(net.criterion):
        net.criterion = values["criterion"]
        for name, value in values.get("criterion_options", {}).items():
            setattr(net, f"criterion__{name}", value)
    module = net.module
    if isinstance(module, nn.Module) or not callable(module):
        return
    accepted = signature(module).parameters
    unasked = {"n_features", "n_outputs"}
    if isclass(module) and issubclass(module, MLP):
        unasked.add("output_activation")
    for name, value in values.items():
        argument = f"module__{name}"
        asked = _is_from_data(getattr(net, argument, None))
        if asked and name not in accepted:
            delattr(net, argument)  # left from a module that has been set to another
        elif asked or (name in accepted and name in unasked and not hasattr(net, argument)):
            setattr(net, argument, value)


def initialize(net: NeuralNet, X: Any, y: Any) -> None:
    """Initialize a net, with the arguments of its module that a callback is to set.

    Parameters
    ----------
    net : NeuralNet
        The net.
    X, y : array or mapping of arrays
        What it will be trained on.
    """
    net.initialize()
    for _, callback in net.callbacks_:
        if isinstance(callback, InputShapeSetter) or _sets_parameters(callback):
            callback.on_train_begin(net, X=X.source if isinstance(X, Rows) else X, y=y)


def _sets_parameters(callback: Any) -> bool:
    """Whether a callback of the user's sets parameters of the net before it is trained."""
    code = getattr(callback.on_train_begin, "__code__", None)
    return code is not None and "set_params" in code.co_names


def wants_probabilities(net: NeuralNet) -> bool:
    """Whether a net's criterion takes probabilities, as skorch has it for ``NLLLoss``."""
    return isinstance(net, NeuralNetClassifier) and _has_criterion(net, nn.NLLLoss)


def takes_logarithms(net: NeuralNet) -> bool:
    """Whether a net's loss is of the logarithms of its outputs, as skorch does it for NLLLoss."""
    own = type(net).get_loss is NeuralNetClassifier.get_loss
    return own and wants_probabilities(net)


def check_probabilities(net: NeuralNet, outputs: Tensor) -> None:
    """Raise an error where a net's loss would take the logarithm of a negative number.

    Parameters
    ----------
    net : NeuralNet
        The net.
    outputs : Tensor of shape (n_rows, n_classes)
        What its module puts out for a few rows.

    Raises
    ------
    ValueError
        If the loss is of logarithms, and an output is negative.
    """
    if not takes_logarithms(net):
        return
    if (outputs < 0).any():
        raise ValueError(
            f"{type(net).__name__} with NLLLoss, skorch's default criterion, takes the logarithm "
            f"of the network's outputs, which must be probabilities; they go down to "
            f"{float(outputs.min()):.3g}. Set criterion=torch.nn.CrossEntropyLoss for a network "
            "that ends in plain scores, or let it end in a softmax (not a log_softmax)."
        )
    if ((outputs.sum(1) - 1).abs() > 1e-2).any():
        warn(
            f"{type(net).__name__} with NLLLoss, skorch's default criterion, takes the network's "
            "outputs for probabilities, and those of a row add up to "
            f"{float(outputs[0].sum()):.3g}. Set criterion=torch.nn.CrossEntropyLoss for a network "
            "that ends in plain scores, or let it end in a softmax.",
            UserWarning,
            stacklevel=2,
        )


def takes_labels(net: NeuralNet) -> bool:
    """Whether a net can learn several labels a row."""
    return not is_binary(net) and not _has_criterion(net, (nn.CrossEntropyLoss, nn.NLLLoss))


def takes_only_labels(net: NeuralNet) -> bool:
    """Whether a net can learn nothing but several labels a row."""
    return not is_binary(net) and _has_criterion(net, (nn.BCEWithLogitsLoss, nn.BCELoss))


def _has_criterion(net: NeuralNet, kinds: Any) -> bool:
    criterion = net.criterion
    return issubclass(criterion, kinds) if isclass(criterion) else isinstance(criterion, kinds)


def rows_on_device(net: NeuralNet, X: Any, n_rows: int) -> Any:
    """Take rows from all over the inputs as the tensors that a net's module is given.

    Parameters
    ----------
    net : NeuralNet
        The net.
    X : ndarray, CSR matrix, mapping of str to these, or Rows
        The inputs.
    n_rows : int
        How many rows, at the most.

    Returns
    -------
    inputs : Tensor or dict of str to Tensor
        On the net's device.
    """
    length = (next(iter(X.values())) if isinstance(X, Mapping) else X).shape[0]
    some = np.linspace(0, length - 1, min(n_rows, length)).astype(int)
    if isinstance(X, Rows):
        dataset = X[some].dataset(net)
    else:
        rows: Any
        if isinstance(X, Mapping):
            rows = {key: _dense(value[some]) for key, value in X.items()}
        else:
            rows = _dense(X[some])
        if takes_rows_as_they_are(net):
            return to_tensor(rows, device=net.device)
        dataset = net.get_dataset(rows)
    with torch.random.fork_rng(devices=[]):  # a loader draws a seed
        batches = list(net.get_iterator(dataset, training=False))
    return to_tensor(unpack_data(batches[0])[0], device=net.device)


def _dense(rows: Any) -> np.ndarray:
    return rows.toarray() if issparse(rows) else rows


class ModuleForward:
    """Computes the output of a module as a net would, whatever module it holds.

    Parameters
    ----------
    net : NeuralNet
        The net, whose own way of calling its module (``infer``) is respected.
    """

    def __init__(self, net: NeuralNet) -> None:
        self.net = net

    def __call__(self, module: nn.Module, inputs: Any) -> Any:
        """Compute the output of a module.

        Parameters
        ----------
        module : nn.Module
            The net's module, or a changed copy of it.
        inputs : Tensor or dict of str to Tensor
            What the module is given.

        Returns
        -------
        outputs : Tensor, or a nest of tensors
            What the module gives.
        """
        if type(self.net).infer is NeuralNet.infer:
            return run_module(module, inputs)
        # A net with another module, which shares all else with the one that it is made from.
        net = object.__new__(type(self.net))
        vars(net).update(vars(self.net), module_=module)
        net._set_training(module.training)
        return net.infer(inputs)
