"""What the pruned classifier and the pruned regressor share: fit, continue, report."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy, deepcopy
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self
from warnings import warn

import numpy as np
import torch
from joblib import Memory
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch import Tensor, nn

from skprune._sklearn import (
    Interval,
    InvalidParameterError,
    StrOptions,
    check_sample_weight,
    fit_context,
)
from skprune.components import NamesComponents, resolve
from skprune.estimators.inputs import as_dense, is_as_fitted, validate_inputs, with_targets
from skprune.estimators.run import N_PROBE_ROWS, Dense, PruningRun, found_again
from skprune.estimators.showing import ShownNet
from skprune.exceptions import InterruptedWarning
from skprune.metrics.report import PruningReport, measure
from skprune.network.chunks import NotFinite
from skprune.network.network import Network
from skprune.network.removals import Removals
from skprune.pruning.checks import check_epochs
from skprune.seeding import GeneratorStates, derive_seeds, given_back, seeded
from skprune.strategies.named import STRATEGIES
from skprune.strategies.strategy import Strategy
from skprune.strategies.target import BUDGETS, Target, target_for
from skprune.structures import STRUCTURES, Structure
from skprune.training.masked_net import own_class, with_masks, without_masks
from skprune.training.nets import (
    ModuleForward,
    as_input_dtype,
    check_net,
    copy_net,
    fill_in,
    initialize,
    is_fitted_net,
    rows_on_device,
    unwrapped,
    working_copy,
)
from skprune.training.progress import epoch_bar
from skprune.training.rows import Rows
from skprune.training.stage import Interrupted, StageTrainer, rebuild_optimizer
from skprune.training.teachers import FitData
from skprune.training.validation_set import encode_validation_set

__all__ = ["BasePruned"]

# What draws random numbers, each from a seed of its own.
_SEEDS = ("dense", "scores", "fine_tune", "partial_fit")


class BasePruned(NamesComponents, ABC):
    """Fits a skorch net, prunes it, and trains what is left."""

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {
        "strategy": STRATEGIES,
        "structure": STRUCTURES,
    }

    _parameter_constraints: ClassVar[dict] = {
        "estimator": "no_validation",
        "strategy": [str, Strategy],
        "sparsity": [Interval(Real, 0, 1, closed="left"), Target, None],
        "budget": [StrOptions(set(BUDGETS))],
        "structure": [str, Structure],
        "fine_tune_epochs": [Interval(Integral, 0, None, closed="left"), None],
        "protect": [None, list, tuple],
        "memory": [None, str, PathLike, Memory],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # What a subclass knows of its task.
    _nets: ClassVar[tuple[type[NeuralNet], ...]]
    _estimator_type_is_regressor: ClassVar[bool]

    net_: NeuralNet
    masks_: dict[str, np.ndarray]
    sparsity_: float
    report_: PruningReport
    removals_: Removals
    _masks: dict[str, Tensor]
    _feature_norms: np.ndarray | None
    _random_state: np.random.RandomState

    @abstractmethod
    def _default_net(self) -> NeuralNet:
        """Make the net for estimator=None."""

    @abstractmethod
    def _learn_target(self, y: np.ndarray, net: NeuralNet | None) -> Any:
        """Learn from y what fit has to know of it (classes); `net` is a fitted one."""

    @abstractmethod
    def _arguments(
        self, net: NeuralNet, target: Any, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> dict[str, Any]:
        """Give what the data determine of a module, by the name of its argument."""

    @abstractmethod
    def _encode_target(self, y: np.ndarray, target: Any, net: NeuralNet, outputs: Tensor) -> Any:
        """Give y as the net's loss takes it; `outputs` are those of a few rows."""

    def _encode_known(self, target: Any, net: NeuralNet, outputs: Tensor, y: np.ndarray) -> Any:
        """Encode targets of a validation set, having checked that fit has learned of all of them.

        Those that it has not are an error; there are none in a regression.
        """
        return self._encode_target(y, target, net, outputs)

    @abstractmethod
    def _row_weights(
        self, y: np.ndarray, target: Any, sample_weight: np.ndarray | None
    ) -> np.ndarray | None:
        """Combine the weights of the rows with those of their classes."""

    @abstractmethod
    def _store_target(self, target: Any) -> None:
        """Set the fitted attributes that come from y."""

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train the network, prune it, and train what is left.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as the net's module takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        UnreachableSparsityError
            If the target would empty a layer, or what has to stay costs more than it leaves; before
            any training.
        UntraceableError
            If units are asked for and the network's graph cannot be followed.
        DivergedError
            If a loss or a weight is not finite.
        """
        with as_it_was_on_error(self):
            self._fit(X, y, sample_weight)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> None:
        strategy = resolve(self.strategy, STRATEGIES, "strategy", Strategy).resolved()
        structure = resolve(self.structure, STRUCTURES, "structure", Structure).validated()
        at_init = strategy.start == "init"
        dense, target = self._prepare(X, y, sample_weight, classes, at_init=at_init)
        run = PruningRun(
            dense, strategy, structure, self.protect or (), only_named=self.sparsity is None
        )
        goal = run.target(target_for(self.sparsity, self.budget))
        epochs = run.epochs(self.fine_tune_epochs)
        check_epochs(strategy, goal, epochs)
        interrupted = None
        n_dense = 0 if at_init or dense.pretrained else dense.trainer.net.max_epochs
        name = type(self).__name__
        with epoch_bar(name, n_dense + epochs, shown=self.verbose > 0) as dense.trainer.bar:
            try:
                if not at_init:
                    dense.train(found_again(self.memory, self.random_state))
                run.prune(goal, epochs)
            except Interrupted as error:
                interrupted = error
        self._set_fitted(run, target)
        if interrupted is not None:
            wanted = "" if goal is None else f", where {goal} was asked for"
            warn(
                f"The fit was interrupted while {interrupted}: the sparsity is "
                f"{self.sparsity_:.6g}{wanted}.",
                InterruptedWarning,
                stacklevel=4,
            )

    def _prepare(
        self, X: Any, y: Any, sample_weight: Any, classes: Any = None, *, at_init: bool
    ) -> tuple[Dense, Any]:
        """Check the data, and make the network that they are for; say what was learned of y."""
        if self.estimator is not None:
            check_net(self.estimator, self._nets, type(self).__name__)
        X, y = with_targets(self, X, y)
        frame = X if hasattr(X, "columns") else None
        X, y = validate_inputs(self, X, y, reset=True, plain=self.estimator is None)
        if sample_weight is not None:
            sample_weight = _check_weights(sample_weight, X)
        seeds = derive_seeds(check_random_state(self.random_state), *_SEEDS)

        net, fitted = (None, False) if self.estimator is None else working_copy(self.estimator)
        target = self._learn_target(y if classes is None else classes, net if fitted else None)
        y = as_dense(y)
        if net is None:
            net = self._default_net()
        _require(
            not (fitted and net.history and at_init),
            "start='init' prunes a network before it is trained, and the estimator is already "
            "trained. Pass a net that is not fitted, or use start='trained'.",
        )
        weights = self._row_weights(y, target, sample_weight)
        given = FitData(X if frame is None else frame, getattr(target, "classes", None))
        with seeded(seeds["dense"], net.device):
            if not fitted:
                fill_in(net, self._arguments_for(net, target, X, y, weights))
                initialize(net, X, y)
            randomness = GeneratorStates(net.device)
            X = as_input_dtype(X, net.module_)
            forward = ModuleForward(net)
            probe = rows_on_device(net, X, N_PROBE_ROWS)
            outputs = _try_out(forward, net.module_, probe)
            encoded = self._encode_target(y, target, net, outputs)
            encode_validation_set(net, partial(self._encode_known, target, net, outputs))
            network = Network(net.module_, probe, forward)
            sizes = measure(net.module_, probe, forward)
        trainer = StageTrainer(
            net,
            X,
            encoded,
            weights,
            given=given,
            randomness=randomness,
            fresh=not fitted and not at_init,
            trained=fitted,
        )
        return Dense(trainer, network, sizes, X, seeds, randomness, fitted), target

    def _set_fitted(self, run: PruningRun, target: Any) -> None:
        """Set the fitted attributes to what a run has come to."""
        for name, value in run.fitted().items():
            setattr(self, name, value)
        self._store_target(target)
        self._random_state = np.random.RandomState(run.dense.seeds["partial_fit"])

    def _arguments_for(
        self, net: NeuralNet, target: Any, X: Any, y: np.ndarray, weights: np.ndarray | None
    ) -> dict[str, Any]:
        arguments = self._arguments(net, target, y, weights)
        if isinstance(X, Rows):
            dtype, n_features = getattr(X.first, "dtype", None), vars(self).get("n_features_in_")
        elif isinstance(X, Mapping):
            dtype = n_features = None
        else:
            dtype, n_features = X.dtype, X.shape[1] if X.ndim == 2 else None
        arguments["dtype"] = torch.float32 if dtype == np.float32 else torch.float64
        if n_features is not None:
            arguments["n_features"] = n_features
        return arguments

    def _continue(self, X: Any, y: Any, sample_weight: Any) -> None:
        X, y = with_targets(self, X, y, reset=False)
        if y is None:
            raise ValueError("partial_fit requires y to be passed, but the target y is None.")
        X, y = validate_inputs(self, X, y, reset=False, plain=self.estimator is None)
        y = as_dense(y)
        target = self._known_target(y)
        if sample_weight is not None:
            sample_weight = _check_weights(sample_weight, X)
        # What fails leaves no trace: all that changes are copies until the end.
        net, random_state = without_masks(copy_net(self.net_)), deepcopy(self._random_state)
        seed = derive_seeds(random_state, "partial_fit")["partial_fit"]
        with given_back(), seeded(seed, net.device):
            rebuild_optimizer(net)
            X = as_input_dtype(X, net.module_)
            forward = ModuleForward(net)
            probe = rows_on_device(net, X, 1)
            outputs = _try_out(forward, net.module_, probe)
            trainer = StageTrainer(
                net,
                X,
                self._encode_target(y, target, net, outputs),
                self._row_weights(y, target, sample_weight),
                fresh=True,
                trained=True,
            )
            trainer.network = Network(net.module_, probe, forward)
            trainer.network.masks = self._masks
            try:
                trainer.train(1, stage="continuing")
            except Interrupted:
                warn("partial_fit was interrupted.", InterruptedWarning, stacklevel=3)
        self.net_, self._random_state = with_masks(net, self._masks), random_state

    @abstractmethod
    def _known_target(self, y: np.ndarray) -> Any:
        """Give what fit learned of y, having checked that this y agrees with it."""

    @property
    def module_(self) -> nn.Module:
        """The pruned network."""
        return self._fitted_net("module_").module_

    @property
    def history_(self) -> Any:
        """The epochs of all stages; each row says to which ``stage`` it belongs.

        It is skorch's history, numbered over the stages, with the batches of each epoch; a pickle
        holds it column by column.

        The stages are ``"training the dense network"``, ``"fine-tuning"`` (all that follows it:
        before, between and after the steps of pruning), ``"continuing"`` (``partial_fit``), and
        ``"training outside the estimator"`` for epochs of a net that came fitted.
        """
        return self._fitted_net("history_").history_

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much each input feature matters, with ``structure="feature"`` alone.

        The norm, at the end of the fit, of the weights of the first layers that read the feature,
        over the sum of these norms: 0 for a feature that is gone. Norms compare features of one
        scale, so standardize X.
        """
        self._fitted_net("feature_importances_")
        norms = self._feature_norms
        if norms is None or len(norms) != getattr(self, "n_features_in_", None):
            raise AttributeError(
                f"{type(self).__name__!r} has no 'feature_importances_': it is for "
                f"structure='feature' where the features are the columns of X; structure is "
                f"{self.structure!r}."
            )
        return norms / norms.sum() if norms.any() else norms.copy()

    def _fitted_net(self, attribute: str) -> NeuralNet:
        if "net_" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__!r} has no {attribute!r} before it is fitted"
            )
        return self.net_

    def _predicted(self, X: Any, predict: Callable[..., np.ndarray]) -> np.ndarray:
        """Check the inputs of a prediction, and make it: ``predict(X, check_finite=...)``."""
        if "net_" not in vars(self):
            check_is_fitted(self)
        if is_as_fitted(self, X):
            try:
                return predict(as_input_dtype(X, self.net_.module_), check_finite=True)
            except NotFinite:  # scikit-learn's own check says where, or that all is well
                pass
        X = validate_inputs(self, X, None, reset=False, plain=self.estimator is None)[0]
        return predict(as_input_dtype(X, self.net_.module_), check_finite=False)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        shown = copy(self)
        if isinstance(unwrapped(self.estimator), self._nets):
            shown.estimator = ShownNet(self.estimator, self._default_net)
        # scikit-learn lays out what has its own __repr__ and leaves others as they are.
        plain = {"__repr__": BaseEstimator.__repr__}
        shown.__class__ = type(type(self).__name__, (type(self),), plain)
        return BaseEstimator.__repr__(shown, N_CHAR_MAX)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        plain = {
            name: _PlainNet(state[name])
            for name in ("net_", "estimator")
            if is_fitted_net(state.get(name))
            and torch.device(state[name].device or "cpu").type == "cpu"
        }
        return {**state, **plain}

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can do."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __copy__(self) -> Self:
        result = object.__new__(type(self))
        result.__dict__.update(vars(self))
        return result


