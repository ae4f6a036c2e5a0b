"""Modules are pruned without a net as they are with one, whatever form the data come in."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from skorch import NeuralNetRegressor
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler, TensorDataset

from skprune import DivergedError, PrunedRegressor, Strategy, UnreachableSparsityError, prune
from skprune.network.network import all_tensors
from skprune.strategies import IMPORTANCES, STRATEGIES, Distill, FineTune, Iterative, Rewind
from tests.helpers import same_state, snapshot
from tests.pruning.common import (
    CASES,
    N_CLASSES,
    N_FEATURES,
    OPTIMIZER,
    SETTINGS,
    build,
    fitted,
    loader,
    rows,
)

X, y = rows()
LOSS = nn.CrossEntropyLoss()
TRAINING: dict[str, Any] = {
    "loss": LOSS,
    "epochs": 4,
    "optimizer": OPTIMIZER,
    "lr": 0.05,
    "batch_size": 32,
    **SETTINGS,
}


@pytest.mark.parametrize(("strategy", "structure"), CASES)
def test_it_gives_what_an_estimator_gives(strategy: str, structure: str) -> None:
    estimator = fitted(strategy, structure)
    pruned = prune(
        build(), X[:8], strategy=strategy, structure=structure, data=loader(), **TRAINING
    )
    assert pruned.masks.keys() == estimator.masks_.keys()
    for name, mask in pruned.masks.items():
        np.testing.assert_array_equal(mask, estimator.masks_[name])
    assert same_state(snapshot(pruned.module), snapshot(estimator.module_))
    assert pruned.sparsity == estimator.sparsity_
    assert pruned.report.total_after == estimator.report_.total_after
    assert [row["stage"] for row in pruned.history] == [row["stage"] for row in estimator.history_]


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_it_goes_back_to_where_an_estimator_goes(epoch: int) -> None:
    strategy = Strategy(schedule=Iterative(2), recovery=Rewind(epoch))
    pruned = prune(build(), X[:8], strategy=strategy, data=loader(), **TRAINING)
    assert same_state(snapshot(pruned.module), snapshot(fitted(strategy).module_))


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_a_regression_is_that_of_a_regressor(structure: str) -> None:
    targets = (X @ torch.randn(N_FEATURES, 2, generator=torch.Generator().manual_seed(1))).tanh()
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(N_FEATURES, 12), nn.Tanh(), nn.Linear(12, 2))
    net = NeuralNetRegressor(
        deepcopy(module),
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=3,
        batch_size=32,
        train_split=None,
        verbose=0,
    )
    params = {"strategy": "gradient", "structure": structure, **SETTINGS}
    estimator = PrunedRegressor(net, **params).fit(X.numpy(), targets.numpy())
    data = DataLoader(TensorDataset(X, targets), batch_size=32)
    pruned = prune(module, X[:8], data=data, loss=nn.MSELoss(), epochs=3, lr=0.01, **params)
    assert same_state(snapshot(pruned.module), snapshot(estimator.module_))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_module_stays_as_it_is(strategy: str) -> None:
    module = build()
    before, training = snapshot(module), module.training
    state = torch.get_rng_state()
    pruned = prune(module, X[:8], strategy=strategy, data=(X, y), **TRAINING)
    assert same_state(snapshot(module), before)
    assert module.training is training
    assert not pruned.module.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in module.parameters())


# Data.


def same_result(data: Any, other: Any, dropout: float = 0.1, **params: Any) -> bool:
    """Whether two forms of the same rows lead to the same weights."""
    params = {**TRAINING, **params}
    one, two = (prune(build(dropout), X[:8], data=form, **params) for form in (data, other))
    return same_state(snapshot(one.module), snapshot(two.module))


@pytest.mark.parametrize("strategy", ["magnitude", "gradient", "hessian", "layer_obs", "snip"])
def test_a_pair_of_tensors_is_cut_into_shuffled_batches(strategy: str) -> None:
    assert same_result((X, y), loader(), strategy=strategy)
    assert same_result((X.numpy(), y.numpy()), loader(), strategy=strategy)


def test_batches_in_a_list_are_those_of_a_loader_in_order() -> None:
    batches = list(zip(X.split(32), y.split(32), strict=True))
    in_order = DataLoader(TensorDataset(X, y), batch_size=32)
    # A loader draws a seed in each epoch, which would make the dropout another.
    assert same_result(batches, in_order, dropout=0.0)
    # All rows are looked at, so that none has to be chosen.
    assert same_result(batches, in_order, dropout=0.0, strategy="gradient")


class Once:
    """Batches that do not say how many they are."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(zip(X.split(32), y.split(32), strict=True))


