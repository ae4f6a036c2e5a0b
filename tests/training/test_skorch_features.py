"""Whatever a skorch net can do, it can do while it is pruned."""

import pickle
from copy import deepcopy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    ParamMapper,
    Unfreezer,
)
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from skprune import PrunedRegressor, Strategy
from skprune.estimators.base import BasePruned
from skprune.strategies import FineTune
from tests.helpers import same_state, snapshot
from tests.networks import Perceptron
from tests.training.common import (
    CASES,
    assert_one_history,
    assert_pruned,
    left_alone,
    make_data,
    make_net,
    pruned,
)

X, Y = make_data()

# Epochs of the stages of a fit with 3 dense epochs and 4 of fine-tuning.
STAGES = {"weight": [3, 1, 2, 1], "unit": [3, 1, 1, 2]}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return request.param


def fit(net: NeuralNet, case: str, y: np.ndarray = Y, **parameters: Any) -> BasePruned:
    with left_alone(net):
        return pruned(net, case, **parameters).fit(X, y)


def callback_of(estimator: BasePruned, name: str) -> Any:
    return dict(estimator.net_.callbacks_)[name]


def kept_of(weight: Tensor, original: Tensor) -> bool:
    """Whether all of a weight that is not zero was there before."""
    return set(weight[weight != 0].tolist()) <= set(original.flatten().tolist())


class Counter(Callback):
    """Counts over all stages."""

    def __init__(self, step: int = 1) -> None:
        self.step = step
        self.stages_ = 0
        self.epochs_ = 0
        self.batches_ = 0

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.stages_ += self.step

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.epochs_ += self.step

    def on_batch_end(self, net: NeuralNet, training: bool, **kwargs: Any) -> None:
        self.batches_ += self.step


class Remember(Callback):
    """Keeps the state at the beginning of every stage, and what every epoch predicts."""

    def __init__(self) -> None:
        self.first_: list[dict[str, Tensor]] = []
        self.predictions_: list[np.ndarray] = []
        self.valid_losses_: list[float | None] = []

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.first_.append(snapshot(net.module_))

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.predictions_.append(net.predict_proba(X))
        self.valid_losses_.append(net.history[-1].get("valid_loss"))


class Number(Callback):
    """Records the number of the epoch in its stage, as a score."""

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        net.history.record("number", len(net.history))


class RecordLR(Callback):
    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])


def test_own_callbacks_see_every_epoch_and_batch(case: str) -> None:
    estimator = fit(make_net(callbacks=[("counter", Counter())]), case)
    counter = callback_of(estimator, "counter")
    assert (counter.stages_, counter.epochs_, counter.batches_) == (4, 7, 7 * 4)
    assert_pruned(estimator, case)
    assert_one_history(estimator)


@pytest.mark.parametrize("start", ["trained", "init"])
def test_every_stage_trains_what_is_left(case: str, start: str) -> None:
    class Compare(Callback):
        def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
            self.before_ = snapshot(net.module_)

        def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
            after = net.module_.state_dict()
            changed = [not torch.equal(after[name], old) for name, old in self.before_.items()]
            net.history.record("changed", all(changed))

    estimator = fit(make_net(callbacks=[Compare()]), case, start=start)
    assert estimator.history_[:, "changed"] == [True] * (4 if start == "trained" else 3)
    assert_pruned(estimator, case)


def count_weights(module: nn.Module) -> int:
    return sum(int(p.count_nonzero()) for p in module.parameters() if p.dim() == 2)


def test_other_callbacks_see_masked_weights(case: str) -> None:
    class CountWeights(Callback):
        def on_batch_end(self, net: NeuralNet, **kwargs: Any) -> None:
            net.history.record_batch("n_weights", count_weights(net.module_))

    estimator = fit(make_net(callbacks=[CountWeights()]), case)
    counts = estimator.history_[:, "batches", :, "n_weights"]
    assert counts[:3] == [[136] * 4] * 3
    if case == "weight":
        assert counts[3:] == [[86] * 4, [54] * 4, [54] * 4, [34] * 4]
    else:
        assert all(later <= [n] * 4 for (n, *_), later in pairwise(counts))


