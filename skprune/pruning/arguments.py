"""What `prune` and `Pruner` are given: whether it is valid, before anything is done with it."""

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from skprune._sklearn import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from skprune.network.network import all_tensors
from skprune.network.wrapping import wrapper_of
from skprune.strategies.target import BUDGETS, Target

__all__ = ["check_example", "check_module", "check_parameters", "check_state"]

_CONSTRAINTS: dict[str, Any] = {
    "sparsity": [Interval(Real, 0, 1, closed="left"), Target, None],
    "budget": [StrOptions(set(BUDGETS))],
    "protect": [None, list, tuple],
    "epochs": [Interval(Integral, 0, None, closed="left")],
    "fine_tune_epochs": [Interval(Integral, 0, None, closed="left"), None],
    "loss": [callable, None],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "steps_per_epoch": [Interval(Integral, 1, None, closed="left"), None],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "optimizer": [callable],
    "train": [callable, None],
    "initial_state": [Mapping, None],
    "random_state": ["random_state"],
}


def check_parameters(caller: str, **parameters: Any) -> None:
    """Raise an error if a parameter is invalid.

    Parameters
    ----------
    caller : str
        What was called, for the message.
    **parameters : dict
        Parameters of :class:`Pruner` and :func:`~skprune.prune`.

    Raises
    ------
    InvalidParameterError
        The message says what would be valid.
    """
    constraints = {name: _CONSTRAINTS[name] for name in parameters}
    validate_parameter_constraints(constraints, parameters, caller_name=caller)
    loss = parameters.get("loss")
    if isinstance(loss, type):
        raise InvalidParameterError(
            f"loss is called with outputs and targets; got the class {loss.__name__}. Make one of "
            f"it: loss={loss.__name__}()."
        )


def check_module(module: Any) -> None:
    """Raise an error if something is no module that can be pruned.

    Parameters
    ----------
    module : object
        What was given.

    Raises
    ------
    InvalidParameterError
        If it is no module, or one inside another that has no units to lose.
    """
    if not isinstance(module, nn.Module):
        what = f"the class {module.__name__}" if isinstance(module, type) else repr(type(module))
        raise InvalidParameterError(f"module must be a torch.nn.Module; got {what}.")
    wrapper = wrapper_of(module)
    if wrapper is not None:
        raise InvalidParameterError(
            f"module is wrapped by {wrapper}, and a wrapped module cannot lose units. Give the "
            "module inside, and wrap what comes back."
        )


def check_example(inputs: Any) -> None:
    """Raise an error if something is no example of a module's inputs.

    Parameters
    ----------
    inputs : object
        What was given.

    Raises
    ------
    InvalidParameterError
        If it has no tensors, or no rows.
    """
    tensors = [leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)]
    if not isinstance(inputs, (Tensor, tuple, list, Mapping)) or not tensors:
        raise InvalidParameterError(
            "example_inputs must be a tensor, a tuple of tensors, or a mapping of them by name; "
            f"got a {type(inputs).__name__}. Give a few rows, such as torch.as_tensor(X[:8])."
        )
    if any(tensor.dim() > 0 and len(tensor) == 0 for tensor in tensors):
        raise InvalidParameterError("example_inputs has no rows. Give a few.")


def check_state(state: Mapping[str, Tensor], module: nn.Module) -> None:
    """Raise an error if weights are not those of a module.

    Parameters
    ----------
    state : mapping of str to Tensor
        Its ``state_dict`` of another time.
    module : nn.Module
        The module.

    Raises
    ------
    InvalidParameterError
        If parameters are missing, or have other shapes.
    """
    for name, tensor in all_tensors(module).items():
        if name in state and tuple(state[name].shape) != tuple(tensor.shape):
            raise InvalidParameterError(
                f"initial_state has {name!r} of shape {tuple(state[name].shape)}, and the module "
                f"has it of shape {tuple(tensor.shape)}."
            )
    missing = [name for name, _ in module.named_parameters() if name not in state]
    if missing:
        raise InvalidParameterError(
            f"initial_state lacks parameters of the module: {', '.join(map(repr, missing[:5]))}."
        )
