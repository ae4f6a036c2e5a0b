"""Ctrl-C ends a fit and leaves an estimator that can be used; callbacks only end a stage."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, EarlyStopping
from skorch.dataset import Dataset, ValidSplit
from torch import Tensor

from skprune import InterruptedWarning
from skprune.estimators.base import BasePruned
from tests.networks import Perceptron
from tests.training.common import (
    CASES,
    DENSE,
    FINE_TUNING,
    assert_one_history,
    assert_pruned,
    left_alone,
    make_data,
    make_net,
    pruned,
)

X, Y = make_data()

# A fit has 3 dense epochs and then 4 in three stages, of 4 batches each: 12 batches are dense.
DENSE_BATCH = 6
FINE_TUNING_BATCH = 12 + 4 + 3


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """What runs in the background may have been started with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return request.param


class Interrupting(Perceptron):
    """As if Ctrl-C came during the forward pass of a certain batch."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        self.count += self.training
        if self.training and self.count == self.batch:
            raise KeyboardInterrupt
        return super().forward(x)


class InterruptingDataset(Dataset):
    """As if Ctrl-C came while a certain row is loaded."""

    count = 0

    def __getitem__(self, i: int) -> Any:
        InterruptingDataset.count += 1
        if InterruptingDataset.count == 3 * 60 + 30:
            raise KeyboardInterrupt
        return super().__getitem__(i)


class Kill(Callback):
    """Presses Ctrl-C after a certain batch."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.count_ = 0

    def on_batch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.count_ += 1
        if self.count_ == self.batch:
            os.kill(os.getpid(), signal.SIGINT)


def interrupted_fit(net: NeuralNet, case: str, while_: str, sparsity: str) -> BasePruned:
    target = CASES[case]["sparsity"]
    message = f"interrupted while {while_}: the sparsity is {sparsity}, where {target} was"
    with left_alone(net), pytest.warns(InterruptedWarning, match=message) as record:
        estimator = pruned(net, case).fit(X, Y)
    assert record[0].filename == __file__
    assert_usable(estimator)
    return estimator


def assert_usable(estimator: BasePruned) -> None:
    assert estimator.predict_proba(X).shape == (60, 3)
    for name, mask in estimator._masks.items():
        assert not estimator.module_.get_parameter(name)[~mask].any()
    assert "TOTAL" in str(estimator.report_).upper()
    epochs = [row["epoch"] for row in estimator.history_]
    assert epochs == list(range(1, len(epochs) + 1))
    estimator.partial_fit(X, Y)
    assert estimator.history_[-1, "epoch"] == len(epochs) + 1


def assert_dense(estimator: BasePruned) -> None:
    assert estimator.sparsity_ == 0
    assert all(mask.all() for mask in estimator.masks_.values())
    assert [row["stage"] for row in estimator.history_] == [DENSE] * 2 + ["continuing"]


def assert_after_first_step(estimator: BasePruned, case: str, n_epochs: int) -> None:
    stages = [row["stage"] for row in estimator.history_]
    assert stages == [DENSE] * 3 + [FINE_TUNING] * n_epochs + ["continuing"]
    if case == "weight":
        kept = sum(int(mask.sum()) for mask in estimator.masks_.values())
        assert estimator.sparsity_ == pytest.approx(1 - kept / 136)
    else:
        widths = estimator.module_.hidden0.out_features + estimator.module_.hidden1.out_features
        assert estimator.sparsity_ == 1 - widths / 16


# Sparsities after the first step and after the second.
STEPS = {"weight": ["0.367647", "0.602941"], "unit": ["0.375", "0.5"]}


def test_in_the_forward_pass_of_the_dense_stage(case: str) -> None:
    net = make_net(module=Interrupting, module__batch=DENSE_BATCH)
    assert_dense(interrupted_fit(net, case, DENSE, "0"))


def test_in_the_forward_pass_of_the_fine_tuning(case: str) -> None:
    net = make_net(module=Interrupting, module__batch=FINE_TUNING_BATCH)
    estimator = interrupted_fit(net, case, FINE_TUNING, STEPS[case][1])
    assert_after_first_step(estimator, case, 2)


def test_in_the_dataset(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InterruptingDataset, "count", 0)
    net = make_net(dataset=InterruptingDataset, train_split=None)
    estimator = interrupted_fit(net, case, FINE_TUNING, STEPS[case][0])
    assert_after_first_step(estimator, case, 1)


def test_signal_in_the_dense_stage(case: str) -> None:
    net = make_net(callbacks=[Kill(DENSE_BATCH)])
    assert_dense(interrupted_fit(net, case, DENSE, "0"))