def test_callbacks_are_the_users_after_the_fit(case: str) -> None:
    net = make_net(callbacks=[Counter, ("second", Counter())])
    estimator = fit(net, case)
    assert [name for name, _ in estimator.net_.callbacks_] == [
        "epoch_timer",
        "train_loss",
        "valid_loss",
        "valid_acc",
        "Counter",
        "second",
        "print_log",
    ]


def test_callback_parameters(case: str) -> None:
    net = make_net(
        callbacks=[("counter", Counter())],
        callbacks__counter__step=2,
        callbacks__train_loss=None,
    )
    estimator = fit(net, case)
    assert callback_of(estimator, "counter").epochs_ == 14
    assert "train_loss" not in estimator.history_[-1]
    assert_pruned(estimator, case)


class Sized(Perceptron):
    def __init__(self, input_dim: int = 2) -> None:
        super().__init__()
        self.hidden0 = nn.Linear(input_dim, 8)


@pytest.mark.parametrize("sample_weight", [None, np.ones(len(X))])
def test_size_of_the_inputs_set_by_a_callback(case: str, sample_weight: Any) -> None:
    net = make_net(module=Sized, callbacks=[InputShapeSetter()])
    with left_alone(net):
        estimator = (
            pruned(net, case).fit(X, Y, sample_weight).partial_fit(X, Y, None, sample_weight)
        )
    assert estimator.module_.hidden0.in_features == 6
    assert_pruned(estimator, case)


@pytest.mark.parametrize(("stage", "name"), [(1, "training the dense network"), (2, "fine-tuning")])
def test_callback_that_replaces_the_module(case: str, stage: int, name: str) -> None:
    class Replace(Counter):
        def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
            super().on_train_begin(net)
            if self.stages_ == stage:
                net.initialize_module()

    net = make_net(module=Sized, module__input_dim=6, callbacks=[Replace()])
    with pytest.raises(ValueError, match=f"got other parameters while {name}.*before the fit"):
        fit(net, case)


def test_callbacks_disabled(case: str) -> None:
    estimator = fit(make_net(callbacks="disable"), case)
    assert estimator.net_.callbacks_ == []
    assert "train_loss" not in estimator.history_[-1]
    assert_pruned(estimator, case)
    assert_one_history(estimator)


def test_nothing_is_printed(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    fit(make_net(), case)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_net_prints_every_epoch_if_asked(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    fit(make_net(verbose=1), case)
    assert capsys.readouterr().out.count("train_loss") == 4


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({"policy": "StepLR", "step_size": 1, "gamma": 0.5}, lambda i: 0.05 * 0.5**i),
        ({"policy": "ExponentialLR", "gamma": 0.1}, lambda i: 0.05 * 0.1**i),
        ({"policy": LambdaLR, "lr_lambda": lambda i: 1 / (i + 1)}, lambda i: 0.05 / (i + 1)),
        (
            {"policy": CosineAnnealingLR, "T_max": 4},
            lambda i: 0.025 * (1 + np.cos(np.pi * i / 4)),
        ),
    ],
    ids=["step", "exponential", "lambda", "cosine"],
)
def test_lr_schedulers_start_anew_with_every_stage(case: str, options: dict, rate: Any) -> None:
    estimator = fit(make_net(callbacks=[LRScheduler(**options)]), case)
    expected = [rate(i) for n_epochs in STAGES[case] for i in range(n_epochs)]
    np.testing.assert_allclose(estimator.history_[:, "event_lr"], expected)
    assert_pruned(estimator, case)
    assert_one_history(estimator)


def test_lr_on_plateau(case: str) -> None:
    scheduler = LRScheduler(
        "ReduceLROnPlateau", monitor="number", patience=0, threshold=0.0, factor=0.1
    )
    # What the plateau watches rises in every epoch but the first of a stage.
    estimator = fit(make_net(callbacks=[Number(), scheduler, RecordLR()]), case)
    expected = [0.05 * 0.1**i for n_epochs in STAGES[case] for i in range(n_epochs)]
    np.testing.assert_allclose(estimator.history_[:, "lr"], expected)
    assert_pruned(estimator, case)


def test_lr_by_the_batch(case: str) -> None:
    scheduler = LRScheduler(
        "CyclicLR", base_lr=0.01, max_lr=0.05, step_size_up=2, step_every="batch"
    )
    estimator = fit(make_net(callbacks=[scheduler]), case)
    rates = estimator.history_[:, "batches", :, "event_lr"]
    np.testing.assert_allclose(rates, [[0.01, 0.03, 0.05, 0.03]] * 7)
    assert_pruned(estimator, case)
    assert_one_history(estimator)


