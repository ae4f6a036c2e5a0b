"""What a stage says of itself, epoch by epoch: its name, how far it is, and that it diverges."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any
from warnings import warn

from skorch import NeuralNet
from skorch.callbacks import Callback

from skprune.exceptions import DivergedError, DivergedWarning

__all__ = ["EpochBar", "EpochCallback", "epoch_bar", "progress_bar"]

# A loss that ends so many times as large as it began, and no smaller than this, has diverged. It
# is far from what losses do that rise for other reasons, such as a large step or a new batch.
_DIVERGED = 1e3


class EpochBar:
    """A progress bar over the epochs of all stages.

    Parameters
    ----------
    bar : tqdm or None
        The bar; None to show nothing.
    """

    def __init__(self, bar: Any = None) -> None:
        self._bar = bar
        self._left = 0

    @property
    def tell(self) -> Callable[[str], object] | None:
        """What shows a few words beside the bar; None if nothing is shown."""
        return None if self._bar is None else self._bar.set_postfix_str

    def begin(self, stage: str, epochs: int, *, extra: bool = False) -> None:
        """Name a stage, and say how long it is; an extra one is not among those of the total."""
        if self._bar is None:
            return
        self._left = epochs
        if extra:
            self._bar.total += epochs
        self._bar.set_postfix_str(stage)

    def advance(self, epochs: int = 1) -> None:
        """Count epochs that are done."""
        if self._bar is not None:
            self._left -= epochs
            self._bar.update(epochs)

    def end(self) -> None:
        """Take epochs that a stage was stopped before out of the total."""
        if self._bar is not None and self._left:
            self._bar.total -= self._left
            self._left = 0
            self._bar.refresh()


@contextmanager
def epoch_bar(name: str, epochs: int, *, shown: bool) -> Iterator[EpochBar]:
    """Show a progress bar over epochs.

    Parameters
    ----------
    name : str
        What is trained.
    epochs : int
        How many there are as far as is known.
    shown : bool
        Whether there is to be a bar at all.

    Yields
    ------
    bar : EpochBar
        The bar.
    """
    with progress_bar(name, epochs, "epoch", shown=shown) as bar:
        yield EpochBar(bar)


@contextmanager
def progress_bar(name: str, total: int, unit: str, *, shown: bool) -> Iterator[Any]:
    """Show a bar of tqdm, which stays as it is after an error; yield None if it is not to be."""
    if not shown:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=name, unit=unit) as bar:
        yield bar


class EpochCallback(Callback):
    """Names the stage and numbers the epoch in its row of the history; notices divergence.

    Parameters
    ----------
    stage : str
        What the training is called.
    n_before : int
        Number of epochs of earlier stages.
    bar : EpochBar
        Is told of each epoch.
    """

    def __init__(self, stage: str, n_before: int, bar: EpochBar) -> None:
        self.stage = stage
        self.n_before = n_before
        self.bar = bar
        self.first_loss_: float | None = None
        self.last_loss_: float | None = None

    def on_epoch_begin(
        self, net: NeuralNet, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Name and number the epoch."""
        net.history.record("epoch", self.n_before + len(net.history))
        net.history.record("stage", self.stage)

    def on_epoch_end(
        self, net: NeuralNet, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Raise an error if a loss of the epoch is not finite."""
        self.bar.advance()
        epoch = net.history[-1]
        losses = [batch["train_loss"] for batch in epoch["batches"] if "train_loss" in batch]
        for number, loss in enumerate(losses, start=1):
            if not isfinite(loss):
                raise DivergedError(
                    f"The network diverged while {self.stage}: the training loss became {loss} in "
                    f"epoch {epoch['epoch']}, batch {number}. Try a smaller learning rate, or "
                    "scale the data."
                )
        if losses:
            if self.first_loss_ is None:
                self.first_loss_ = losses[0]
            # A batch that is hard to learn is not a training that has diverged.
            self.last_loss_ = sorted(losses)[len(losses) // 2]

    def warn_if_diverged(self) -> None:
        """Warn if the loss ended far above where the stage began."""
        first, last = self.first_loss_, self.last_loss_
        if first is None or last is None or not last > _DIVERGED * max(abs(first), 1.0):
            return
        warn(
            f"The network diverged while {self.stage}: the training loss began at {first:.3g} and "
            f"ended at {last:.3g}. Try a smaller learning rate, or scale the data.",
            DivergedWarning,
            stacklevel=2,
        )
