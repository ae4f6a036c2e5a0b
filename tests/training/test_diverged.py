"""A training that diverges says when, and leaves the estimator as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback
from torch import Tensor

from skprune import DivergedError, PrunedClassifier, PrunedRegressor
from skprune.estimators.base import BasePruned
from tests.helpers import same_state, snapshot
from tests.training.common import CASES, DENSE, FINE_TUNING, left_alone, make_data, make_net, pruned

X, Y = make_data()


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return request.param


class Diverging(NeuralNetClassifier):
    """Has a loss of the given value in the training batch of the given number."""

    def __init__(self, *args: Any, batch: int, value: float = np.nan, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batch = batch
        self.value = value
        self.count_ = 0

    def get_loss(self, *args: Any, training: bool = False, **kwargs: Any) -> Tensor:
        loss = super().get_loss(*args, training=training, **kwargs)
        self.count_ += training
        # Its gradient is zero, so that only the loss is wrong.
        return loss * 0 + self.value if training and self.count_ == self.batch else loss


def fails(call: Callable, message: str) -> None:
    with pytest.raises(DivergedError, match=f"^The network diverged while {message}") as error:
        call(X, Y)
    assert "Try a smaller learning rate, or scale the data." in str(error.value)


@contextmanager
def unchanged(estimator: BasePruned) -> Iterator[None]:
    """See that an estimator keeps its attributes, its weights and its history."""
    before = dict(vars(estimator))
    weights = snapshot(estimator.module_)
    history = [dict(row) for row in estimator.history_]
    yield
    after = vars(estimator)
    assert after.keys() == before.keys()
    assert all(after[name] is value for name, value in before.items())
    assert same_state(snapshot(estimator.module_), weights)
    assert list(estimator.history_) == history


# 4 batches an epoch; 3 epochs are dense, then come stages of 1 epoch and more, which count on.
@pytest.mark.parametrize(
    ("batch", "stage", "epoch", "number"),
    [(1, DENSE, 1, 1), (11, DENSE, 3, 3), (14, FINE_TUNING, 4, 2), (20, FINE_TUNING, 5, 4)],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_loss_names_stage_epoch_and_batch(
    case: str, value: float, batch: int, stage: str, epoch: int, number: int
) -> None:
    net = make_net(Diverging, batch=batch, value=value)
    with left_alone(net):
        fails(
            pruned(net, case).fit,
            f"{stage}: the training loss became {value} in epoch {epoch}, batch {number}",
        )


def test_loss_in_partial_fit(case: str) -> None:
    estimator = pruned(make_net(Diverging, batch=7 * 4 + 3), case).fit(X, Y)
    with unchanged(estimator):
        fails(
            estimator.partial_fit, r"continuing: the training loss became nan in epoch 8, batch 3"
        )


def test_learning_rate_too_large(case: str) -> None:
    net = make_net(NeuralNetRegressor, lr=1e4, max_epochs=20)
    message = "training the dense network: the training loss became (inf|nan) in epoch"
    with pytest.raises(DivergedError, match=message):
        pruned(net, case, PrunedRegressor).fit(X, X[:, :3])


def test_learning_rate_too_large_for_the_default_net() -> None:
    estimator = PrunedRegressor(random_state=0).set_params(
        estimator__lr=1e30, estimator__optimizer=torch.optim.SGD
    )
    message = r"the training loss became (inf|nan) in epoch 2, batch 1\."
    with pytest.raises(DivergedError, match=message):
        estimator.fit(X, X[:, 0])


class Spoil(Callback):
    """Makes a weight infinite at the end of a stage, when no loss will tell."""

    def __init__(self, stage: int) -> None:
        self.stage = stage
        self.count_ = 0

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.count_ += 1
        if self.count_ == self.stage:
            net.module_.hidden1.bias.data[1] = np.inf


@pytest.mark.parametrize(("stage", "name"), [(1, DENSE), (2, FINE_TUNING), (4, FINE_TUNING)])
def test_weights_at_the_end_of_a_stage(case: str, stage: int, name: str) -> None:
    net = make_net(callbacks=[Spoil(stage)])
    with left_alone(net):
        fails(
            pruned(net, case).fit,
            f"{name}: parameter 'hidden1.bias' is not finite at its end",
        )


def test_weights_after_partial_fit(case: str) -> None:
    estimator = pruned(make_net(callbacks=[Spoil(5)]), case).fit(X, Y)
    with unchanged(estimator):
        fails(
            estimator.partial_fit, r"continuing: parameter 'hidden1.bias' is not finite at its end"
        )


def test_failed_fit_leaves_an_estimator_that_is_not_fitted(case: str) -> None:
    estimator = pruned(make_net(Diverging, batch=14), case)
    before = dict(vars(estimator))
    fails(estimator.fit, FINE_TUNING)
    assert vars(estimator) == before
    assert not hasattr(estimator, "n_features_in_")


def test_failed_fit_leaves_what_was_fitted_before(case: str) -> None:
    estimator = pruned(make_net(), case).fit(X, Y)
    estimator.set_params(estimator=make_net(Diverging, batch=14))
    with unchanged(estimator):
        fails(estimator.fit, FINE_TUNING)
    assert estimator.predict(X).shape == (60,)


def test_failed_fit_on_other_features_leaves_those_of_before() -> None:
    estimator = PrunedClassifier(random_state=0, fine_tune_epochs=1)
    estimator.set_params(estimator__max_epochs=2).fit(X, Y)
    estimator.set_params(estimator__lr=np.inf)
    with pytest.raises(DivergedError):
        estimator.fit(X[:, :3], Y)
    assert estimator.n_features_in_ == 6
    assert estimator.predict(X).shape == (60,)


def test_finite_losses_are_no_divergence(case: str) -> None:
    pruned(make_net(Diverging, batch=14, value=1e30), case).fit(X, Y)