def test_lr_scheduler_goes_on_in_partial_fit(case: str) -> None:
    scheduler = LRScheduler(LambdaLR, lr_lambda=lambda epoch: 1 / (epoch + 1))
    estimator = fit(make_net(callbacks=[scheduler]), case)
    for _ in range(4):
        estimator.partial_fit(X, Y)
    expected = [0.05 / (epoch + 1) for epoch in range(4)]
    np.testing.assert_allclose(estimator.history_[-4:, "event_lr"], expected)
    assert [row["epoch"] for row in estimator.history_] == list(range(1, 12))
    assert [row["stage"] for row in estimator.history_][-5:] == ["fine-tuning"] + ["continuing"] * 4
    assert_pruned(estimator, case)


def test_early_stopping_ends_a_stage_and_not_the_pruning(case: str) -> None:
    stopping = EarlyStopping("number", patience=1)
    net = make_net(callbacks=[Number(), stopping], max_epochs=6)
    estimator = fit(net, case, fine_tune_epochs=9)
    assert estimator.history_[:, "number"] == [1, 2] * 4
    assert_pruned(estimator, case)
    assert_one_history(estimator, 2, 6)


def test_early_stopping_loads_the_best_of_the_stage(case: str) -> None:
    stopping = EarlyStopping("number", patience=1, load_best=True, sink=noop)
    net = make_net(callbacks=[Number(), ("remember", Remember()), stopping])
    estimator = fit(net, case, fine_tune_epochs=9)
    best, last = callback_of(estimator, "remember").predictions_[-2:]
    np.testing.assert_allclose(estimator.predict_proba(X), best, rtol=1e-5)
    assert np.abs(best - last).max() > 1e-3
    assert_pruned(estimator, case)


def test_checkpoint_loads_the_best_of_the_stage(case: str, tmp_path: Any) -> None:
    checkpoint = Checkpoint(
        lambda net: len(net.history) == 1, dirname=str(tmp_path), load_best=True
    )
    net = make_net(callbacks=[("remember", Remember()), checkpoint], max_epochs=2)
    estimator = fit(net, case, fine_tune_epochs=9)
    n_last = {"weight": 2, "unit": 4}[case]
    predictions = callback_of(estimator, "remember").predictions_
    np.testing.assert_allclose(estimator.predict_proba(X), predictions[-n_last], rtol=1e-5)
    assert np.abs(predictions[-n_last] - predictions[-1]).max() > 1e-3
    assert_pruned(estimator, case)
    # skorch goes back in the history, too.
    assert_one_history(estimator, 1, 3)


def test_checkpoint_on_a_validation_loss(case: str, tmp_path: Any) -> None:
    checkpoint = Checkpoint(dirname=str(tmp_path), load_best=True)
    net = make_net(callbacks=[("remember", Remember()), checkpoint], train_split=ValidSplit(3))
    estimator = fit(net, case)
    remember = callback_of(estimator, "remember")
    n_last = STAGES[case][-1]
    best = np.argmin(remember.valid_losses_[-n_last:])
    expected = remember.predictions_[-n_last:][best]
    np.testing.assert_allclose(estimator.predict_proba(X), expected, rtol=1e-5)
    assert_pruned(estimator, case)


def test_no_stage_loads_the_checkpoint_of_another(case: str, tmp_path: Any) -> None:
    checkpoint = Checkpoint("is_dense", dirname=str(tmp_path), load_best=True)

    class IsDense(Callback):
        def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
            weights = (net.module_.hidden0.weight, net.module_.hidden1.weight)
            net.history.record("is_dense", sum(w.count_nonzero().item() for w in weights) == 112)

    net = make_net(callbacks=[IsDense(), ("remember", Remember()), checkpoint])
    estimator = fit(net, case)
    assert estimator.history_[:, "event_cp"] == [True] * 3 + [False] * 4
    last = callback_of(estimator, "remember").predictions_[-1]
    np.testing.assert_allclose(estimator.predict_proba(X), last, rtol=1e-5)
    assert_pruned(estimator, case)