def test_batches_are_counted_where_nobody_says_how_many_there_are() -> None:
    in_order = DataLoader(TensorDataset(X, y), batch_size=32)
    assert same_result(Once(), in_order, dropout=0.0, strategy="sparse_optimization")


class Named(nn.Module):
    """Takes two tensors, by name or in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 10), nn.Linear(3, 10)
        self.output = nn.Linear(10, N_CLASSES)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.output((self.left(left) + self.right(right)).relu())


@pytest.mark.parametrize("strategy", ["magnitude", "gradient", "layer_obs"])
def test_inputs_may_have_names_or_be_several(strategy: str) -> None:
    torch.manual_seed(0)
    module, (left, right) = Named(), (X[:, :3], X[:, 3:])
    params = {**TRAINING, "strategy": strategy, "structure": "unit"}
    by_name = [
        ({"left": a, "right": b}, c)
        for a, b, c in zip(left.split(40), right.split(40), y.split(40), strict=True)
    ]
    in_order = [((batch["left"], batch["right"]), c) for batch, c in by_name]
    one = prune(module, {"left": left[:8], "right": right[:8]}, data=by_name, **params)
    two = prune(module, (left[:8], right[:8]), data=in_order, **params)
    assert one.module.left.out_features == 5
    assert same_state(snapshot(one.module), snapshot(two.module))
    pair = prune(
        module,
        {"left": left[:8], "right": right[:8]},
        data=({"left": left, "right": right}, y),
        **params,
    )
    assert pair.module.left.out_features == 5
    several = prune(module, (left[:8], right[:8]), data=((left, right), y), **params)
    assert same_state(snapshot(pair.module), snapshot(several.module))


class Poisoned(Dataset):
    """Rows of which some must not be read."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        assert row < self.allowed
        return X[row], y[row]


@pytest.mark.parametrize("strategy", ["gradient", "hessian", "layer_obs"])
def test_rows_that_a_sampler_leaves_out_are_not_looked_at(strategy: str) -> None:
    sampler = SubsetRandomSampler(range(60))
    data = DataLoader(Poisoned(60), batch_size=16, sampler=sampler)
    prune(build(), X[:8], strategy=strategy, data=data, **TRAINING)


@pytest.mark.parametrize("strategy", ["magnitude", "random", "synflow", "lamp"])
def test_some_strategies_need_no_data(strategy: str) -> None:
    params = {"strategy": strategy, "sparsity": 0.5, "random_state": 0}
    pruned = prune(build(), X[:8], **params)
    assert pruned.sparsity == 0.5
    assert pruned.history == []
    with_data = prune(build(), X[:8], data=(X, y), loss=LOSS, fine_tune_epochs=0, **params)
    assert same_state(snapshot(pruned.module), snapshot(with_data.module))


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.functional.cross_entropy,
        lambda outputs, targets: nn.functional.cross_entropy(outputs, targets),
        partial(nn.functional.cross_entropy, label_smoothing=0.0),
    ],
)
def test_losses_of_rows_are_those_of_each_row_alone(loss: Any) -> None:
    params = {"strategy": "hessian", "sparsity": 0.5, "fine_tune_epochs": 0, "random_state": 0}
    pruned = prune(build(), X[:8], data=(X, y), loss=loss, **params)
    usual = prune(build(), X[:8], data=(X, y), loss=LOSS, **params)
    for name, mask in pruned.masks.items():
        np.testing.assert_array_equal(mask, usual.masks[name])


