"""Randomness that is reproducible and leaves the global generators alone."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import numpy as np
import torch

__all__ = ["GeneratorStates", "derive_seeds", "put_back", "seeded"]

# The generators that networks, samplers and dropout draw from are global to the process, threads
# included: one at a time may borrow them.
_LOCK = RLock()


@contextmanager
def put_back(device: str | torch.device | None = None) -> Iterator[None]:
    """Put the global generators of torch, numpy and Python back, whatever is drawn from them.

    Parameters
    ----------
    device : str or torch.device, default=None
        The device whose generator is put back beside the CPU's.
    """
    kind = torch.device(device or "cpu")
    devices = [kind] if kind.type == "cuda" else []
    with _LOCK, torch.random.fork_rng(devices=devices):
        python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


@contextmanager
def seeded(seed: int, device: str | torch.device | None = None) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python, and put them back afterwards.

    Parameters
    ----------
    seed : int
        The seed.
    device : str or torch.device, default=None
        The device whose generator is seeded beside the CPU's.
    """
    with put_back(device):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        yield


class GeneratorStates:
    """The states that the global generators have now, to go on from later.

    Parameters
    ----------
    device : str or torch.device, default=None
        The device whose generator counts beside the CPU's.
    """

    def __init__(self, device: str | torch.device | None = None) -> None:
        self._device = device
        self._python, self._numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        self._torch = torch.get_rng_state()
        self._cuda = None
        if device is not None and torch.device(device).type == "cuda":
            self._cuda = torch.cuda.get_rng_state(device)

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Go on from these states, and put the generators back afterwards."""
        with put_back(self._device):
            random.setstate(self._python)
            np.random.set_state(self._numpy)  # noqa: NPY002
            torch.set_rng_state(self._torch)
            if self._cuda is not None and self._device is not None:
                torch.cuda.set_rng_state(self._cuda, self._device)
            yield


def derive_seeds(random_state: np.random.RandomState, *names: str) -> dict[str, int]:
    """Draw a seed for each of several independent uses.

    Parameters
    ----------
    random_state : RandomState
        Where they are drawn from: one number, whatever the uses.
    *names : str
        What the seeds are for.

    Returns
    -------
    seeds : dict of str to int
        By name.
    """
    with _LOCK:  # it may be the global generator, which another thread has borrowed
        number = int(random_state.randint(np.iinfo(np.int32).max))
    root = np.random.SeedSequence(number)
    return {
        name: int(child.generate_state(1)[0])
        for name, child in zip(names, root.spawn(len(names)), strict=True)
    }
