"""What the pruned classifier and the pruned regressor share: fit, continue, report."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from numbers import Real
from typing import Any, ClassVar, Self
from warnings import warn

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch import Tensor, nn

from skprune._sklearn import (
    Interval,
    InvalidParameterError,
    check_sample_weight,
    fit_context,
)
from skprune.components import resolve
from skprune.estimators.inputs import (
    arguments_of_inputs,
    as_dense,
    as_rows,
    example_of,
    spec_of_inputs,
    validate_inputs,
    with_targets,
)
from skprune.estimators.run import Dense, NetRun, found_again
from skprune.estimators.saved import check_complete, from_saved, to_saved
from skprune.estimators.targets import TaskTarget
from skprune.estimators.wrapping import WrapsNet
from skprune.exceptions import InterruptedWarning
from skprune.metrics.report import PruningReport, measure
from skprune.network.dtypes import as_input_dtype
from skprune.network.network import Network
from skprune.network.removals import Removals
from skprune.pruning.checks import check_epochs
from skprune.pruning.inputs import InputSpec
from skprune.pruning.outputs import unchanged
from skprune.pruning.predictor import Predictor
from skprune.pruning.run import N_PROBE_ROWS, SEEDS
from skprune.seeding import GeneratorStates, derive_seeds, given_back, seeded
from skprune.strategies.learning import FitData
from skprune.strategies.named import STRATEGIES
from skprune.strategies.stage import Stage
from skprune.strategies.strategy import Strategy
from skprune.strategies.target import Target, target_for
from skprune.structures import STRUCTURES, FeatureRecord, Structure
from skprune.training.inference import net_outputs, own_prediction, own_way_to_predict
from skprune.training.masked_net import with_masks, without_masks
from skprune.training.net_record import recipe_of
from skprune.training.nets import (
    ModuleForward,
    check_net,
    copy_net,
    fill_in,
    initialize,
    rows_on_device,
    working_copy,
)
from skprune.training.progress import epoch_bar
from skprune.training.rows import Rows
from skprune.training.stage import Interrupted, StageTrainer, rebuild_optimizer
from skprune.training.validation_set import encode_validation_set

__all__ = ["BasePruned"]


class BasePruned(WrapsNet, ABC):
    """Fits a skorch net, prunes it, and trains what is left."""

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {"strategy": STRATEGIES, **WrapsNet.axes}

    _parameter_constraints: ClassVar[dict] = {
        **WrapsNet._parameter_constraints,
        "strategy": [str, Strategy],
        "sparsity": [Interval(Real, 0, 1, closed="left"), Target, None],
    }

    net_: NeuralNet
    masks_: dict[str, np.ndarray]
    kept_: dict[str, np.ndarray]
    sparsity_: float
    report_: PruningReport
    removals_: Removals
    _masks: dict[str, Tensor]
    _target: TaskTarget
    _inputs: InputSpec | None
    _example: Any
    _features: FeatureRecord | None
    _random_state: np.random.RandomState

    @abstractmethod
    def _learn_target(self, y: np.ndarray, net: NeuralNet | None) -> TaskTarget:
        """Learn from y what kind of target it is; `net` is a trained one, if there is one."""

    def _default_net(self) -> NeuralNet:
        """Make the net for estimator=None."""
        return self.axes["estimator"][None]()

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
        at_init = not strategy.start.trains_dense
        dense, target = self._prepare(X, y, sample_weight, classes, at_init=at_init)
        run = NetRun(
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
    ) -> tuple[Dense, TaskTarget]:
        """Check the data, and make the network that they are for; say what was learned of y."""
        if self.estimator is not None:
            check_net(self.estimator, self._nets, type(self).__name__)
        X, y = with_targets(self, X, y)
        frame = X if hasattr(X, "columns") else None
        X, y = validate_inputs(self, X, y, reset=True, plain=self.estimator is None)
        if sample_weight is not None:
            sample_weight = _check_weights(sample_weight, X)
        seeds = derive_seeds(check_random_state(self.random_state), *SEEDS)

        net, fitted = (None, False) if self.estimator is None else working_copy(self.estimator)
        target = self._learn_target(y if classes is None else classes, net if fitted else None)
        y = as_dense(y)
        if net is None:
            net = self._default_net()
        _require(
            not (fitted and net.history and at_init),
            "start='init' prunes a network before it is trained (and 'early' while it is), and the "
            "estimator is already trained. Pass a net that is not fitted, or use start='trained'.",
        )
        weights = target.row_weights(y, sample_weight, self._class_weight)
        data = FitData(X if frame is None else frame, target.classes)
        with seeded(seeds["dense"], net.device):
            if not fitted:
                fill_in(net, {**target.arguments(net, y, weights), **arguments_of_inputs(self, X)})
                initialize(net, X, y)
            randomness = GeneratorStates(net.device)
            X = _in_dtype(X, net.module_)
            forward = ModuleForward(net)
            probe = rows_on_device(net, X, N_PROBE_ROWS)
            outputs = _try_out(forward, net.module_, probe)
            encoded = target.encode(y, net, outputs)
            encode_validation_set(net, lambda y: target.encode_validation(y, net, outputs))
            network = Network(net.module_, probe, forward)
            sizes = measure(net.module_, probe, forward)
        trainer = StageTrainer(
            net,
            X,
            encoded,
            weights,
            data=data,
            randomness=randomness,
            fresh=not fitted and not at_init,
            trained=fitted,
        )
        return Dense(trainer, network, sizes, X, seeds, randomness, fitted), target

    def _set_fitted(self, run: NetRun, target: TaskTarget) -> None:
        """Set the fitted attributes to what a run has come to."""
        for name, value in run.fitted().items():
            setattr(self, name, value)
        self._target = target
        if target.classes is not None:
            self.classes_ = target.classes
        self._example = example_of(run.network.inputs)
        self._inputs = spec_of_inputs(self, self._example)
        self._random_state = np.random.RandomState(run.dense.seeds["partial_fit"])

    @property
    def _class_weight(self) -> Any:
        """The weights of the classes, where there are classes."""
        return getattr(self, "class_weight", None)

    def _continue(self, X: Any, y: Any, sample_weight: Any) -> None:
        X, y = with_targets(self, X, y, reset=False)
        if y is None:
            raise ValueError("partial_fit requires y to be passed, but the target y is None.")
        X, y = validate_inputs(self, X, y, reset=False, plain=self.estimator is None)
        y, target = as_dense(y), self._target
        target.check(y, type(self).__name__)
        check_complete(self)
        if sample_weight is not None:
            sample_weight = _check_weights(sample_weight, X)
        # What fails leaves no trace: all that changes are copies until the end.
        net, random_state = without_masks(copy_net(self.net_)), deepcopy(self._random_state)
        seed = derive_seeds(random_state, "partial_fit")["partial_fit"]
        with given_back(), seeded(seed, net.device):
            rebuild_optimizer(net)
            X = _in_dtype(X, net.module_)
            forward = ModuleForward(net)
            probe = rows_on_device(net, X, 1)
            outputs = _try_out(forward, net.module_, probe)
            trainer = StageTrainer(
                net,
                X,
                target.encode(y, net, outputs),
                target.row_weights(y, sample_weight, self._class_weight),
                fresh=True,
                trained=True,
            )
            trainer.network = Network(net.module_, probe, forward)
            trainer.network.masks = self._masks
            try:
                trainer.train(Stage(1, "continuing"))
            except Interrupted:
                warn("partial_fit was interrupted.", InterruptedWarning, stacklevel=3)
        self.net_, self._random_state = with_masks(net, self._masks), random_state

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
        features = self._features
        if features is None or len(features.norms) != getattr(self, "n_features_in_", None):
            raise AttributeError(
                f"{type(self).__name__!r} has no 'feature_importances_': it is for "
                f"structure='feature' where the features are the columns of X; structure is "
                f"{self.structure!r}."
            )
        norms = features.norms
        return norms / norms.sum() if norms.any() else norms.copy()

    def _fitted_net(self, attribute: str) -> NeuralNet:
        if "net_" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__!r} has no {attribute!r} before it is fitted"
            )
        return self.net_

    @property
    def predictor_(self) -> Predictor:
        """The pruned network with all that it takes to predict, without skorch.

        It is made of the estimator as it is: what it shares with it are ``module_`` and
        ``removals_``, so that weights that change later are those that it predicts with.

        Raises
        ------
        AttributeError
            If the net predicts in a way of its own, or takes rows that only its loader can read.
        """
        self._fitted_net("predictor_")
        reason = self._own_way()
        if reason is not None:
            raise AttributeError(f"{type(self).__name__!r} has no 'predictor_': {reason}.")
        return self._predictor()

    def _predictor(self) -> Predictor:
        return Predictor(
            self.net_.module_,
            self._target.outputs(self.net_),
            masks=vars(self.net_).get("masks_"),
            removals=self.removals_,
            example=self._example,
            inputs=self._inputs,
            name=type(self).__name__,
            recipe=recipe_of(self.net_),
        )

    def _to_saved(self, *, training: bool) -> dict[str, Any]:
        """Say what a file keeps of the estimator; see :mod:`skprune.estimators.saved`."""
        self._fitted_net("net_")
        return to_saved(self, training=training)

    @classmethod
    def _from_saved(cls, saved: dict[str, Any]) -> Self:
        """Make a fitted estimator of what a file keeps of one."""
        return from_saved(cls, saved)

    def _own_way(self) -> str | None:
        """Say why predictions cannot be made without the net; None if they can."""
        if self._inputs is None:
            return "only a loader of the net makes inputs of such rows as X had"
        reason = own_way_to_predict(self.net_)
        return None if reason is None else f"{reason}, and predicts otherwise than its module"

    def _predicted(self, X: Any, method: str) -> Any:
        """Predict by a method of the predictor, or as the net does where there is none."""
        if "net_" not in vars(self):
            check_is_fitted(self)
        X = as_rows(self, X, reset=False)
        if not isinstance(X, Rows) and self._own_way() is None:
            return getattr(self._predictor(), method)(X)
        net = self.net_
        outputs: Any = self._target.outputs(net)
        X = validate_inputs(self, X, None, reset=False, plain=self.estimator is None)[0]
        X = _in_dtype(X, net.module_)
        codes = own_prediction(net, X) if method == "predict" else None
        if codes is not None:
            return outputs.decoded(codes)
        if method == "decision_function":
            return outputs.scores(net_outputs(net, X, unchanged))
        activated = net_outputs(net, X, outputs.activated)
        made = outputs.predictions if method == "predict" else outputs.probabilities
        return made(activated)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can do."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


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


def _in_dtype(X: Any, module: nn.Module) -> Any:
    """Give inputs the type of a module's weights, but those that the user's own code reads."""
    return X if isinstance(X, Rows) else as_input_dtype(X, module)


def _try_out(forward: Callable[[nn.Module, Any], Any], module: nn.Module, inputs: Any) -> Tensor:
    """Run the network once, which also gives lazy layers their sizes."""
    module.eval()
    with torch.no_grad():
        outputs = forward(module, inputs)
    return outputs[0] if isinstance(outputs, tuple) else outputs
