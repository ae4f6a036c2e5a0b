"""The dense stage of a fit, computed once for equal net, data and seed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from warnings import warn

from skorch import NeuralNet

from skprune.exceptions import UncachedWarning
from skprune.training.dense_entry import DamagedEntry, folder_of, read_entry, write_entry
from skprune.training.dense_key import beside_tensors, key_of
from skprune.training.dense_state import layout_of, put_back_state, take_state
from skprune.training.fingerprint import Uncacheable

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
    memory : str, os.PathLike or joblib.Memory
        Where trained states are kept: tensors and text, and no code.
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
    try:
        folder = folder_of(memory)
        key = key_of(net, data, seed) if folder is not None else ""
        restored = folder is not None and _restore(net, folder, key)
        before = None if folder is None or restored else _beside(net)
    except (Uncacheable, OSError) as reason:
        _warn_of(reason)
        train()
        return False
    if restored:
        return True
    train()
    if folder is None or before is None:
        return False
    try:
        after = _beside(net)
        changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        if changed:
            raise Uncacheable(f"training changes {changed[0]}")
        write_entry(folder, key, *take_state(net))
    except (Uncacheable, OSError) as reason:
        _warn_of(reason)
    return False


def _restore(net: NeuralNet, folder: Path, key: str) -> bool:
    try:
        found = read_entry(folder, key)
        if found is not None:
            put_back_state(net, *found)
    except (DamagedEntry, ValueError, KeyError, TypeError) as reason:
        if isinstance(reason, Uncacheable):
            raise
        warn(
            f"What is kept in memory of the dense network is damaged ({reason}). It is trained "
            "anew.",
            UncachedWarning,
            stacklevel=3,
        )
        return False
    return found is not None


def _beside(net: NeuralNet) -> dict[str, Any]:
    """Tell the state of a net that its tensors' values do not show."""
    layout = {f"tensor {name}": each for name, each in layout_of(net).items()}
    return {**beside_tensors(net), **layout}


def _warn_of(reason: Exception) -> None:
    warn(
        f"The dense network is not kept in memory: {reason}. It is trained anew by every fit.",
        UncachedWarning,
        stacklevel=3,
    )
