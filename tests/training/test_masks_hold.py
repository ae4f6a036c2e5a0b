"""Masked weights are zero whoever trains the network, at whatever moment one looks."""

import pickle
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tests.training.common import assert_pruned, make_data, make_net, pruned

X, Y = make_data()


def n_weights(net: NeuralNet) -> int:
    return sum(int(p.count_nonzero()) for p in net.module_.parameters() if p.dim() == 2)


def same(net: NeuralNet) -> NeuralNet:
    return net


def pickled(net: NeuralNet) -> NeuralNet:
    return pickle.loads(pickle.dumps(net))


@pytest.mark.parametrize("copied", [same, deepcopy, pickled])
@pytest.mark.parametrize("method", ["partial_fit", "fit_loop"])
def test_the_net_of_a_user_keeps_its_masks(copied: Any, method: str, tmp_path: Any) -> None:
    estimator = pruned(make_net()).fit(X, Y)
    kept = n_weights(estimator.net_)
    net = copied(estimator.net_)
    before = net.module_.hidden0.weight.clone()

    getattr(net, method)(X, Y)

    assert n_weights(net) == kept
    assert not torch.equal(net.module_.hidden0.weight, before)
    other = deepcopy(net)
    for weight in other.module_.parameters():
        nn.init.ones_(weight)
    other.save_params(f_params=tmp_path / "weights.pt")
    net.load_params(f_params=tmp_path / "weights.pt")
    assert n_weights(net) == sum(int(mask.sum()) for mask in estimator._masks.values())
    assert not any("mask" in name for name in net.get_params())
    assert type(clone(net)) is NeuralNetClassifier


def test_a_net_that_is_fitted_anew_is_dense() -> None:
    net = pruned(make_net()).fit(X, Y).net_
    assert n_weights(net.fit(X, Y)) == 136
    assert n_weights(net.partial_fit(X, Y)) == 136


def test_masks_hold_in_partial_fit_after_a_pickle() -> None:
    estimator = pickle.loads(pickle.dumps(pruned(make_net()).fit(X, Y)))
    estimator.net_.partial_fit(X, Y)
    assert_pruned(estimator.partial_fit(X, Y))
    estimator.net_.partial_fit(X, Y)
    assert_pruned(estimator)


class Looking(nn.Module):
    """Counts its weights each time it computes in training."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 16)
        self.output = nn.Linear(16, 3)
        self.seen: list[int] = []

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        if self.training:
            weights = (self.hidden.weight, self.output.weight)
            self.seen.append(sum(int(w.count_nonzero()) for w in weights))
        return self.output(self.hidden(X).relu())


class TwoSteps(NeuralNetClassifier):
    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        super().train_step(batch, **fit_params)
        self.optimizer_.step()
        self.module_(torch.zeros(1, 6))
        return super().train_step(batch, **fit_params)


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
def test_within_the_closures_of_lbfgs(line_search: str | None) -> None:
    net = make_net(
        NeuralNetClassifier,
        Looking,
        optimizer=torch.optim.LBFGS,
        optimizer__line_search_fn=line_search,
        batch_size=-1,
    )
    fine_tuned = pruned(net, fine_tune_epochs=3).fit(X, Y)
    assert fine_tuned.module_.seen[-1] == 36
    assert set(fine_tuned.module_.seen) == {144, 91, 57, 36}


def test_between_two_steps_of_a_training_step() -> None:
    seen = pruned(make_net(TwoSteps, Looking)).fit(X, Y).module_.seen
    assert set(seen) == {144, 91, 57, 36}


def test_averages_of_the_dense_stage_that_are_written_back() -> None:
    counts = []

    class Average(Callback):
        average_: Any = None

        def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
            if Average.average_ is None:
                Average.average_ = AveragedModel(net.module_)
            Average.average_.update_parameters(net.module_)
            net.module_.load_state_dict(Average.average_.module.state_dict())

    class Count(Callback):
        def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
            counts.append(n_weights(net))

    net = make_net(callbacks=[("average", Average()), ("count", Count())])
    assert_pruned(pruned(net).fit(X, Y))
    assert counts == [136] * 3 + [86, 54, 54, 34]
    assert np.isfinite(counts).all()


class Sized(nn.Module):
    def __init__(self, n_inputs: int = 3) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_inputs, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return self.output(self.hidden(X).relu())


class SetSize(Callback):
    """As skorch's documentation shows."""

    def on_train_begin(self, net: NeuralNet, X: Any, y: Any) -> None:
        net.set_params(module__n_inputs=X.shape[-1])


@pytest.mark.parametrize("case", ["weight", "unit"])
@pytest.mark.parametrize("weights", [None, np.ones(len(X))])
def test_callback_that_sets_the_size_of_the_module(case: str, weights: Any) -> None:
    net = make_net(NeuralNetClassifier, Sized, callbacks=[SetSize()])
    estimator = pruned(net, case).fit(X, Y, sample_weight=weights)
    sized = make_net(NeuralNetClassifier, Sized, module__n_inputs=6)
    expected = pruned(sized, case).fit(X, Y, sample_weight=weights)
    assert estimator.masks_["hidden.weight"].shape == (8, 6)
    assert estimator.sparsity_ == expected.sparsity_
    assert len(estimator.history_) == 7
    estimator.partial_fit(X, Y)
