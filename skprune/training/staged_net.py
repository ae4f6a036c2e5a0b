"""What a net can do in addition while skprune trains it: row weights, hooks, loading, Ctrl-C."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dis import opname
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.dataset import unpack_data
from skorch.utils import to_tensor
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from skprune.network.losses import unreduced
from skprune.network.masking import Masking
from skprune.strategies.hooks import TrainingHook
from skprune.strategies.stage import LossTerm
from skprune.training.loading import batch_loader
from skprune.training.masked_net import MasksHold, own_class
from skprune.training.rows import WeightedRows

__all__ = ["extended_for_stage", "split_weights", "with_soft_targets", "with_weights"]

# Under these keys the rows' weights and soft targets, and an X that is no mapping itself, travel
# in X.
_WEIGHT = "sample_weight__"
_SOFT = "soft_targets__"
_X = "X__"

# Criteria whose mean over a batch is relative to the weights that they give to its classes.
_OF_CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss)


def with_weights(X: Any, sample_weight: Any) -> Any:
    """Put the weights of the rows into what skorch takes as X.

    Parameters
    ----------
    X : array, mapping of str to array, or Dataset
        The inputs.
    sample_weight : ndarray of shape (n_samples,) or None
        The weights; X is passed through if None.

    Returns
    -------
    X : array, mapping or Dataset
        For a net inside :func:`extended_for_stage`.
    """
    if isinstance(X, Dataset):
        return X if sample_weight is None else WeightedRows(X, sample_weight)
    return _with_column(X, _WEIGHT, sample_weight)


def with_soft_targets(X: Any, soft: Any) -> Any:
    """Put what a teacher says of the rows into what skorch takes as X; see :func:`with_weights`."""
    return _with_column(X, _SOFT, soft)


def _with_column(X: Any, key: str, column: Any) -> Any:
    if column is None:
        return X
    return {**(X if isinstance(X, Mapping) else {_X: X}), key: column}


def split_weights(X: Any) -> tuple[Any, Any]:
    """Take X and the weights of its rows apart again; see :func:`with_weights`."""
    return _split_column(X, _WEIGHT)


def _split_column(X: Any, key: str) -> tuple[Any, Any]:
    if not isinstance(X, Mapping) or key not in X:
        return X, None
    rest = {other: value for other, value in X.items() if other != key}
    return (rest[_X] if rest.keys() == {_X} else rest), X[key]


class _CollateWithWeights:
    """Collates pairs as a loader would, and puts the weights of :class:`WeightedRows` beside."""

    def __init__(self, collate: Any) -> None:
        self.collate = collate

    def __call__(self, batch: Any) -> Any:
        rows, weights = zip(*batch, strict=True)
        X, y = unpack_data(self.collate(list(rows)))
        return with_weights(X, torch.from_numpy(np.array(weights))), y


def _with_weights_collated(loader: Any, dataset: Any) -> Any:
    while type(dataset) is Subset:
        dataset = dataset.dataset
    if isinstance(dataset, WeightedRows):
        if not isinstance(loader, DataLoader):
            raise ValueError(
                f"The net loads its rows by a {type(loader).__name__}, which has no place for "
                "sample_weight and class_weight. Use a torch DataLoader, or no weights."
            )
        loader.collate_fn = _CollateWithWeights(loader.collate_fn)
    return loader


_OF_STAGE = ("interrupted_", "hooks_", "loss_term_", "masking_", "masked_last_", "silent_")


class _StagedNet(MasksHold):
    """Goes before the net's own class for the length of a stage."""

    interrupted_ = False
    hooks_: Sequence[TrainingHook] = ()
    loss_term_: LossTerm | None = None
    masked_last_: Masking | None = None
    silent_: Collection[str] = ()

    def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
        for hook in self.hooks_:
            hook.before_forward()
        step = super().train_step_single(batch, **fit_params)
        for hook in self.hooks_:
            hook.after_backward()
        return step

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        step = super().train_step(batch, **fit_params)
        for hook in self.hooks_:
            hook.after_step()
        if self.masked_last_ is not None:
            self.masked_last_.mask()
        return step

    def notify(self, method_name: str, **kwargs: Any) -> None:
        if method_name in self.silent_:
            return
        if method_name in ("on_train_begin", "on_train_end"):
            # Callbacks look at the inputs, and not at what travels with them.
            kwargs["X"] = split_weights(_split_column(kwargs["X"], _SOFT)[0])[0]
        super().notify(method_name, **kwargs)  # type: ignore[misc]

    def set_params(self, **params: Any) -> Any:
        # skorch initializes a module anew even if its arguments stay what they are.
        changed = {
            key: value
            for key, value in params.items()
            if not (key.startswith("module__") and _is_set(self, key, value))
        }
        return super().set_params(**changed) if changed else self  # type: ignore[misc]

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        loader = None
        if own_class(self).get_iterator is NeuralNet.get_iterator:
            loader = batch_loader(self, dataset, training)
        loader = loader or super().get_iterator(dataset, training=training)  # type: ignore[misc]
        return _with_weights_collated(loader, dataset)

    def _set_training(self, training: bool = True) -> None:
        # torch sets the mode of each part anew, which takes longer than to see that it is set.
        modules = (getattr(self, f"{name}_") for name in (*self._modules, *self._criteria))  # type: ignore[attr-defined]
        if any(
            part.training is not training
            for module in modules
            if isinstance(module, nn.Module)
            for part in module.modules()
        ):
            super()._set_training(training)  # type: ignore[misc]

    def infer(self, x: Any, **fit_params: Any) -> Any:
        x = split_weights(_split_column(x, _SOFT)[0])[0]
        return super().infer(x, **fit_params)  # type: ignore[misc]

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        X, soft = _split_column(X, _SOFT)
        X, weight = split_weights(X)
        own_loss = partial(self._own_loss, y_pred, X=X, weight=weight, training=training)
        if self.loss_term_ is None or not training:
            return own_loss(y_true)
        if soft is None and X is None:
            raise ValueError(
                f"{type(self).__name__} calls get_loss without X, so that the teacher of "
                "Distill has no rows to look at. Pass X=X to get_loss."
            )
        return self.loss_term_.loss(own_loss, y_pred, y_true, X, soft, weight)

    def _own_loss(self, y_pred: Any, y_true: Any, X: Any, weight: Any, training: bool) -> Tensor:
        loss = super().get_loss  # type: ignore[misc]
        if weight is None:
            return loss(y_pred, y_true, X=X, training=training)
        criterion = self.criterion_  # type: ignore[attr-defined]
        with unreduced(criterion) as reduction:
            losses = loss(y_pred, y_true, X=X, training=training)
        if losses.dim() == 0 or len(losses) != len(weight):
            raise ValueError(
                f"{type(criterion).__name__} gives no loss per row (its shape is "
                f"{tuple(losses.shape)} for {len(weight)} rows), so that sample_weight and "
                "class_weight cannot be used with it."
            )
        weight = to_tensor(weight, device=losses.device).to(losses.dtype)
        losses = losses.reshape(len(losses), -1)
        if reduction == "sum":
            return (losses.sum(1) * weight).sum()
        total = weight
        if isinstance(criterion, _OF_CLASSES) and criterion.weight is not None:
            total = weight * criterion.weight[to_tensor(y_true, device=losses.device)]
        # A batch may hold no weight at all; it then teaches nothing.
        total = total.sum().clamp(min=torch.finfo(losses.dtype).tiny)
        return (losses.mean(1) * weight).sum() / total

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **fit_params: Any) -> Any:
        try:
            return super().fit_loop(X, y, epochs=epochs, **fit_params)
        except KeyboardInterrupt as error:
            self.interrupted_ = not _asked_by_callback(error.__traceback__)
            raise

    def load_params(self, *args: Any, checkpoint: Any = None, **kwargs: Any) -> Any:
        # A checkpoint that this stage did not write is of a network with more in it.
        if getattr(checkpoint, "event_name", None) and self.history_:  # type: ignore[attr-defined]
            history = self.history_  # type: ignore[attr-defined]
            if not any(row.get(checkpoint.event_name) for row in history):
                return
        super().load_params(*args, checkpoint=checkpoint, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle and copy as the net's own class: a callback may do so in mid-stage."""
        state: Any = self.__getstate__()
        state = {key: value for key, value in state.items() if key not in _OF_STAGE}
        return _blank, (own_class(self),), state


def _blank(cls: type[NeuralNet]) -> NeuralNet:
    return object.__new__(cls)


def _is_set(net: Any, name: str, value: Any) -> bool:
    try:
        return hasattr(net, name) and bool(getattr(net, name) == value)
    except Exception:  # arrays, and whatever else cannot be compared at once
        return False


@contextmanager
def extended_for_stage(
    net: NeuralNet,
    hooks: Sequence[TrainingHook] = (),
    loss_term: LossTerm | None = None,
    masking: Masking | None = None,
    silent: Collection[str] = (),
) -> Iterator[NeuralNet]:
    """Let a net train as part of a stage.

    Inside, it takes the weights of rows that :func:`with_weights` put into X, learns from a
    teacher, loads arrays by the batch, has hooks take part in its steps, and notes in
    ``interrupted_`` if it was Ctrl-C that ended the training, and not a callback such as early
    stopping.

    Parameters
    ----------
    net : NeuralNet
        The net; outside it has its own class, before and after.
    hooks : sequence of TrainingHook, default=()
        What takes part in the training steps.
    loss_term : LossTerm, default=None
        What makes another loss of the net's own for the training rows.
    masking : Masking, default=None
        What keeps masked weights at zero.
    silent : collection of str, default=()
        What callbacks are not told of: the methods that would be called.

    Yields
    ------
    net : NeuralNet
        The same net.
    """
    cls = type(net)
    net.__class__ = type(cls.__name__, (_StagedNet, cls), {"__module__": cls.__module__})
    net.hooks_, net.loss_term_, net.silent_ = hooks, loss_term, silent
    # A hook that uncovers masked weights has to see what a step made of them.
    net.masking_ = None if any(hook.uncovers for hook in hooks) else masking
    net.masked_last_ = masking if hooks else None
    try:
        yield net
    finally:
        net.__class__ = cls
        for name in _OF_STAGE:
            vars(net).pop(name, None)


def _asked_by_callback(traceback: TracebackType | None) -> bool:
    """Whether a callback or a net raised a KeyboardInterrupt, which is how skorch stops early."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return False
    frame = traceback.tb_frame
    instruction = opname[frame.f_code.co_code[traceback.tb_lasti]]
    raiser = frame.f_locals.get("self")
    return instruction.startswith("RAISE") and isinstance(raiser, (Callback, NeuralNet))