def test_what_a_module_gives_goes_to_the_loss_as_it_is() -> None:
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = build()

        def forward(self, X: Tensor) -> tuple[Tensor, Tensor]:
            outputs = self.body(X)
            return outputs, outputs.square().mean()

    def loss(outputs: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs[0], targets) + 1e-3 * outputs[1]

    params = {**TRAINING, "loss": loss}
    pruned = prune(Several(), X[:8], strategy="gradient", data=(X, y), **params)
    assert pruned.sparsity == 0.5


@pytest.mark.parametrize(
    ("loss", "n_outputs"),
    [
        (nn.CrossEntropyLoss(), 3),
        (nn.NLLLoss(), 3),
        (nn.BCEWithLogitsLoss(), 1),
        (nn.BCELoss(), 1),
        (nn.BCEWithLogitsLoss(), 2),
        (nn.MSELoss(), 2),
        (lambda outputs, targets: (outputs - targets).abs().mean(), 2),
    ],
)
def test_the_predictor_says_what_the_outputs_mean(loss: Any, n_outputs: int) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(N_FEATURES, 12), nn.ReLU(), nn.Linear(12, n_outputs))
    if isinstance(loss, nn.NLLLoss):
        module.append(nn.LogSoftmax(1))
    if isinstance(loss, nn.BCELoss):
        module.append(nn.Sigmoid())
    pruned = prune(module, X[:8], structure="unit", sparsity=0.5, loss=loss)
    predictor = pickle.loads(pickle.dumps(pruned.predictor))
    outputs = pruned.module(X).detach()
    if isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss)):
        expected, proba = outputs.argmax(1), outputs.softmax(1)
    elif isinstance(loss, (nn.BCEWithLogitsLoss, nn.BCELoss)):
        proba = outputs if isinstance(loss, nn.BCELoss) else outputs.sigmoid()
        expected = (proba > 0.5).long()
        if n_outputs == 1:
            expected, proba = expected[:, 0], torch.cat([1 - proba, proba], 1)
    else:
        expected, proba = outputs, None
    np.testing.assert_array_equal(predictor.predict(X.numpy()), expected.numpy())
    assert hasattr(predictor, "predict_proba") is (proba is not None)
    if proba is not None:
        np.testing.assert_allclose(predictor.predict_proba(X.numpy()), proba, atol=1e-6)


def test_a_module_of_several_inputs_has_no_predictor() -> None:
    pruned = prune(Named(), (X[:8, :3], X[:8, 3:]), sparsity=0.5)
    assert pruned.predictor is None
    by_name = prune(Named(), {"left": X[:8, :3], "right": X[:8, 3:]}, sparsity=0.5)
    inputs = {"left": X[:, :3].numpy(), "right": X[:, 3:].numpy()}
    expected = by_name.module(X[:, :3], X[:, 3:]).detach().numpy()
    np.testing.assert_allclose(by_name.predictor.predict(inputs), expected, atol=1e-6)


