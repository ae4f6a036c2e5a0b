"""Nets that train through accelerate, with mixed precision and without."""

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback, LRScheduler
from skorch.exceptions import DeviceWarning
from skorch.hf import AccelerateMixin
from skorch.utils import noop
from torch import Tensor

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

accelerate = pytest.importorskip("accelerate")

X, Y = make_data()


class AcceleratedNet(AccelerateMixin, NeuralNetClassifier):
    pass


class Watched(Perceptron):
    """Notes whether it is trained with mixed precision."""

    mixed = False

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mixed = torch.is_autocast_enabled("cpu")
        return super().forward(x)


class RecordMixed(Callback):
    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        assert isinstance(net.optimizer_, accelerate.optimizer.AcceleratedOptimizer)
        net.history.record("mixed", net.module_.mixed)
        net.history.record("wrapped", net._wrapped_with_accelerator)


@pytest.fixture(params=["no", "bf16"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    # The state of accelerate is one for the process.
    accelerate.state.AcceleratorState._reset_state(True)
    yield request.param
    accelerate.state.AcceleratorState._reset_state(True)


def accelerated_net(precision: str, **parameters: Any) -> NeuralNet:
    return make_net(
        AcceleratedNet,
        Watched,
        accelerator=accelerate.Accelerator(cpu=True, mixed_precision=precision),
        callbacks=[RecordMixed()],
        callbacks__print_log__sink=noop,
        **parameters,
    )


@pytest.mark.parametrize("unwrap", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_every_stage_trains_with_accelerate(precision: str, case: str, unwrap: bool) -> None:
    net = accelerated_net(precision, unwrap_after_train=unwrap)
    with left_alone(net):
        estimator = pruned(net, case).fit(X, Y)
    assert estimator.history_[:, "mixed"] == [precision == "bf16"] * 7
    assert estimator.history_[:, "wrapped"] == [True] * 7
    assert estimator.net_._wrapped_with_accelerator != unwrap
    assert_pruned(estimator, case)
    assert_one_history(estimator)
    np.testing.assert_allclose(
        estimator.predict_proba(X), estimator.net_.predict_proba(X), rtol=1e-6
    )
    estimator.partial_fit(X, Y)
    assert estimator.history_[-1, "mixed"] == (precision == "bf16")
    assert_pruned(estimator, case)


@pytest.mark.parametrize("case", CASES)
def test_accelerate_changes_nothing_without_mixed_precision(case: str) -> None:
    accelerate.state.AcceleratorState._reset_state(True)
    accelerated = pruned(accelerated_net("no"), case).fit(X, Y)
    plain = pruned(make_net(), case).fit(X, Y)
    np.testing.assert_allclose(accelerated.predict_proba(X), plain.predict_proba(X), rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_unwrapped_net_can_be_pickled(precision: str, case: str) -> None:
    estimator = pruned(accelerated_net(precision), case).fit(X, Y)
    with pytest.warns(DeviceWarning):  # skorch's, of the net that the user gave
        copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copy.predict_proba(X), estimator.predict_proba(X))


def test_lr_scheduler_with_accelerate(precision: str) -> None:
    net = accelerated_net(precision)
    net.callbacks.append(LRScheduler("StepLR", step_size=1, gamma=0.5))
    estimator = pruned(net).fit(X, Y)
    expected = [0.05, 0.025, 0.0125, 0.05, 0.05, 0.025, 0.05]
    np.testing.assert_allclose(estimator.history_[:, "event_lr"], expected)
    assert_pruned(estimator)