def test_no_dense_weights_come_back_from_a_checkpoint_without_events(tmp_path: Any) -> None:
    checkpoint = Checkpoint(
        lambda net: bool(net.module_.hidden0.weight.all()),
        dirname=str(tmp_path),
        event_name=None,
        load_best=True,
    )
    estimator = fit(make_net(callbacks=[checkpoint]), "weight")
    assert_pruned(estimator, "weight")


def test_initial_state_is_loaded_once(case: str, tmp_path: Any) -> None:
    checkpoint = Checkpoint(None, dirname=str(tmp_path))
    earlier = make_net(callbacks=[checkpoint], max_epochs=1).fit(X, Y)
    net = make_net(callbacks=[LoadInitState(checkpoint), ("remember", Remember())])
    estimator = fit(net, case)
    first = callback_of(estimator, "remember").first_
    assert same_state(first[0], snapshot(earlier.module_))
    assert_pruned(estimator, case)
    assert_one_history(estimator, 1 + 3, 4)


def test_gradient_norm_clipping(case: str) -> None:
    class Norm(Callback):
        def __init__(self) -> None:
            self.largest_ = 0.0

        def on_grad_computed(self, net: NeuralNet, named_parameters: Any, **kwargs: Any) -> None:
            gradients = [p.grad.flatten() for _, p in named_parameters if p.grad is not None]
            self.largest_ = max(self.largest_, torch.cat(gradients).norm().item())

    norms = [("before", Norm()), ("clip", GradientNormClipping(0.05)), ("after", Norm())]
    estimator = fit(make_net(callbacks=norms), case)
    assert callback_of(estimator, "before").largest_ > 0.1
    assert callback_of(estimator, "after").largest_ == pytest.approx(0.05, rel=1e-3)
    assert_pruned(estimator, case)


@pytest.mark.parametrize("start", ["trained", "init"])
def test_freezer(case: str, start: str) -> None:
    net = make_net(callbacks=[("remember", Remember()), Freezer("hidden0.*")])
    estimator = fit(net, case, start=start)
    before = callback_of(estimator, "remember").first_[0]
    assert not estimator.module_.hidden0.weight.requires_grad
    assert kept_of(estimator.module_.hidden0.weight, before["hidden0.weight"])
    assert not kept_of(estimator.module_.output.weight, before["output.weight"])
    assert_pruned(estimator, case)


def test_unfreezer(case: str) -> None:
    callbacks = [("remember", Remember()), Freezer("hidden0.*"), Unfreezer("hidden0.*", at=3)]
    estimator = fit(make_net(callbacks=callbacks), case)
    before = callback_of(estimator, "remember").first_[0]
    assert estimator.module_.hidden0.weight.requires_grad
    assert not kept_of(estimator.module_.hidden0.weight, before["hidden0.weight"])
    assert_pruned(estimator, case)


@pytest.mark.parametrize("fine_tune_epochs", [0, 4])
@pytest.mark.parametrize("start", ["trained", "init"])
def test_initializer_initializes_once(case: str, start: str, fine_tune_epochs: int) -> None:
    shapes = []

    def initialize(weight: Tensor) -> None:
        shapes.append(tuple(weight.shape))
        nn.init.uniform_(weight, 10.0, 11.0)

    net = make_net(callbacks=[Initializer("hidden1.weight", fn=initialize)], lr=1e-6)
    estimator = fit(net, case, start=start, fine_tune_epochs=fine_tune_epochs)
    estimator.partial_fit(X, Y)
    assert len(shapes) == 1
    weight = estimator.module_.hidden1.weight
    assert (weight[weight != 0] > 9.9).all()
    assert_pruned(estimator, case)


def test_weights_of_an_initializer_are_masked_before_they_are_used() -> None:
    class CountWeights(Callback):
        def on_batch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
            net.history.record_batch("n_weights", count_weights(net.module_))

    net = make_net(callbacks=[Initializer("*weight", fn=nn.init.ones_), CountWeights()])
    estimator = fit(net, "weight", start="init")
    assert estimator.history_[0, "batches", 0, "n_weights"] == 86


def test_parameter_mappers_follow_the_first_stage(case: str) -> None:
    epochs = []

    def schedule(net: NeuralNet) -> Any:
        epochs.append(len(net.history))
        return noop

    fit(make_net(callbacks=[ParamMapper("*", schedule=schedule)]), case)
    assert epochs == [1, 2, 3]


