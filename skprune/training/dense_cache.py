"""The dense stage of a fit, computed once for equal net, data and seed."""

import io
import json
import sys
from collections.abc import Callable
from copy import deepcopy
from typing import Any
from warnings import warn

import numpy as np
import sklearn
import skorch
import torch
from sklearn.utils.validation import check_memory
from skorch import NeuralNet
from skorch.callbacks import LoadInitState
from torch import nn

from skprune.exceptions import UncachedWarning
from skprune.training.fingerprint import Uncacheable, fingerprint, package_of

__all__ = ["train_once"]


def train_once(
    net: NeuralNet, data: Any, seed: int, memory: Any, train: Callable[[], None]
) -> bool:
    """Train a net, or restore what an equal training made of it.

    Parameters
    ----------
    net : NeuralNet
        An initialized net; it is trained, or its state restored, in place.
    data : object
        What it is trained on.
    seed : int
        The seed of the training.
    memory : str or joblib.Memory
        Where trained states are kept: arrays, and no code.
    train : callable
        Trains the net.

    Returns
    -------
    restored : bool
        Whether the net was restored, and not trained.

    Warns
    -----
    UncachedWarning
        If the training depends on something whose content cannot be seen, or changes the net, its
        module or a callback in a way that the tensors do not show; if nothing can be written or
        read there; or if what is there is damaged. The net is then trained.
    """
    training = trained = False

    def compute() -> np.ndarray:
        nonlocal training, trained
        before = _beside_tensors(net)
        training = True
        train()
        training, trained = False, True
        changed = [
            name for name, state in _beside_tensors(net).items() if state != before.get(name)
        ]
        if changed:
            raise Uncacheable(f"training changes {changed[0]}")
        return _pack(net)

    def packed(*, again: bool) -> np.ndarray | None:
        try:
            stage = check_memory(memory).cache(_dense_stage, ignore=["compute"])
            return (stage.call if again else stage)(_key(net, data, seed), compute)
        except (Uncacheable, OSError) as reason:
            if training:  # what the training itself could not read or write is the user's
                raise
            warn(
                f"The dense network is not kept in memory: {reason}. It is trained anew by every "
                "fit.",
                UncachedWarning,
                stacklevel=3,
            )
        if not trained:
            train()
        return None

    found = packed(again=False)
    if found is None or trained:
        return False
    try:
        _unpack(found, net)
    except Exception as reason:  # whatever a damaged entry may lead to
        warn(
            f"What is kept in memory of the dense network is damaged ({reason}). It is trained "
            "anew.",
            UncachedWarning,
            stacklevel=2,
        )
        packed(again=True)
        return False
    return True


def _dense_stage(key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    return compute()


def _key(net: NeuralNet, data: Any, seed: int) -> str:
    from skprune import __version__

    for name, callback in net.callbacks_:
        if isinstance(callback, LoadInitState):
            raise Uncacheable(f"callback {name!r} loads what is in a file")
    packages = (__version__, torch.__version__, skorch.__version__, sklearn.__version__)
    versions = (*packages, np.__version__, sys.version)
    return fingerprint(versions, type(net), _parameters(net), _trained_modules(net), data, seed)


def _parameters(net: NeuralNet) -> dict[str, Any]:
    """List the constructor's parameters, and nothing that is there since the initialization."""
    return {
        name: value
        for name, value in sorted(vars(net).items())
        if not name.endswith("_") and name not in ("verbose", "_kwargs", "_params_to_validate")
    }


def _beside_tensors(net: NeuralNet) -> dict[str, str]:
    """Tell the state that a later stage goes on with, and that the tensors do not show."""
    states = {
        f"attributes of the {owner.removesuffix('_')} beside its tensors": fingerprint(
            [_own_attributes(part) for part in module.modules()]
        )
        for owner, module in _trained_modules(net)
    }
    states["attributes of the net"] = fingerprint(
        {name: value for name, value in vars(net).items() if name not in _restored(net)}
    )
    for name, callback in net.callbacks_:
        # skorch's own begin each stage anew; others go on from what they were, initialized.
        if package_of(type(callback)) is None:
            states[f"callback {name!r}"] = fingerprint(_initialized(callback))
    return states


def _initialized(callback: Any) -> Any:
    try:
        copy = deepcopy(callback)
        copy.initialize()
    except Exception as error:  # whatever a user's callback may raise
        raise Uncacheable(f"{callback!r} cannot be copied and initialized ({error})") from error
    return copy


def _restored(net: NeuralNet) -> set[str]:
    """Name the attributes of a net that come back with its tensors, or are made anew by a stage."""
    parts = (*net._modules, *net._criteria, *net._optimizers)
    return {
        *(f"{name}_" for name in (*parts, "history", "callbacks", "classes_inferred")),
        "callbacks",
    }


def _own_attributes(module: nn.Module) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(module).items()
        if name not in ("_parameters", "_buffers", "_modules", "training")
        and not name.endswith("_hooks")
    }


def _trained_modules(net: NeuralNet) -> list[tuple[str, nn.Module]]:
    names = [f"{name}_" for name in (*net._modules, *net._criteria)]
    modules = [(name, getattr(net, name)) for name in names]
    return [(name, module) for name, module in modules if isinstance(module, nn.Module)]


def _tensors(net: NeuralNet) -> dict[str, torch.Tensor]:
    """List all tensors, buffers that are not saved with the module among them."""
    return {
        f"{owner}/{name}": tensor
        for owner, module in _trained_modules(net)
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
    }


def _pack(net: NeuralNet) -> np.ndarray:
    tensors = _tensors(net)
    about = {
        "history": list(net.history_),
        "trainable": {name: tensor.requires_grad for name, tensor in tensors.items()},
    }
    try:
        text = json.dumps(about, default=float)
    except (TypeError, ValueError) as error:
        raise Uncacheable(f"the history has entries that are no numbers ({error})") from error
    arrays: dict[str, Any] = {
        name: tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        for name, tensor in tensors.items()
        if tensor.numel()
    }
    file = io.BytesIO()
    arrays["//about"] = np.frombuffer(text.encode(), dtype=np.uint8)
    np.savez(file, allow_pickle=False, **arrays)
    return np.frombuffer(file.getvalue(), dtype=np.uint8)


def _unpack(packed: np.ndarray, net: NeuralNet) -> None:
    tensors = _tensors(net)
    with np.load(io.BytesIO(packed.tobytes()), allow_pickle=False) as arrays:
        about = json.loads(bytes(arrays["//about"]))
        values = {
            name: torch.from_numpy(arrays[name].copy()).view(tensor.dtype).view(tensor.shape)
            for name, tensor in tensors.items()
            if tensor.numel()
        }
    trainable = {name: bool(about["trainable"][name]) for name in tensors}
    # All of it could be read: only now is the net changed.
    net.history_ = type(net.history_)(about["history"])
    with torch.no_grad():
        for name, value in values.items():
            tensors[name].copy_(value)
    for name, tensor in tensors.items():
        tensor.requires_grad_(trainable[name])
