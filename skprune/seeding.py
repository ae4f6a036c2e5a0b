"""Randomness that is reproducible and leaves the global generators alone."""

import os
import random
import threading
from contextlib import suppress
from typing import Self

import numpy as np
import torch

__all__ = ["GeneratorStates", "derive_seeds", "given_back", "preserve_rng", "seeded"]


class GeneratorStates:
    """The states that the global generators have now, to go on from later.

    Parameters
    ----------
    device : str or torch.device, default=None
        The device whose generator counts beside the CPU's.
    """

    def __init__(self, device: str | torch.device | None = None) -> None:
        self._device = device
        self.take()

    def take(self) -> None:
        """Take the states that the generators have now."""
        self._python, self._numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        self._torch = torch.get_rng_state()
        self._cuda = None
        if self._device is not None and torch.device(self._device).type == "cuda":
            self._cuda = torch.cuda.get_rng_state(self._device)

    def set(self) -> None:
        """Set the generators to these states."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_rng_state(self._torch)
        if self._cuda is not None and self._device is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)

    def resumed(self, *, onward: bool = False) -> "preserve_rng":
        """Go on from these states, and put the generators back afterwards.

        Parameters
        ----------
        onward : bool, default=False
            Whether to go on the next time from where this one ends.
        """
        return _Resumed(self, onward)


class _Borrowed(threading.local):
    """What a thread has borrowed: states to put back, those of the outermost borrower first."""

    def __init__(self) -> None:
        self.states: list[GeneratorStates] = []


# The generators that networks, samplers and dropout draw from are global to the process, threads
# included: one at a time may borrow them. Only the thread that holds the lock has borrowed any.
_LOCK = threading.RLock()
_BORROWED = _Borrowed()
# What the process had before it was lent, for a child that is forked meanwhile.
_OWN: list[GeneratorStates] = []


class given_back:
    """Have what is borrowed inside given back in any case.

    An exception that a signal or a lack of memory raises can come in the very moment in which a
    borrower begins or ends, so that it does not end. What begins a fit makes up for that.
    """

    def __enter__(self) -> Self:
        self._depth = len(_BORROWED.states)
        return self

    def __exit__(self, *error: object) -> None:
        _give_back(self._depth)


class preserve_rng(given_back):
    """Put the global generators of torch, numpy and Python back, whatever is drawn from them.

    Other threads wait until then. An iterator must not be inside when it yields: nobody knows
    whether it is ever resumed.

    Parameters
    ----------
    device : str or torch.device, default=None
        The device whose generator is put back beside the CPU's.
    """

    def __init__(self, device: str | torch.device | None = None) -> None:
        self._device = device

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            if self._depth == 0:
                _LOCK.acquire()
            _BORROWED.states.append(GeneratorStates(self._device))
            if self._depth == 0:
                _OWN[:] = _BORROWED.states
            self._begin()
        except BaseException:
            _give_back(self._depth)
            raise
        return self

    def _begin(self) -> None:
        """Set the generators to what is wanted inside."""


class seeded(preserve_rng):
    """Seed the global generators of torch, numpy and Python, and put them back afterwards.

    Parameters
    ----------
    seed : int
        The seed.
    device : str or torch.device, default=None
        The device whose generator is seeded beside the CPU's.
    """

    def __init__(self, seed: int, device: str | torch.device | None = None) -> None:
        super().__init__(device)
        self._seed = seed

    def _begin(self) -> None:
        torch.manual_seed(self._seed)
        random.seed(self._seed)
        np.random.seed(self._seed % 2**32)  # noqa: NPY002


class _Resumed(preserve_rng):
    def __init__(self, states: GeneratorStates, onward: bool) -> None:
        super().__init__(states._device)
        self._states, self._onward = states, onward

    def _begin(self) -> None:
        self._states.set()

    def __exit__(self, *error: object) -> None:
        try:
            if self._onward:
                self._states.take()
        finally:
            super().__exit__(*error)


def _give_back(depth: int) -> None:
    """Put back what this thread has borrowed since it had borrowed so often."""
    borrowed = _BORROWED.states
    if len(borrowed) > depth:
        borrowed[depth].set()
        if depth == 0:
            _OWN.clear()
        del borrowed[depth:]
    if depth == 0:
        with suppress(RuntimeError):  # until this thread does not hold it
            while True:
                _LOCK.release()


def _after_fork() -> None:
    """Free the lock in a child, where the thread that held it does not go on."""
    global _LOCK
    _LOCK = threading.RLock()
    if _BORROWED.states:  # the thread that forked has them, and goes on here
        _LOCK.acquire()
    elif _OWN:
        fresh = random.getstate()  # Python seeds its own generator anew in a child
        _OWN[0].set()
        random.setstate(fresh)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


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