class _PlainNet:
    """Pickles a net with the pickler at hand.

    skorch pickles modules apart, by reference, to move them between devices as they are loaded.
    That fails for a module that was defined in ``__main__`` and comes back from a worker process.
    """

    def __init__(self, net: NeuralNet) -> None:
        self.net = net

    def __reduce__(self) -> tuple[Any, ...]:
        attributes = {name: v for name, v in vars(self.net).items() if name != "masking__"}
        return _restore_net, (own_class(self.net), attributes)


def _restore_net(cls: type, attributes: dict[str, Any]) -> NeuralNet:
    net: NeuralNet = object.__new__(cls)
    vars(net).update(attributes)
    return with_masks(net, attributes.get("masks_", {}))


@contextmanager
def as_it_was_on_error(estimator: Any) -> Iterator[None]:
    before = dict(vars(estimator))
    try:
        with given_back():
            yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def _check_weights(sample_weight: Any, X: Any) -> np.ndarray:
    rows = next(iter(X.values())) if isinstance(X, Mapping) else X
    weights = check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
    # pandas hands out memory that may not be written to, of which torch warns.
    return weights if weights.flags.writeable else weights.copy()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidParameterError(message)


def _try_out(forward: Callable[[nn.Module, Any], Any], module: nn.Module, inputs: Any) -> Tensor:
    """Run the network once, which also gives lazy layers their sizes."""
    module.eval()
    with torch.no_grad():
        outputs = forward(module, inputs)
    return outputs[0] if isinstance(outputs, tuple) else outputs
