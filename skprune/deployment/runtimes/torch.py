"""torch itself: the compact module, for whatever no other runtime can do."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from skprune.deployment.runtimes.base import Runtime
from skprune.network.forward import first_output, run_module

__all__ = ["OnArrays", "TorchRuntime"]


class TorchRuntime(Runtime):
    """Runs the network's own module, on the CPU.

    How many threads compute is up to torch, for the whole process: ``torch.set_num_threads``.

    Parameters
    ----------
    module : Module
        The network.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skprune.deployment.runtimes.torch import TorchRuntime
    >>> TorchRuntime.of(torch.nn.Linear(3, 2)).outputs(np.zeros((4, 3), np.float32)).shape
    (4, 2)
    """

    name: ClassVar[str] = "torch"
    n_threads = None

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    @classmethod
    def of(cls, module: nn.Module) -> Self:
        """Take a copy of a module, which what happens to the module later does not change.

        Parameters
        ----------
        module : Module
            The network.

        Returns
        -------
        runtime : TorchRuntime
            It holds the copy, in evaluation mode.
        """
        return cls(deepcopy(module).cpu().eval().requires_grad_(False))

    def outputs(self, X: Any) -> np.ndarray:
        """Compute the outputs; see :class:`Runtime`."""
        inputs: Any = (
            {key: _as_tensor(rows) for key, rows in X.items()}
            if isinstance(X, Mapping)
            else _as_tensor(X)
        )
        with torch.no_grad():
            return first_output(run_module(self.module, inputs)).numpy()

    @property
    def n_bytes(self) -> int:
        """Size of parameters and buffers; see :class:`Runtime`."""
        return sum(part.nbytes for part in self.module.state_dict().values())


def _as_tensor(rows: np.ndarray) -> Tensor:
    # torch would warn of read-only memory, such as that of a memory-mapped file.
    rows = np.ascontiguousarray(rows)
    return torch.from_numpy(rows if rows.flags.writeable else rows.copy())


class OnArrays:
    """Applies a function of tensors to arrays.

    Parameters
    ----------
    function : callable
        Takes a tensor, and gives one.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def __call__(self, outputs: np.ndarray) -> np.ndarray:
        """Compute the function of an array."""
        return self.function(_as_tensor(outputs)).numpy()
