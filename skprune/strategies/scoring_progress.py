"""Showing how far the scoring of a step has come."""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from skprune.strategies.samples import Samples

__all__ = ["TrackedSamples"]

# Seconds that have to pass before something is shown, and between one time and the next.
_INTERVAL = 0.5


class TrackedSamples:
    """Rows that tell how many of them an importance has been given.

    Parameters
    ----------
    samples : Samples
        The rows.
    show : callable
        Is given a short text, at most twice a second.
    """

    def __init__(self, samples: Samples, show: Callable[[str], object]) -> None:
        self._samples, self._show = samples, show
        self._shown_at = monotonic()

    def __len__(self) -> int:
        return len(self._samples)

    def batches(
        self, n_rows: int | None = None, generator: torch.Generator | None = None
    ) -> Iterator[Any]:
        """Go through some rows, and show how many are done."""
        total = len(self) if n_rows is None else min(n_rows, len(self))
        done = 0
        for batch in self._samples.batches(n_rows, generator):
            yield batch
            done += len(batch.targets)
            if monotonic() - self._shown_at > _INTERVAL:
                self._show(f"scoring, {done} of {total} rows")
                self._shown_at = monotonic()

    def outputs(self, module: nn.Module, inputs: Any) -> Tensor:
        """Compute the outputs of a module."""
        return self._samples.outputs(module, inputs)

    def losses(self, module: nn.Module, batch: Any) -> Tensor:
        """Compute the loss of each row of a batch."""
        return self._samples.losses(module, batch)

    def loss(self, module: nn.Module, batch: Any) -> Tensor:
        """Compute the mean loss of a batch."""
        return self._samples.loss(module, batch)
