"""The dense stage of a fit, computed once for equal net, data and seed."""

import io
import json
import sys
from collections.abc import Callable
from typing import Any
from warnings import warn

import numpy as np
import sklearn
import skorch
import torch
from sklearn.utils.validation import check_memory
from skorch import NeuralNet
from torch import nn

from skprune.exceptions import UncachedWarning
from skprune.training.fingerprint import Uncacheable, fingerprint

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
        If the training depends on something whose content cannot be seen, or changes the module in
        a way that its tensors do not show; or if nothing can be written or read there. The net is
        then trained, and nothing kept.
    """
    training = trained = False

    def compute() -> np.ndarray:
        nonlocal training, trained
        before = _beside_tensors(net)
        training = True
        train()
        training, trained = False, True
        if _beside_tensors(net) != before:
            raise Uncacheable("training changes attributes of the module beside its tensors")
        return _pack(net)

    try:
        key = fingerprint(_versions(), type(net), _parameters(net), data, seed)
        cached = check_memory(memory).cache(_dense_stage, ignore=["compute"])
        packed = cached(key, compute)
    except (Uncacheable, OSError) as reason:
        if training:  # what the training itself could not read or write is the user's
            raise
        warn(
            f"The dense network is not kept in memory: {reason}. It is trained anew by every fit.",
            UncachedWarning,
            stacklevel=2,
        )
        if not trained:
            train()
        return False
    if not trained:
        _unpack(packed, net)
    return not trained


def _dense_stage(key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    return compute()


def _versions() -> list[str]:
    from skprune import __version__

    packages = [__version__, torch.__version__, skorch.__version__, sklearn.__version__]
    return [*packages, np.__version__, sys.version]


def _parameters(net: NeuralNet) -> dict[str, Any]:
    """List the constructor's parameters, and nothing that is there since the initialization."""
    return {
        name: value
        for name, value in sorted(vars(net).items())
        if not name.endswith("_") and name not in ("verbose", "_kwargs", "_params_to_validate")
    }


def _beside_tensors(net: NeuralNet) -> str:
    return fingerprint(
        [
            {
                name: value
                for name, value in vars(part).items()
                if name not in ("_parameters", "_buffers", "_modules", "training")
                and not name.endswith("_hooks")
            }
            for _, module in _trained_modules(net)
            for part in module.modules()
        ]
    )


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
    try:
        history = json.dumps(list(net.history_), default=float)
    except (TypeError, ValueError) as error:
        raise Uncacheable(f"the history has entries that are no numbers ({error})") from error
    arrays: dict[str, Any] = {
        name: tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        for name, tensor in _tensors(net).items()
        if tensor.numel()
    }
    file = io.BytesIO()
    arrays["//history"] = np.frombuffer(history.encode(), dtype=np.uint8)
    np.savez(file, allow_pickle=False, **arrays)
    return np.frombuffer(file.getvalue(), dtype=np.uint8)


def _unpack(packed: np.ndarray, net: NeuralNet) -> None:
    with np.load(io.BytesIO(packed.tobytes()), allow_pickle=False) as arrays, torch.no_grad():
        for name, tensor in _tensors(net).items():
            if tensor.numel():
                values = torch.from_numpy(arrays[name].copy()).view(tensor.dtype)
                tensor.copy_(values.view(tensor.shape))
        net.history_ = type(net.history_)(json.loads(bytes(arrays["//history"])))