def test_masks_hold_if_a_callback_replaces_the_memory_of_a_weight(case: str) -> None:
    class Clamp(Callback):
        def on_batch_end(self, net: NeuralNet, training: bool, **kwargs: Any) -> None:
            for parameter in net.module_.parameters():
                parameter.data = parameter.data.clamp(-0.2, 0.2)

    estimator = fit(make_net(callbacks=[Clamp()]), case)
    assert max(p.abs().max() for p in estimator.module_.parameters()) <= 0.2
    assert_pruned(estimator, case)


@pytest.mark.parametrize("use_caching", [True, False])
def test_epoch_scoring(case: str, use_caching: bool) -> None:
    X_valid, y_valid = make_data(30, seed=1)
    train_acc = EpochScoring("accuracy", on_train=True, name="train_acc", lower_is_better=False)
    net = make_net(
        callbacks=[train_acc],
        callbacks__valid_acc__use_caching=use_caching,
        train_split=predefined_split(Dataset(X_valid, y_valid)),
    )
    estimator = fit(net, case)
    assert len(estimator.history_[:, "train_acc"]) == len(estimator.history_[:, "valid_acc"]) == 7
    accuracy = (estimator.predict(X_valid) == y_valid).mean()
    assert estimator.history_[-1, "valid_acc"] == pytest.approx(accuracy)
    assert_pruned(estimator, case)


