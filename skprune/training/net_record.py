"""A fitted net as plain data: its class and parameters, and what else it takes to have it again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

import torch
from skorch import NeuralNet
from skorch.dataset import ValidSplit
from torch import Tensor, nn

from skprune.network.recipe import ModuleRecipe
from skprune.training.history import CompactHistory
from skprune.training.masked_net import own_class, with_masks

__all__ = ["NetRecord", "TrainingState", "net_from", "recipe_of", "record_of", "state_of"]

# What only a training reads: a net predicts without it.
TRAINING_ONLY = (
    "callbacks",
    "iterator_train",
    "lr",
    "max_epochs",
    "module",
    "optimizer",
    "train_split",
    "warm_start",
)
# Parameters that concern the machine, and are not those of another one.
_OF_THE_MACHINE = ("torch_load_kwargs", "compile")


@dataclass(frozen=True)
class NetRecord:
    """What a net is made of.

    Attributes
    ----------
    cls : type
        The net's class.
    params : mapping of str to object
        Its parameters, but those that are the default.
    left_out : tuple of str
        Parameters that could not be written.
    """

    cls: type[NeuralNet]
    params: Mapping[str, Any]
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (isinstance(self.cls, type) and issubclass(self.cls, NeuralNet)):
            raise TypeError(f"A net is of a class of skorch's, and not {self.cls!r}.")


@dataclass(frozen=True)
class TrainingState:
    """What a training goes on from, beside weights.

    Attributes
    ----------
    optimizers : mapping of str to mapping
        The states of the optimizers.
    history : list of dict
        The epochs so far.
    """

    optimizers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def record_of(net: NeuralNet) -> NetRecord:
    """Take a net apart; its weights are no part of the record.

    Parameters
    ----------
    net : NeuralNet
        A net, initialized or not.

    Returns
    -------
    record : NetRecord
        Its class and parameters. A module that is given as an object, and not as a class, is left
        out.
    """
    cls = own_class(net)
    defaults = _defaults_of(cls)
    params = {
        name: value
        for name, value in net.get_params(deep=False).items()
        if not name.startswith("_") and not name.endswith("_") and name not in _OF_THE_MACHINE
        if name not in defaults or not _same(value, defaults[name])
    }
    if not isinstance(params.get("module"), nn.Module):
        return NetRecord(cls, params)
    params = {n: v for n, v in params.items() if n != "module" and not n.startswith("module__")}
    return NetRecord(cls, params, ("module",))


def recipe_of(net: NeuralNet) -> ModuleRecipe | None:
    """Say how a net makes its module.

    Parameters
    ----------
    net : NeuralNet
        A net with all of its parameters.

    Returns
    -------
    recipe : ModuleRecipe or None
        None where its class does that in a way of its own, or it was given a module.
    """
    own = own_class(net).initialize_module is not NeuralNet.initialize_module
    if own or isinstance(net.module, nn.Module) or not callable(net.module):
        return None
    return ModuleRecipe(net.module, net.get_params_for("module"))


def net_from(
    record: NetRecord,
    module: nn.Module | None = None,
    masks: Mapping[str, Tensor] | None = None,
    state: TrainingState | None = None,
) -> NeuralNet:
    """Make a net of its record.

    Parameters
    ----------
    record : NetRecord
        The record.
    module : nn.Module, default=None
        The net's trained module. None stands for a net that is not initialized.
    masks : mapping of str to Tensor of bool, default=None
        What is kept of each masked weight of the module.
    state : TrainingState, default=None
        What a training goes on from.

    Returns
    -------
    net : NeuralNet
        The net.

    Raises
    ------
    ValueError
        If its class has no such parameters.
    """
    params: dict[str, Any] = {"module": None, **record.params}
    known = signature(record.cls).parameters.keys() | _defaults_of(record.cls).keys()
    for name in params:
        if name not in known and "__" not in name.strip("_"):
            raise ValueError(f"{record.cls.__name__} has no parameter {name!r}.")
    device = params.pop("device", "cpu")
    net = record.cls(**params, device=_usable(device))
    if module is None:
        return net
    # The module is there: initializing must not make another.
    attributes = vars(net)
    asked = {n: v for n, v in attributes.items() if n == "module" or n.startswith("module__")}
    for name in asked:
        del attributes[name]
    attributes["module"] = module
    net.initialize()
    attributes.update(asked)
    net._set_training(False)
    net.history_ = CompactHistory([] if state is None else state.history)
    if state is not None:
        for name, optimizer in state.optimizers.items():
            getattr(net, f"{name}_").load_state_dict(optimizer)
    return with_masks(net, dict(masks or {}))


def state_of(net: NeuralNet) -> TrainingState:
    """Take what a training of a fitted net goes on from, beside weights."""
    optimizers = {name: getattr(net, f"{name}_").state_dict() for name in net._optimizers}
    return TrainingState(optimizers, list(net.history_))


def _usable(device: Any) -> Any:
    """Give a device that this machine has; None leaves it to others, as an accelerator."""
    kind = None if device is None else torch.device(device).type
    missing = kind == "cuda" and not torch.cuda.is_available()
    return "cpu" if missing else device


def _defaults_of(cls: type) -> dict[str, Any]:
    return {
        name: parameter.default
        for base in reversed(cls.__mro__)
        for name, parameter in signature(vars(base).get("__init__", object)).parameters.items()
        if parameter.default is not Parameter.empty
    }


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, ValidSplit) and type(value) is type(default):
        return vars(value) == vars(default)
    return value is default or (type(value) is type(default) and value == default)
