"""Train a net for some epochs as one stage of several."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from itertools import takewhile
from typing import Any

from scipy.sparse import issparse
from skorch import NeuralNet
from skorch.callbacks import InputShapeSetter, LoadInitState, ParamMapper
from skorch.hf import AccelerateMixin
from skorch.history import History
from torch import Tensor

from skprune._sklearn import InvalidParameterError
from skprune.network.divergence import check_finite_weights
from skprune.network.masking import Masking
from skprune.network.network import Network, all_tensors
from skprune.seeding import GeneratorStates
from skprune.strategies.hooks import TrainingHook, TrainingRun, taking_part
from skprune.strategies.learning import FitData
from skprune.strategies.stage import Stage
from skprune.training.history import CompactHistory
from skprune.training.learning import NetLearning
from skprune.training.loading import cuts_batches
from skprune.training.masking import masked_between
from skprune.training.nets import copy_net, detach_cached
from skprune.training.progress import EpochBar, EpochCallback
from skprune.training.rows import Rows
from skprune.training.staged_net import (
    extended_for_stage,
    with_soft_targets,
    with_weights,
)

__all__ = ["Interrupted", "StageTrainer"]

# The stage of epochs that a net was trained before it was given to an estimator, or without it.
OUTSIDE = "training outside the estimator"


# Callbacks that only the beginning of a training is for: they initialize or load what is then
# trained, or freeze and thaw it by the number of the epoch.
_BEGINNERS = (LoadInitState, ParamMapper)


class Interrupted(Exception):
    """Ctrl-C ended a stage. The net is as the last whole training step left it."""


class StageTrainer:
    """Trains a net stage after stage, on the same data, into one history.

    Parameters
    ----------
    net : NeuralNet
        An initialized net; it is trained in place.
    X, y : array, mapping of arrays, or Rows
        The data as skorch takes them, or inputs that are read row by row.
    sample_weight : ndarray of shape (n_samples,) or None
        The weights of the rows.
    data : FitData, default=None
        What the fit was given, for teachers to look at.
    randomness : GeneratorStates, default=None
        What the dense training draws from, to see its first epochs again.
    fresh : bool
        Whether the net's callbacks and optimizer can be used for the first stage as they are.
    trained : bool
        Whether the net has been trained before, so that no callback may initialize it.

    Attributes
    ----------
    network : Network or None
        The net's module under pruning, whose masks hold; None while it is dense.
    """

    def __init__(
        self,
        net: NeuralNet,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        data: FitData | None = None,
        randomness: GeneratorStates | None = None,
        fresh: bool,
        trained: bool,
    ) -> None:
        self.net = net
        if isinstance(X, Rows):
            X = X.dataset(net, y)
        elif issparse(X) and sample_weight is not None and not cuts_batches(net):
            X = net.get_dataset(X, y)  # which makes sparse rows dense, where they stand alone
        self.X = with_weights(X, sample_weight)
        self.y = y
        self.network: Network | None = None
        self.history = CompactHistory({"stage": OUTSIDE, **row} for row in net.history_ or [])
        self.bar = EpochBar()
        self.learning = NetLearning(net, self.X, self.y, data or FitData(X, None))
        self._randomness = randomness
        self._fresh = fresh
        self._trained = trained
        self._in_part = False
        self._initial: StageTrainer | None = None
        self._early_weights: dict[int, dict[str, Tensor]] = {}

    def train(self, stage: Stage, *, extra: bool = False) -> None:
        """Train the net for a stage.

        Parameters
        ----------
        stage : Stage
            For how long and how. A callback may stop it earlier.
        extra : bool, default=False
            Whether the progress bar does not know of its epochs.

        Raises
        ------
        Interrupted
            If Ctrl-C ended the training.
        DivergedError
            If a loss or a weight is not finite.
        ValueError
            If the net has got another module meanwhile.
        """
        if stage.rewind_to is not None:
            self._rewind(stage.rewind_to)
        net = self.net
        parameters = list(map(id, net.module_.parameters()))
        goes_on = self._fresh or self._is_next_part(stage)
        with self._learning_rate(stage.lr, goes_on=goes_on):
            # Schedulers of learning rates go on from the epochs that this optimizer has had.
            under_way = self._last_rows(stage.purpose) if goes_on else []
            net.history_ = History(under_way)
            callbacks = self._callbacks(stage)
            epoch = EpochCallback(stage.purpose, len(self.history) - len(under_way), self.bar)
            masking = None if self.network is None else Masking(self.network)
            net.callbacks_ = [("skprune_epoch", epoch), *masked_between(callbacks, masking)]
            self.bar.begin(stage.purpose, stage.epochs, extra=extra)
            try:
                interrupted = self._train(stage, masking)
            finally:
                net.callbacks_ = callbacks
                self.bar.end()
                self._append_history(stage.purpose, net.history_[len(under_way) :])
        self._fresh = False
        self._in_part = stage.part
        self._trained = True
        if parameters != list(map(id, net.module_.parameters())):
            raise ValueError(
                f"The net got other parameters while {stage.purpose}, so that what was pruned of "
                "them is lost. A callback that sets the arguments of the module does this, for "
                "example: set them before the fit."
            )
        net._set_training(False)
        detach_cached(net.module_)
        check_finite_weights(net.module_, stage.purpose)
        if not any(getattr(callback, "load_best", False) for _, callback in callbacks):
            epoch.warn_if_diverged()
        if interrupted:
            raise Interrupted(stage.purpose)

    def _is_next_part(self, stage: Stage) -> bool:
        return self._in_part and stage.part

    @contextmanager
    def _learning_rate(self, lr: float | None, *, goes_on: bool) -> Iterator[None]:
        """Have a stage's learning rate in place of the net's own, and what depends on it anew."""
        net = self.net
        rate = "optimizer__lr" if hasattr(net, "optimizer__lr") else "lr"
        own_lr = getattr(net, rate)
        try:
            if not goes_on or lr is not None:
                # What a new network or another learning rate makes stale is made anew.
                if net.callbacks != "disable":
                    net.initialize_callbacks()
                if lr is not None:
                    setattr(net, rate, lr)
                renew_optimizer(net)
            yield
        finally:
            setattr(net, rate, own_lr)

    def _callbacks(self, stage: Stage) -> list[tuple[str, Any]]:
        """Give those of the net's callbacks that this stage is for."""
        next_part = self._is_next_part(stage)
        return [
            (name, callback)
            for name, callback in self.net.callbacks_
            if not isinstance(callback, InputShapeSetter)
            and not (self._trained and isinstance(callback, _BEGINNERS) and not next_part)
        ]

    def _train(self, stage: Stage, masking: Masking | None) -> bool:
        """Train the net; say whether Ctrl-C ended it."""
        net, X = self.net, self.X
        if stage.loss_term is not None:
            X = with_soft_targets(X, stage.loss_term.rows)
        with ExitStack() as stack:
            hooks: list[TrainingHook] = []
            if stage.hooks:
                hooks = stack.enter_context(taking_part(self._run(stage.epochs), stage.hooks))
            # To callbacks all parts are one training, which has no end: the network gets smaller.
            silent = ["on_train_end"] if stage.part else []
            if self._is_next_part(stage):
                silent.append("on_train_begin")
            stack.enter_context(extended_for_stage(net, hooks, stage.loss_term, masking, silent))
            net.partial_fit(X, self.y, epochs=stage.epochs)
            return bool(net.interrupted_)

    def remember(self, epoch: int) -> None:
        """Keep what it takes to know the weights after an epoch of the dense training.

        Parameters
        ----------
        epoch : int
            The epoch; 0 for the initial weights.

        Raises
        ------
        InvalidParameterError
            If the net is trained already, or the dense training is shorter.
        """
        if epoch > self.net.max_epochs:
            raise InvalidParameterError(
                f"Rewind(epoch={epoch}) goes back to the end of an epoch of the dense training, "
                f"which has {self.net.max_epochs} (the net's max_epochs)."
            )
        if epoch in self._early_weights or (epoch and self._initial is not None):
            return
        if self._trained:
            raise InvalidParameterError(
                "Rewind goes back to early weights, and the estimator is a net with weights of its "
                "own, whose earlier ones are not known. Pass a net that is not fitted, or "
                "initialized, or use another recovery, such as 'fine_tune'."
            )
        if epoch == 0:
            self._early_weights[0] = _weights_of(self.net)
        else:
            self._initial = self.copy()

    def weights_after(self, epoch: int) -> dict[str, Tensor]:
        """Give the weights that there were after an epoch of the dense training.

        Parameters
        ----------
        epoch : int
            One that was to be remembered; 0 for the initial weights.

        Returns
        -------
        weights : dict of str to Tensor
            Parameters and buffers of the whole network, by name, on the CPU.

        Raises
        ------
        Interrupted
            If Ctrl-C ended the training of the first epochs, which are trained once more.
        """
        if epoch not in self._early_weights:
            assert self._initial is not None
            assert self._randomness is not None
            early = self._initial.copy()
            rebuild_optimizer(early.net)
            with self._randomness.resumed():
                early.train(Stage(epoch, f"training {epoch} epochs to rewind to"), extra=True)
            self._early_weights[epoch] = _weights_of(early.net)
        return self._early_weights[epoch]

    def _rewind(self, epoch: int) -> None:
        """Set what is left of the network to what it was after an epoch of the dense training."""
        assert self.network is not None
        self.network.restore(self.weights_after(epoch))

    def _run(self, epochs: int) -> TrainingRun:
        options = self.net.get_params_for("iterator_train")
        size = options.get("batch_size", self.net.batch_size)
        rest = 0 if options.get("drop_last", False) else size - 1
        per_epoch = max((len(self.learning.samples) + rest) // size, 1) if size > 0 else 1
        return TrainingRun(epochs * per_epoch, self.net.optimizer_)

    def copy(self) -> "StageTrainer":
        """Copy the net and its history; the data are shared."""
        other = copy(self)
        other.net = copy_net(self.net)
        other.history = other.net.history_ = CompactHistory(self.history)
        other.learning = self.learning.of(other.net)
        return other

    def resume(self) -> None:
        """Take over a history that the net was given: the next stage is a later one."""
        self.history = self.net.history_ = CompactHistory(self.net.history_)
        self._fresh = False
        self._trained = True

    def finish(self) -> None:
        """Leave the net, with the module it has now, ready to predict and to go on training."""
        self.net._set_training(False)
        renew_optimizer(self.net)
        if isinstance(self.net, AccelerateMixin) and self.net.unwrap_after_train:
            self.net._unwrap_accelerator()

    def _last_rows(self, stage: str) -> list[dict[str, Any]]:
        rows = takewhile(lambda row: row.get("stage") == stage, reversed(self.history))
        return list(rows)[::-1]

    def _append_history(self, stage: str, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            self.history.append({**row, "epoch": len(self.history) + 1, "stage": stage})
        self.net.history_ = self.history


def _weights_of(net: NeuralNet) -> dict[str, Tensor]:
    return {
        name: tensor.detach().cpu().clone() for name, tensor in all_tensors(net.module_).items()
    }


def renew_optimizer(net: NeuralNet) -> None:
    """Give a net an optimizer for the parameters that its module has now.

    Parameters
    ----------
    net : NeuralNet
        The net.
    """
    with net._current_init_context("optimizer"):
        net.initialize_optimizer()
    if isinstance(net, AccelerateMixin):
        net._unwrap_accelerator()
        net._initialize_accelerator()


def rebuild_optimizer(net: NeuralNet) -> None:
    """Make a copied net's optimizer anew, in the state that it has reached.

    torch copies and pickles no more of an optimizer than that state, which for some (LBFGS) is
    not all that they work with.

    Parameters
    ----------
    net : NeuralNet
        The net. Accelerated ones are left to the accelerator.
    """
    if isinstance(net, AccelerateMixin):
        return
    states = {name: getattr(net, f"{name}_").state_dict() for name in net._optimizers}
    renew_optimizer(net)
    for name, state in states.items():
        getattr(net, f"{name}_").load_state_dict(state)