def test_signal_in_the_fine_tuning(case: str) -> None:
    net = make_net(callbacks=[Kill(FINE_TUNING_BATCH)])
    estimator = interrupted_fit(net, case, FINE_TUNING, STEPS[case][1])
    assert_after_first_step(estimator, case, 2)


class KillLater(Callback):
    """Has another thread press Ctrl-C some time after the first epoch of a stage."""

    def __init__(self, stage: int) -> None:
        self.stage = stage
        self.count_ = 0
        self.over_ = None

    def __deepcopy__(self, memo: dict) -> Any:
        return KillLater(self.stage)

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.count_ += 1

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.count_ == self.stage and self.over_ is None:
            self.over_ = threading.Event()
            threading.Thread(target=self.press, args=[self.over_], daemon=True).start()

    @staticmethod
    def press(over: threading.Event) -> None:
        delay = 0.05
        while not over.wait(delay):
            os.kill(os.getpid(), signal.SIGINT)
            delay = 10.0

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.over_ is not None:
            self.over_.set()


@pytest.mark.parametrize("stage", [1, 2])
def test_signal_from_outside(case: str, stage: int) -> None:
    net = make_net(callbacks=[KillLater(stage)], max_epochs=1 if stage == 2 else 10**6)
    estimator = pruned(net, case, fine_tune_epochs=10**6)
    with pytest.warns(InterruptedWarning, match=DENSE if stage == 1 else FINE_TUNING):
        estimator.fit(X, Y)
    stages = {row["stage"] for row in estimator.history_}
    assert stages == ({DENSE} if stage == 1 else {DENSE, FINE_TUNING})
    assert (estimator.sparsity_ > 0) == (stage == 2)
    dict(estimator.net_.callbacks_)["KillLater"].stage = 0
    assert_usable(estimator)


def test_partial_fit(case: str) -> None:
    net = make_net(module=Interrupting, module__batch=7 * 4 + 2)
    estimator = pruned(net, case).fit(X, Y)
    before = estimator.predict_proba(X)
    with pytest.warns(InterruptedWarning, match="partial_fit was interrupted") as record:
        estimator.partial_fit(X, Y)
    assert record[0].filename == __file__
    assert np.abs(estimator.predict_proba(X) - before).max() > 0
    assert len(estimator.history_) == 8
    assert_pruned(estimator, case)
    assert_usable(estimator)


def test_a_stage_without_a_checkpoint_of_its_own(case: str, tmp_path: Any) -> None:
    """The checkpoint on disk is that of the stage before, when the network had more in it."""
    net = make_net(
        module=Interrupting,
        module__batch=3 * 3 + 2,  # 40 rows are left to train on: 3 batches an epoch
        callbacks=[Checkpoint(dirname=str(tmp_path), load_best=True)],
        train_split=ValidSplit(3),
    )
    estimator = interrupted_fit(net, case, FINE_TUNING, STEPS[case][0])
    assert estimator.sparsity_ > 0


def test_first_epoch_with_a_checkpoint(case: str, tmp_path: Any) -> None:
    checkpoint = Checkpoint("train_loss_best", dirname=str(tmp_path), load_best=True)
    net = make_net(module=Interrupting, module__batch=2, callbacks=[checkpoint])
    interrupted_fit(net, case, DENSE, "0")


class Stop(Callback):
    """Ends a stage after its first epoch."""

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        raise KeyboardInterrupt


class StopsByItself(NeuralNetClassifier):
    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        super().on_epoch_end(net, **kwargs)
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "options",
    [
        {"callbacks": [Stop()]},
        {"cls": StopsByItself},
        {"callbacks": [EarlyStopping("dur", threshold=1e9, threshold_mode="abs", patience=1)]},
    ],
    ids=["callback", "net", "early_stopping"],
)
def test_who_may_end_a_stage(case: str, options: dict) -> None:
    n_epochs = 1 if "cls" in options or isinstance(options["callbacks"][0], Stop) else 2
    net = make_net(**options)
    with left_alone(net):
        estimator = pruned(net, case, fine_tune_epochs=9).fit(X, Y)
    assert_pruned(estimator, case)
    assert_one_history(estimator, n_epochs, 3 * n_epochs)


@pytest.mark.slow
def test_an_interruption_anywhere_leaves_everything_as_it_was() -> None:
    """Fits of every named strategy; the benchmark says what is looked at."""
    script = Path(__file__).parents[2] / "benchmarks" / "interruptions.py"
    run = subprocess.run(
        [sys.executable, str(script), "--fits", "88"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "88 interrupted fits" in run.stdout
