"""Networks are made of what a file says only where they take no more than they may."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from skprune.exceptions import InvalidFileError
from skprune.network.forward import run_module
from skprune.seeding import preserve_rng

__all__ = ["build", "made"]

# A layer of torch's takes a few operations to make.
_OPERATIONS = 10_000
_OPERATIONS_PER_TENSOR = 100


def build(
    make: Callable[[], nn.Module], example: Any, n_tensors: int, max_bytes: int, *, known: bool
) -> nn.Module:
    """Make a network; first one without memory for its weights, which shows how large it is.

    Parameters
    ----------
    make : callable
        Makes it.
    example : Tensor, mapping of str to Tensor, or None
        Rows of input, which give lazy layers their sizes.
    n_tensors : int
        How many tensors it should have, about.
    max_bytes : int
        How many bytes its tensors may take.
    known : bool
        Whether it is of a class of torch's or skprune's. What the caller's own class does without
        memory for the weights may fail, and is then not looked at.

    Returns
    -------
    module : nn.Module
        The network, in evaluation mode. The global generators are as they were.

    Raises
    ------
    InvalidFileError
        If it takes more than it may.
    """
    with preserve_rng():
        try:
            with _Counted(_OPERATIONS + _OPERATIONS_PER_TENSOR * n_tensors), torch.device("meta"):
                module = _materialized(make(), _on_meta(example))
            n_bytes = sum(tensor.numel() * tensor.itemsize for tensor in _tensors(module))
        except InvalidFileError:
            raise
        except Exception:
            if known:
                raise
            n_bytes = 0
        if n_bytes > max_bytes:
            raise InvalidFileError(
                f"The network takes {n_bytes:,} bytes before it is pruned, and at most "
                f"{max_bytes:,} are allowed. If you trust the file, pass a larger max_bytes."
            )
    return made(make, example)


def made(make: Callable[[], nn.Module], example: Any) -> nn.Module:
    """Make a network, in evaluation mode, with all of its layers' sizes known.

    Parameters
    ----------
    make : callable
        Makes it.
    example : Tensor, mapping of str to Tensor, or None
        Rows of input.

    Returns
    -------
    module : nn.Module
        The network. The global generators are as they were.
    """
    with preserve_rng():
        return _materialized(make(), example)


class _Counted(TorchDispatchMode):
    """Ends what goes on and on."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._left -= 1
        if self._left < 0:
            raise InvalidFileError(
                "The file is damaged: its network has many more layers than it has weights for."
            )
        return func(*args, **(kwargs or {}))


def _materialized(module: nn.Module, example: Any) -> nn.Module:
    """Give lazy layers their sizes, as a first run does."""
    module = module.eval()
    if any(is_lazy(tensor) for tensor in _tensors(module)):
        with torch.no_grad():
            run_module(module, example)
    return module


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _on_meta(example: Any) -> Any:
    if isinstance(example, Tensor):
        return example.to("meta")
    if isinstance(example, dict):
        return {key: _on_meta(part) for key, part in example.items()}
    return example