class ByName(nn.Module):
    """It puts out what it is told to make of its one output."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.one, self.two, self.make = nn.Linear(6, 8), nn.Linear(8, 3), make

    def forward(self, x: Tensor) -> Any:
        return self.make(self.two(self.one(x).relu()))


@pytest.mark.parametrize("make", [lambda y: {"logits": y}, lambda y: [y, -y]], ids=["dict", "list"])
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_a_module_that_puts_out_no_tensor_has_no_predictor(make: Any, structure: str) -> None:
    pruned = prune(ByName(make), X[:8], sparsity=0.5, structure=structure)
    assert pruned.predictor is None
    assert pruned.sparsity == 0.5
    assert type(pruned.module(X)) is type(make(X))


def test_a_module_whose_first_output_is_a_tensor_has_one() -> None:
    pruned = prune(ByName(lambda y: (y, {"more": y})), X[:8], sparsity=0.5)
    expected = pruned.module(X)[0].detach().numpy()
    np.testing.assert_allclose(pruned.predictor.predict(X.numpy()), expected, atol=1e-6)


# What a fine-tuning brings, and what stays of a network without it.


def test_training_restores_what_pruning_took() -> None:
    accuracies = []
    for epochs in (0, 30):
        params = {**TRAINING, "epochs": 20, "fine_tune_epochs": epochs, "sparsity": 0.95}
        module = prune(build(), X[:8], data=(X, y), **params).module
        accuracies.append(float((module(X).argmax(1) == y).float().mean()))
    assert accuracies[0] < accuracies[1] - 0.1


def test_the_lr_of_a_recovery_is_that_of_its_stages() -> None:
    rates: list[float] = []

    def make(parameters: Any, lr: float) -> torch.optim.Optimizer:
        rates.append(lr)
        return torch.optim.SGD(parameters, lr=lr)

    strategy = Strategy(schedule=Iterative(2), recovery=FineTune(lr=1e-3))
    params = {**TRAINING, "optimizer": make}
    prune(build(), X[:8], strategy=strategy, data=(X, y), **params)
    assert rates == [0.05, 1e-3, 1e-3]


def test_lbfgs_trains_as_well() -> None:
    params = {**TRAINING, "optimizer": torch.optim.LBFGS, "lr": 0.5, "epochs": 2}
    for strategy in ("magnitude", "l0", "splicing"):
        pruned = prune(build(), X[:8], strategy=strategy, data=(X, y), **params)
        for name, mask in pruned.masks.items():
            assert not mask.all() or "0" not in name


@pytest.mark.parametrize("kind", ["classes", "binary", "column", "labels", "values"])
def test_an_estimator_teaches(kind: str) -> None:
    targets: Tensor
    n_outputs, loss, teacher = 1, nn.BCEWithLogitsLoss(), LogisticRegression()
    if kind == "classes":
        n_outputs, loss, targets = N_CLASSES, LOSS, y
        teacher.fit(X.numpy(), y.numpy())
    elif kind == "labels":
        from sklearn.multioutput import MultiOutputClassifier

        n_outputs, targets = 2, (X[:, :2] > 0).float()
        teacher = MultiOutputClassifier(teacher).fit(X.numpy(), targets.numpy().astype(int))
    elif kind == "values":
        targets, loss = X[:, :1] * 2, nn.MSELoss()
        teacher = LinearRegression().fit(X.numpy(), targets.numpy())
    else:
        targets = (X[:, 0] > 0).float()
        teacher.fit(X.numpy(), targets.numpy().astype(int))
        targets = targets[:, None]
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(N_FEATURES, 10), nn.ReLU(), nn.Linear(10, n_outputs))
    if kind == "binary":
        module.append(nn.Flatten(0))
        targets = targets[:, 0]
    # What it learns is the teacher's alone, so the targets may be wrong.
    wrong = 1 - targets if kind != "values" else -targets
    wrong = (targets + 1) % N_CLASSES if kind == "classes" else wrong
    params = {**TRAINING, "loss": loss, "epochs": 0, "fine_tune_epochs": 60, "sparsity": 0.2}
    strategy = Strategy(recovery=Distill(teacher, alpha=1.0))
    pruned = prune(module, X[:8], strategy=strategy, data=(X, wrong), **params).module
    outputs = pruned(X).detach()
    if kind == "values":
        assert float((outputs - targets).square().mean()) < 0.1 * float(targets.var())
    elif kind == "classes":
        assert float((outputs.argmax(1) == targets).float().mean()) > 0.85
    else:
        assert float(((outputs > 0) == (targets > 0.5)).float().mean()) > 0.85


# Training by the user's own loop.


def own_loop(seen: list[Any], hold: bool = True) -> Any:
    def train(module: nn.Module, epochs: int) -> None:
        seen.append((epochs, module.training))
        module.train()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
        masked = None
        for _ in range(epochs):
            for inputs, targets in loader():
                optimizer.zero_grad()
                LOSS(module(inputs), targets).backward()
                optimizer.step()
                zeros = {n: (p == 0) for n, p in module.named_parameters() if p.dim() == 2}
                assert masked is None or all((masked[n] <= zeros[n]).all() for n in zeros)
                masked = zeros

    return train


def test_a_training_loop_of_ones_own_runs_under_masks_that_hold() -> None:
    seen: list[Any] = []
    pruned = prune(
        build(),
        X[:8],
        strategy="gradual_magnitude",
        train=own_loop(seen),
        epochs=2,
        **SETTINGS,
    )
    assert seen[0] == (2, True)  # in training mode, as it is to be trained
    assert sum(epochs for epochs, _ in seen[1:]) == 4
    for name, mask in pruned.masks.items():
        weight = dict(pruned.module.named_parameters())[name].detach().numpy()
        if weight.shape == mask.shape:
            assert not weight[~mask].any()
    assert not pruned.module.training


@pytest.mark.parametrize("strategy", ["l0", "rigl", "movement"])
def test_a_loop_of_ones_own_says_how_many_steps_it_takes(strategy: str) -> None:
    """Where there are no data, and where gradients of all of them are accumulated for a step."""

    def train(module: nn.Module, epochs: int) -> None:
        optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
        for _ in range(epochs):
            optimizer.zero_grad()
            LOSS(module(X), y).backward()
            optimizer.step()

    def pruned(**params: Any) -> dict[str, Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            found = prune(build(0), X[:8], strategy=strategy, train=train, **params, **SETTINGS)
        assert found.sparsity == 0.5
        return snapshot(found.module)

    without = pruned(steps_per_epoch=1)
    assert same_state(without, pruned(steps_per_epoch=1, data=loader()))
    if strategy == "rigl":  # it exchanges weights after a number of steps
        assert not same_state(without, pruned(data=loader()))


def test_a_loop_that_bypasses_optimizers_is_masked_at_its_end() -> None:
    def train(module: nn.Module, epochs: int) -> None:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(1.0)

    pruned = prune(build(), X[:8], train=train, structure="2:4", sparsity=None)
    for name, mask in pruned.masks.items():
        assert not dict(pruned.module.named_parameters())[name].detach().numpy()[~mask].any()


def test_weights_may_be_gone_back_to_that_the_user_kept() -> None:
    untrained = build()
    state = snapshot(untrained)
    trained = deepcopy(untrained)
    own_loop([])(trained, 3)
    strategy = Strategy(schedule=Iterative(2), recovery="rewind")
    pruned = prune(
        trained, X[:8], strategy=strategy, initial_state=state, train=lambda *_: None, **SETTINGS
    )
    weights = all_tensors(pruned.module)
    for name, mask in pruned.masks.items():
        if weights[name].shape == mask.shape:
            expected = torch.where(torch.from_numpy(mask), state[name], 0.0)
            assert torch.equal(weights[name].detach(), expected)


# Errors.


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"fine_tune_epochs": 1}, "data is missing to train with"),
        ({"data": (X, y), "fine_tune_epochs": 1}, "loss is missing to train with"),
        ({"epochs": 1}, "data is missing"),
        ({"strategy": "gradient"}, "looks at rows of data, and there are none"),
        ({"strategy": "snip", "data": (X, y)}, "looks at the loss, and there is none"),
        ({"data": X, "loss": LOSS}, "data must be a DataLoader.*got a Tensor"),
        ({"data": 3, "loss": LOSS}, "data must be a DataLoader.*got a int"),
        ({"data": iter([(X, y)]), "loss": LOSS}, "gone through only once"),
        ({"data": (X, y[:-1]), "loss": LOSS}, "120 rows of inputs and 119 targets"),
        ({"data": ({"a": X[:3]}, y), "loss": LOSS}, "3 rows of inputs 'a' and 120 targets"),
        ({"data": [(X, y, y)], "loss": LOSS}, "Batch 0 of data is a tuple of 3; it must be a pair"),
        ({"data": [X, X, X], "loss": LOSS}, "Batch 0 of data is a Tensor; it must be a pair"),
        ({"data": [], "loss": LOSS}, "data has no batches"),
        ({"strategy": "magnitud"}, "Unknown strategy 'magnitud'.*'magnitude'"),
        ({"protect": ["9"]}, "protect names an unknown layer '9'"),
        ({"sparsity": 1.5}, "'sparsity' parameter of prune must be"),
        ({"epochs": -1}, "'epochs' parameter of prune must be"),
        ({"lr": 0.0}, "'lr' parameter of prune must be"),
        ({"strategy": "lottery_ticket", "train": print}, "Pass initial_state"),
        ({"strategy": "distillation", "train": print, "data": (X, y), "loss": LOSS}, "teacher"),
        ({"strategy": "l0", "train": print}, "steps an epoch has. Pass data"),
        ({"strategy": "rigl"}, "Set fine_tune_epochs"),
        ({"loss": "cross_entropy"}, "'loss' parameter of prune must be a callable"),
        ({"loss": nn.MSELoss}, r"got the class MSELoss.*loss=MSELoss\(\)"),
        ({"initial_state": [1]}, "'initial_state' parameter of prune must be"),
        ({"data": ((X, X[:3]), y), "loss": LOSS}, "3 rows of inputs 1 and 120 targets"),
    ],
)
def test_errors_say_what_is_missing(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prune(build(), X[:8], **{"random_state": 0, **params})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "must be a tensor, a tuple of tensors.*got a NoneType"),
        (X[:8].numpy(), "got a ndarray"),
        ({}, "got a dict"),
        (X[:0], "has no rows"),
        (X[:8, :3], "cannot be run on example_inputs: RuntimeError: mat1 and mat2"),
        ((X[:8], X[:8]), "cannot be run on example_inputs: TypeError"),
    ],
)
def test_inputs_that_the_module_does_not_take_are_told(inputs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prune(build(), inputs, sparsity=0.5)


def must_not_train(module: nn.Module, epochs: int) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"strategy": "hessian"}, "looks at rows of data, and there are none"),
        ({"strategy": "layer_obs"}, "looks at rows of data, and there are none"),
        ({"strategy": "hessian", "data": (X, y)}, "looks at the loss, and there is none"),
        ({"strategy": "l0"}, "how many steps an epoch"),
        ({"strategy": "rigl"}, "how many steps an epoch"),
        ({"strategy": "movement"}, "how many steps an epoch"),
        ({"strategy": "distillation"}, "looks at rows of data, and there are none"),
        ({"strategy": "distillation", "data": (X, y)}, "looks at the loss, and there is none"),
        ({"strategy": "distillation", "data": (X, y), "loss": LOSS}, "has a teacher"),
    ],
)
def test_what_is_missing_is_told_before_any_training(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prune(build(), X[:8], epochs=4, train=must_not_train, **params)


# Movement looks at what it has seen of the training, and at the loss only where it has seen none.
@pytest.mark.parametrize("importance", sorted(set(IMPORTANCES) - {"movement"}))
def test_importances_look_at_what_they_say(
    importance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = IMPORTANCES[importance].looks_at
    monkeypatch.setattr(IMPORTANCES[importance], "looks_at", "weights")  # nothing is checked before

    def score(**params: Any) -> None:
        prune(build(), X[:8], strategy=Strategy(importance), fine_tune_epochs=0, **params)

    rows_missing = pytest.raises(ValueError, match="looks at rows of data, and there are none")
    with rows_missing if said != "weights" else nullcontext():
        score()
    loss_missing = pytest.raises(ValueError, match="looks at the loss, and there is none")
    with loss_missing if said == "loss" else nullcontext():
        score(data=(X, y))
    score(data=(X, y), loss=LOSS)


class _Undeclared(FineTune):
    """Changes the loss, and does not say so."""

    def begin(self, learning: Any) -> Any:
        fill_in = super().begin(learning)
        return lambda stage: replace(fill_in(stage), loss_term=object())


def test_a_loop_of_ones_own_is_never_given_a_loss_term() -> None:
    strategy = Strategy(recovery=_Undeclared())
    with pytest.raises(ValueError, match="has a teacher"):
        prune(build(), X[:8], strategy=strategy, train=must_not_train, fine_tune_epochs=2)


def test_a_distillation_has_to_know_the_loss() -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return LOSS(outputs, targets)

    params = {**TRAINING, "loss": loss}
    with pytest.raises(ValueError, match="loss=loss does not tell"):
        prune(build(), X[:8], strategy="distillation", data=(X, y), **params)


def test_wrapped_modules_are_refused() -> None:
    with pytest.raises(ValueError, match="wrapped by DataParallel"):
        prune(nn.DataParallel(build()), X[:8])
    with pytest.raises(ValueError, match="got the class Linear"):
        prune(nn.Linear, X[:8])
    with pytest.raises(ValueError, match=r"wrapped by torch\.compile"):
        prune(torch.compile(build(), backend="eager"), X[:8])


def test_a_target_out_of_reach_is_told_before_any_training() -> None:
    with pytest.raises(UnreachableSparsityError, match="largest reachable sparsity"):
        prune(build(), X[:8], structure="unit", sparsity=0.99, epochs=1, train=must_not_train)


def test_a_training_that_diverges_is_told() -> None:
    params = {**TRAINING, "optimizer": torch.optim.SGD, "lr": 1e6}
    with pytest.raises(DivergedError, match="while training the dense network"):
        prune(build(), X[:8], data=(X, y), **params)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "initial_state lacks parameters of the module: '0.weight'"),
        ({**snapshot(build()), "0.weight": torch.zeros(2, 2)}, r"'0.weight' of shape \(2, 2\)"),
    ],
)
def test_an_initial_state_of_another_module_is_refused(state: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prune(build(), X[:8], strategy="lottery_ticket", initial_state=state, train=print)


# What it shares with estimators, and what it does without.


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("budget", ["weights", "parameters", "macs"])
def test_budgets_are_those_of_an_estimator(budget: str, structure: str) -> None:
    params = {"sparsity": 0.6, "budget": budget}
    estimator = fitted("gradual_magnitude", structure, **params)
    pruned = prune(
        build(),
        X[:8],
        strategy="gradual_magnitude",
        structure=structure,
        data=loader(),
        **{**TRAINING, **params},
    )
    assert same_state(snapshot(pruned.module), snapshot(estimator.module_))
    before, after = pruned.report.total_before, pruned.report.total_after
    assert getattr(after, budget) <= 0.4 * getattr(before, budget)


def test_layers_are_protected_by_pattern_and_type() -> None:
    pruned = prune(build(), X[:8], protect=["[0-3]"], sparsity=0.5)
    assert pruned.masks["0.weight"].all()
    assert pruned.masks["3.weight"].all()
    assert pruned.masks["5.weight"].sum() == 24
    with pytest.raises(ValueError, match="nothing to prune"):
        prune(build(), X[:8], protect=[nn.Linear])


WITHOUT_SKORCH = """
import sys


class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "skorch":
            raise ImportError("skorch is not to be imported")


sys.meta_path.insert(0, Refuses())

import torch
from torch import nn

from skprune import prune
from skprune.strategies import STRATEGIES

X, y = torch.randn(60, 6), torch.randint(3, (60,))
for strategy in STRATEGIES:
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    pruned = prune(
        module,
        X[:8],
        strategy=strategy,
        sparsity=0.5,
        data=(X, y),
        loss=nn.CrossEntropyLoss(),
        epochs=1,
        fine_tune_epochs=2,
    )
    assert pruned.sparsity == 0.5
    pruned.predictor.predict_proba(X.numpy())
assert not any(name.partition(".")[0] == "skorch" for name in sys.modules)
"""


def test_the_engine_runs_where_skorch_cannot_be_imported() -> None:
    subprocess.run([sys.executable, "-Werror", "-c", WITHOUT_SKORCH], check=True)