def test_predefined_split_trains_on_all_rows(case: str) -> None:
    X_valid, y_valid = make_data(30, seed=1)
    net = make_net(train_split=predefined_split(Dataset(X_valid, y_valid)))
    estimator = fit(net, case)
    assert batch_sizes(estimator, "train") == [[16, 16, 16, 12]] * 7
    assert batch_sizes(estimator, "valid") == [[16, 14]] * 7
    criterion = nn.CrossEntropyLoss()
    loss = criterion(estimator.module_(torch.from_numpy(X_valid)), torch.from_numpy(y_valid))
    assert estimator.history_[-1, "valid_loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert_pruned(estimator, case)


def test_validation_split(case: str) -> None:
    estimator = fit(make_net(train_split=ValidSplit(3, stratified=True)), case)
    assert batch_sizes(estimator, "train") == [[16, 16, 8]] * 7
    assert batch_sizes(estimator, "valid") == [[16, 4]] * 7
    assert_pruned(estimator, case)
    assert_one_history(estimator)


def batch_sizes(estimator: BasePruned, kind: str) -> list[list[int]]:
    key = f"{kind}_batch_size"
    return [[b[key] for b in row["batches"] if key in b] for row in estimator.history_]


def test_loader_workers(case: str) -> None:
    estimator = fit(make_net(iterator_train__num_workers=1), case)
    assert batch_sizes(estimator, "train") == [[16, 16, 16, 12]] * 7
    assert_pruned(estimator, case)


def test_last_batch_dropped(case: str) -> None:
    estimator = fit(make_net(iterator_train__drop_last=True), case)
    assert batch_sizes(estimator, "train") == [[16, 16, 16]] * 7
    assert_pruned(estimator, case)


@pytest.mark.parametrize("optimizer", ["LBFGS", "Adam", "AdamW", "RMSprop", "Adagrad", "Rprop"])
def test_optimizers(case: str, optimizer: str) -> None:
    net = make_net(optimizer=getattr(torch.optim, optimizer), lr=0.01, batch_size=-1)
    estimator = fit(net, case)
    losses = estimator.history_[:, "train_loss"]
    assert losses[2] < losses[0]
    assert losses[-1] < losses[-STAGES[case][-1] - 1] or STAGES[case][-1] == 1
    assert_pruned(estimator, case)
    assert_one_history(estimator)


def test_parameter_groups(case: str) -> None:
    groups = [("hidden0.*", {"lr": 0.0})]
    net = make_net(callbacks=[("remember", Remember())], optimizer__param_groups=groups)
    estimator = fit(net, case)
    before = callback_of(estimator, "remember").first_[0]
    assert kept_of(estimator.module_.hidden0.weight, before["hidden0.weight"])
    assert not kept_of(estimator.module_.hidden1.weight, before["hidden1.weight"])
    assert_pruned(estimator, case)


@pytest.mark.parametrize("name", ["lr", "optimizer__lr"])
def test_own_learning_rate_for_the_fine_tuning(case: str, name: str) -> None:
    net = make_net(callbacks=[RecordLR()], **{name: 0.03})
    settings = CASES[case] | {"fine_tune_epochs": 2, "random_state": 0}
    schedule = settings.pop("schedule")
    strategy = Strategy(schedule=schedule, recovery=FineTune(lr=0.001))
    estimator = pruned(net, case).set_params(strategy=strategy, **settings).fit(X, Y)
    assert estimator.history_[:, "lr"] == [0.03] * 3 + [0.001] * 2
    assert getattr(estimator.net_, name) == 0.03
    assert estimator.partial_fit(X, Y).history_[-1, "lr"] == 0.03
    assert_pruned(estimator, case)


class Narrow(Perceptron):
    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(8, 1)


def penalized(cls: type[NeuralNet]) -> type[NeuralNet]:
    class Penalized(cls):
        def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Any:
            loss = super().get_loss(y_pred, y_true, X=X, training=training)
            return loss + 1000 + self.module_.hidden0.weight.abs().sum()

    return Penalized


def blind(cls: type[NeuralNet]) -> type[NeuralNet]:
    class Blind(cls):
        def infer(self, x: Any, **fit_params: Any) -> Any:
            return super().infer(torch.as_tensor(x) * 0, **fit_params)

    return Blind


def stepping(cls: type[NeuralNet]) -> type[NeuralNet]:
    class Stepping(cls):
        def train_step_single(self, batch: Any, **fit_params: Any) -> dict:
            self.history.record_batch("own_step", len(batch[0]))
            return super().train_step_single(batch, **fit_params)

    return Stepping


def initializing(cls: type[NeuralNet]) -> type[NeuralNet]:
    class Initializing(cls):
        def initialize_module(self) -> Any:
            super().initialize_module()
            self.module_.marker = "own"
            return self

    return Initializing


KINDS = {
    "classifier": (NeuralNetClassifier, Perceptron, Y),
    "binary": (NeuralNetBinaryClassifier, Narrow, (X[:, 0] > 0).astype(int)),
    "regressor": (NeuralNetRegressor, Perceptron, X[:, :3]),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def fit_kind(kind: str, change: Any, case: str) -> BasePruned:
    cls, module, y = KINDS[kind]
    extra = {"cls": PrunedRegressor} if kind == "regressor" else {}
    estimator = fit(make_net(change(cls), module), case, y, **extra)
    assert type(estimator.net_).__name__ == change.__name__.capitalize()
    assert_pruned(estimator, case)
    assert_one_history(estimator)
    return estimator


def test_own_loss(case: str, kind: str) -> None:
    estimator = fit_kind(kind, penalized, case)
    penalty = estimator.module_.hidden0.weight.abs().sum().item()
    assert min(estimator.history_[:, "train_loss"]) > 1000 + penalty / 2


def test_own_inference(case: str, kind: str) -> None:
    estimator = fit_kind(kind, blind, case)
    predictions = estimator.predict(X)
    assert (predictions == predictions[0]).all()


def test_own_training_step(case: str, kind: str) -> None:
    estimator = fit_kind(kind, stepping, case)
    assert estimator.history_[:, "batches", :, "own_step"] == [[16, 16, 16, 12]] * 7


def test_own_module_initialization(case: str, kind: str) -> None:
    assert fit_kind(kind, initializing, case).module_.marker == "own"


def test_net_with_two_modules(case: str) -> None:
    class WithEncoder(NeuralNetClassifier):
        def initialize_module(self) -> Any:
            super().initialize_module()
            self.encoder_ = nn.Linear(6, 6)
            return self

        def infer(self, x: Any, **fit_params: Any) -> Any:
            return super().infer(self.encoder_(torch.as_tensor(x)), **fit_params)

    class Encoder(Callback):
        def __init__(self) -> None:
            self.before_: list[Tensor] = []

        def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
            self.before_.append(net.encoder_.weight.detach().clone())

    estimator = fit(make_net(WithEncoder, callbacks=[("encoder", Encoder())]), case)
    weights = [*callback_of(estimator, "encoder").before_, estimator.net_.encoder_.weight]
    assert len(weights) == 5
    for before, after in pairwise(weights):
        assert not torch.equal(before, after)
    np.testing.assert_allclose(
        estimator.predict_proba(X), estimator.net_.predict_proba(X), rtol=1e-6
    )
    assert_pruned(estimator, case)


def test_net_with_two_optimizers(case: str) -> None:
    class WithTwo(NeuralNetClassifier):
        def initialize_optimizer(self, *args: Any, **kwargs: Any) -> Any:
            layers = [self.module_.hidden0, self.module_.hidden1]
            parameters = [p for layer in layers for p in layer.parameters()]
            self.optimizer_ = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
            self.optimizer2_ = torch.optim.Adam(self.module_.output.parameters(), lr=0.01)
            return self

    estimator = fit(make_net(WithTwo), case).partial_fit(X, Y)
    estimator.partial_fit(X, Y)
    steps = [state["step"].item() for state in estimator.net_.optimizer2_.state.values()]
    assert steps == [8, 8]  # of two calls, with 4 batches each
    assert_pruned(estimator, case)


class Tempered(nn.Module):
    """A criterion that learns."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(scale).log())

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs * self.log_scale.exp(), target)


def test_criterion_with_parameters(case: str) -> None:
    class Scale(Callback):
        def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
            net.history.record("scale", net.criterion_.log_scale.exp().item())

    net = make_net(
        criterion=Tempered,
        criterion__scale=2.0,
        predict_nonlinearity=lambda outputs: outputs.softmax(-1),
        callbacks=[Scale()],
    )
    estimator = fit(net, case)
    scales = [2.0, *estimator.history_[:, "scale"]]
    assert len(set(scales)) == 8
    assert scales[1] == pytest.approx(2.0, rel=0.1)
    assert_pruned(estimator, case)


class KeepsActivations(Perceptron):
    """Keeps what a penalty on activations needs, in an attribute and in a list."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept = self.hidden0(x).relu()
        self.list = [self.kept]
        return self.output(self.hidden1(self.kept).relu())


class SparseActivations(NeuralNetClassifier):
    def get_loss(self, *args: Any, **kwargs: Any) -> Tensor:
        return super().get_loss(*args, **kwargs) + 0.01 * self.module_.kept.abs().mean()


def test_module_that_keeps_its_activations(case: str) -> None:
    net = make_net(SparseActivations, KeepsActivations)
    estimator = fit(net, case).partial_fit(X, Y)
    for copy in (deepcopy(estimator), pickle.loads(pickle.dumps(estimator))):
        np.testing.assert_array_equal(copy.predict_proba(X), estimator.predict_proba(X))
    assert_pruned(estimator, case)


def test_trained_net_that_keeps_its_activations(case: str) -> None:
    net = make_net(SparseActivations, KeepsActivations).fit(X, Y)
    assert not net.module_.kept.is_leaf
    assert_pruned(fit(net, case), case)


def test_module_that_cannot_be_pickled(case: str) -> None:
    class Local(Perceptron):
        pass

    estimator = fit(make_net(module=Local), case).partial_fit(X, Y)
    assert len(estimator.history_) == 8
    assert_pruned(estimator, case)


def test_trained_net(case: str) -> None:
    names = []
    callbacks = [("counter", Counter()), Initializer("*.weight", fn=names.append)]
    net = make_net(callbacks=callbacks).fit(X, Y)
    assert len(names) == 3
    estimator = fit(net, case)
    assert len(names) == 3
    assert callback_of(estimator, "counter").epochs_ == 3 + 4
    assert [row["epoch"] for row in estimator.history_] == list(range(1, 8))
    assert [row.get("stage") for row in estimator.history_] == [
        "training outside the estimator"
    ] * 3 + ["fine-tuning"] * 4
    assert_pruned(estimator, case)


def test_no_device(case: str) -> None:
    estimator = fit(make_net(device=None), case).partial_fit(X, Y)
    assert estimator.net_.device is None
    assert_pruned(estimator, case)
    trained = make_net(device=None).fit(X, Y)
    estimator = fit(trained, case)
    assert estimator.net_.device is None
    assert_pruned(estimator, case)


def test_compiled_net_is_refused() -> None:
    with pytest.raises(ValueError, match=r"compile=True.*Set compile=False, and compile module_"):
        pruned(make_net(compile=True)).fit(X, Y)
