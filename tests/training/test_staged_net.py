"""What a net can do in addition while it is trained as a stage, and that it then stops."""

import pickle
import re
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, Checkpoint
from skorch.dataset import ValidSplit
from torch import Tensor, nn

from skprune import PrunedClassifier, PrunedRegressor
from skprune.training.staged_net import extended_for_stage, with_weights
from tests.helpers import same_state, snapshot
from tests.networks import Perceptron
from tests.training.common import CASES, make_data, make_net, pruned

X, Y = make_data()


class OwnNet(NeuralNetClassifier):
    """A user's class, at the top of a file, so that it can be pickled."""


def test_net_has_its_own_class_afterwards() -> None:
    net = make_net(OwnNet).initialize()
    before = set(vars(net))
    with extended_for_stage(net) as same:
        assert same is net
        assert type(net) is not OwnNet
        assert isinstance(net, OwnNet)
        assert (type(net).__name__, type(net).__module__) == (OwnNet.__name__, __name__)
        net.partial_fit(X, Y)
    assert type(net) is OwnNet
    assert set(vars(net)) - before == {"classes_inferred_"}


def test_net_has_its_own_class_after_an_error() -> None:
    net = make_net(OwnNet).initialize()
    with pytest.raises(RuntimeError, match="wanted"), extended_for_stage(net):
        raise RuntimeError("wanted")
    assert type(net) is OwnNet


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n_epochs", [1, 5])
def test_fit_that_fails_leaves_the_class_and_the_callbacks(case: str, n_epochs: int) -> None:
    """In the dense stage, and in the fine-tuning."""
    nets = []

    class Fail(Callback):
        def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
            nets.append(net)
            if len(nets) == n_epochs:
                raise RuntimeError("wanted")

    estimator = pruned(make_net(OwnNet, callbacks=[Fail()]), case)
    with pytest.raises(RuntimeError, match="wanted"):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "net_")
    assert type(nets[0]) is OwnNet
    assert [name for name, _ in nets[0].callbacks_] == [
        "epoch_timer",
        "train_loss",
        "valid_loss",
        "valid_acc",
        "Fail",
        "print_log",
    ]


class Copy(Callback):
    """Copies the net after every epoch."""

    def __init__(self) -> None:
        self.count_ = 0

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        for copy in (pickle.loads(pickle.dumps(net)), deepcopy(net)):
            assert type(copy) is OwnNet
            assert same_state(snapshot(copy.module_), snapshot(net.module_))
            np.testing.assert_array_equal(copy.predict(X), net.predict(X))
            self.count_ += 1


@pytest.mark.parametrize("case", CASES)
def test_copies_made_in_mid_stage_are_of_the_users_class(case: str) -> None:
    estimator = pruned(make_net(OwnNet, callbacks=[("copy", Copy())]), case).fit(X, Y)
    assert dict(estimator.net_.callbacks_)["copy"].count_ == 2 * 7


def test_checkpoint_of_the_whole_net(tmp_path: Any) -> None:
    checkpoint = Checkpoint(None, f_pickle="net.pkl", dirname=str(tmp_path))
    estimator = pruned(make_net(OwnNet, callbacks=[checkpoint]), "unit").fit(X, Y)
    with open(tmp_path / "net.pkl", "rb") as file:
        net = pickle.load(file)
    assert type(net) is OwnNet
    assert same_state(snapshot(net.module_), snapshot(estimator.module_))


# ---------------------------------------------------------------------------------- row weights

RNG = np.random.default_rng(0)
SCORES = torch.from_numpy(RNG.standard_normal((5, 3))).requires_grad_()
CLASSES = torch.tensor([0, 2, 1, 2, 0])
LABELS = torch.from_numpy(RNG.integers(2, size=(5, 3)).astype(float))
NUMBERS = torch.from_numpy(RNG.standard_normal((5, 3)))
# Weights that are counts, so that a row can stand there so many times instead.
COUNTS = torch.tensor([2, 0, 1, 3, 1])
OF_CLASS = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)


def weighted_loss(net: NeuralNet, outputs: Tensor, target: Tensor, weights: Any) -> Tensor:
    """The loss of a batch of rows with weights, in a stage."""
    rows = torch.zeros(len(outputs), 6)
    net.initialize()
    with extended_for_stage(net):
        return net.get_loss(outputs, target, X=with_weights(rows, weights), training=True)


def net_with(criterion: type[nn.Module], cls: type[NeuralNet], **parameters: Any) -> NeuralNet:
    parameters = {f"criterion__{name}": value for name, value in parameters.items()}
    return make_net(cls, criterion=criterion, **parameters)


# What can be explicit about a loss: each criterion with its parameters, its outputs and targets.
LOSSES = {
    "cross_entropy": (NeuralNetClassifier, nn.CrossEntropyLoss, {}, SCORES, CLASSES),
    "cross_entropy_of_classes": (
        NeuralNetClassifier,
        nn.CrossEntropyLoss,
        {"weight": OF_CLASS},
        SCORES,
        CLASSES,
    ),
    "cross_entropy_smoothed": (
        NeuralNetClassifier,
        nn.CrossEntropyLoss,
        {"weight": OF_CLASS, "label_smoothing": 0.1},
        SCORES,
        CLASSES,
    ),
    "cross_entropy_summed": (
        NeuralNetClassifier,
        nn.CrossEntropyLoss,
        {"weight": OF_CLASS, "reduction": "sum"},
        SCORES,
        CLASSES,
    ),
    "nll": (NeuralNetClassifier, nn.NLLLoss, {}, SCORES.softmax(1), CLASSES),
    "nll_of_classes": (
        NeuralNetClassifier,
        nn.NLLLoss,
        {"weight": OF_CLASS},
        SCORES.softmax(1),
        CLASSES,
    ),
    "multi_margin": (
        NeuralNetClassifier,
        nn.MultiMarginLoss,
        {"weight": OF_CLASS},
        SCORES,
        CLASSES,
    ),
    "binary": (NeuralNetBinaryClassifier, nn.BCEWithLogitsLoss, {}, SCORES[:, 0], LABELS[:, 0]),
    "binary_weighted": (
        NeuralNetBinaryClassifier,
        nn.BCEWithLogitsLoss,
        {"weight": torch.tensor([3.0]), "pos_weight": torch.tensor([2.0])},
        SCORES[:, 0],
        LABELS[:, 0],
    ),
    "binary_probabilities": (
        NeuralNetBinaryClassifier,
        nn.BCELoss,
        {},
        SCORES[:, 0].sigmoid(),
        LABELS[:, 0],
    ),
    "multilabel": (NeuralNetClassifier, nn.BCEWithLogitsLoss, {}, SCORES, LABELS),
    "multilabel_weighted": (
        NeuralNetClassifier,
        nn.BCEWithLogitsLoss,
        {"weight": OF_CLASS, "pos_weight": OF_CLASS},
        SCORES,
        LABELS,
    ),
    "mse": (NeuralNetRegressor, nn.MSELoss, {}, SCORES[:, 0], NUMBERS[:, 0]),
    "mse_columns": (NeuralNetRegressor, nn.MSELoss, {}, SCORES, NUMBERS),
    "mse_summed": (NeuralNetRegressor, nn.MSELoss, {"reduction": "sum"}, SCORES, NUMBERS),
    "l1": (NeuralNetRegressor, nn.L1Loss, {}, SCORES, NUMBERS),
    "huber": (NeuralNetRegressor, nn.HuberLoss, {"delta": 0.5}, SCORES, NUMBERS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_is_so_many_rows(name: str) -> None:
    cls, criterion, parameters, outputs, target = LOSSES[name]
    net = net_with(criterion, cls, **parameters)
    ours = weighted_loss(net, outputs, target, COUNTS.double())
    repeated = outputs.repeat_interleave(COUNTS, 0), target.repeat_interleave(COUNTS, 0)
    theirs = net.get_loss(*repeated)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(loss, SCORES, retain_graph=True)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)
    assert net.criterion_.reduction == parameters.get("reduction", "mean")


@pytest.mark.parametrize("name", LOSSES)
def test_the_scale_of_the_weights_is_none_of_a_mean(name: str) -> None:
    cls, criterion, parameters, outputs, target = LOSSES[name]
    net = net_with(criterion, cls, **parameters)
    plain = net.initialize().get_loss(outputs, target)
    scale = 0.3 if parameters.get("reduction") == "sum" else 1.0
    ours = weighted_loss(net, outputs, target, torch.full((5,), 0.3, dtype=torch.float64))
    torch.testing.assert_close(ours, plain * scale, rtol=1e-12, atol=0)


WEIGHTS = torch.tensor([0.5, 0.0, 1.5, 2.0, 0.1], dtype=torch.float64)


def test_cross_entropy_by_hand() -> None:
    total = weight = 0.0
    for scores, label, row in zip(SCORES, CLASSES, WEIGHTS, strict=True):
        total += row * OF_CLASS[label] * (scores.exp().sum().log() - scores[label])
        weight += row * OF_CLASS[label]
    net = net_with(nn.CrossEntropyLoss, NeuralNetClassifier, weight=OF_CLASS)
    ours = weighted_loss(net, SCORES, CLASSES, WEIGHTS)
    torch.testing.assert_close(ours, total / weight, rtol=1e-12, atol=0)


def test_negative_log_likelihood_by_hand() -> None:
    probabilities = SCORES.softmax(1)
    logs = [-p[label].log() for p, label in zip(probabilities, CLASSES, strict=True)]
    net = net_with(nn.NLLLoss, NeuralNetClassifier)
    ours = weighted_loss(net, probabilities, CLASSES, WEIGHTS)
    expected = sum(w * loss for w, loss in zip(WEIGHTS, logs, strict=True)) / WEIGHTS.sum()
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=0)


def test_binary_cross_entropy_by_hand() -> None:
    total = 0.0
    for scores, labels, row in zip(SCORES, LABELS, WEIGHTS, strict=True):
        for score, label in zip(scores, labels, strict=True):
            p = 1 / (1 + (-score).exp())
            total += row * -(label * p.log() + (1 - label) * (1 - p).log()) / 3
    net = net_with(nn.BCEWithLogitsLoss, NeuralNetClassifier)
    ours = weighted_loss(net, SCORES, LABELS, WEIGHTS)
    torch.testing.assert_close(ours, total / WEIGHTS.sum(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("columns", [1, 3])
def test_squared_error_by_hand(columns: int) -> None:
    outputs, target = SCORES[:, :columns], NUMBERS[:, :columns]
    errors = [(a - b) ** 2 for a, b in zip(outputs, target, strict=True)]
    total = sum(w * error.sum() / columns for w, error in zip(WEIGHTS, errors, strict=True))
    ours = weighted_loss(net_with(nn.MSELoss, NeuralNetRegressor), outputs, target, WEIGHTS)
    torch.testing.assert_close(ours, total / WEIGHTS.sum(), rtol=1e-12, atol=0)


def test_no_weights_is_the_plain_loss() -> None:
    net = make_net().initialize()
    plain = net.get_loss(SCORES, CLASSES)
    assert torch.equal(weighted_loss(net, SCORES, CLASSES, None), plain)


def test_own_loss_gets_its_own_inputs() -> None:
    seen = []

    class Penalized(NeuralNetClassifier):
        def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Any:
            seen.append((X, training))
            return super().get_loss(y_pred, y_true, X=X, training=training) + 7

    net = make_net(Penalized).initialize()
    rows, mapping = torch.zeros(5, 6), {"left": torch.zeros(5, 2), "right": torch.zeros(5, 4)}
    with extended_for_stage(net):
        for data in (rows, mapping):
            inputs = with_weights(data, WEIGHTS)
            loss = net.get_loss(SCORES, CLASSES, X=inputs, training=True)
    expected = weighted_loss(make_net(), SCORES, CLASSES, WEIGHTS) + 7
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    assert seen[0][0] is rows
    assert seen[1][0] == mapping
    assert all(training for _, training in seen)


class Unreducible(nn.Module):
    """A criterion that only knows the loss of a batch."""

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, target)


class ReducibleByName(Unreducible):
    reduction = "mean"


class Transposed(Unreducible):
    """Gives a loss of each column, of which there are as many as there are no rows."""

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        return outputs.mean(0)


@pytest.mark.parametrize(
    ("criterion", "shape"), [(Unreducible, "()"), (ReducibleByName, "()"), (Transposed, "(3,)")]
)
def test_criterion_without_a_loss_per_row(criterion: type[nn.Module], shape: str) -> None:
    message = re.escape(
        f"{criterion.__name__} gives no loss per row (its shape is {shape} for 16 rows), so that "
        "sample_weight and class_weight cannot be used with it"
    )
    net = make_net(criterion=criterion)
    with pytest.raises(ValueError, match=message):
        pruned(net).fit(X, Y, sample_weight=np.ones(len(X)))
    with pytest.raises(ValueError, match=message):
        pruned(net, class_weight="balanced").fit(X, Y)


def test_reduction_comes_back_after_an_error() -> None:
    net = make_net(criterion=ReducibleByName)
    with pytest.raises(ValueError, match="no loss per row"):
        weighted_loss(net, SCORES, CLASSES, WEIGHTS)
    assert net.criterion_.reduction == "mean"


def test_a_batch_without_weight_teaches_nothing() -> None:
    for name, (cls, criterion, parameters, outputs, target) in LOSSES.items():
        loss = weighted_loss(net_with(criterion, cls, **parameters), outputs, target, np.zeros(5))
        (gradient,) = torch.autograd.grad(loss, SCORES, retain_graph=True)
        assert loss == 0, name
        assert not gradient.any(), name


# --------------------------------------------------------------------------- through the estimators


class Narrow(Perceptron):
    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(8, 1)


FITS = {
    "cross_entropy": (NeuralNetClassifier, Perceptron, nn.CrossEntropyLoss, Y),
    "nll": (
        NeuralNetClassifier,
        lambda: nn.Sequential(Perceptron(), nn.Softmax(1)),
        nn.NLLLoss,
        Y,
    ),
    "binary": (NeuralNetBinaryClassifier, Narrow, nn.BCEWithLogitsLoss, (X[:, 0] > 0).astype(int)),
    "multilabel": (NeuralNetClassifier, Perceptron, nn.BCEWithLogitsLoss, (X[:, :3] > 0) * 1),
    "mse": (NeuralNetRegressor, Narrow, nn.MSELoss, X[:, 1]),
    "mse_columns": (NeuralNetRegressor, Perceptron, nn.MSELoss, X[:, 1:4]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FITS)
def test_fit_with_weights_is_a_fit_with_repeated_rows(name: str, case: str) -> None:
    cls, module, criterion, target = FITS[name]
    kind = PrunedRegressor if cls is NeuralNetRegressor else PrunedClassifier
    net = make_net(
        cls,
        lambda: module().double(),
        criterion=criterion,
        batch_size=-1,
        iterator_train__shuffle=False,
    )
    counts = np.arange(len(X)) % 3
    weighted = pruned(net, case, kind).fit(X, target, sample_weight=0.7 * counts)
    repeated = pruned(net, case, kind).fit(X.repeat(counts, 0), target.repeat(counts, 0))
    for name, tensor in weighted.module_.state_dict().items():
        torch.testing.assert_close(tensor, repeated.module_.state_dict()[name], rtol=1e-9, atol=0)
    np.testing.assert_allclose(
        weighted.history_[:, "train_loss"], repeated.history_[:, "train_loss"], rtol=1e-9
    )


def test_fit_with_a_batch_without_weight() -> None:
    options = {"iterator_train__shuffle": False, "optimizer__momentum": 0.0}
    net = make_net(optimizer=torch.optim.SGD, **options)
    weights = np.repeat([0.0, 1.0, 0.0], [16, 32, 12])
    weighted = pruned(net).fit(X, Y, sample_weight=weights)
    without = pruned(net).fit(X[16:48], Y[16:48])
    for name, tensor in weighted.module_.state_dict().items():
        torch.testing.assert_close(tensor, without.module_.state_dict()[name], rtol=1e-5, atol=1e-7)
    losses = weighted.history_[0, "batches", :, "train_loss"]
    assert losses[0] == losses[3] == 0 < min(losses[1:3])


def test_validation_loss_is_weighted() -> None:
    weights = np.where(np.arange(len(X)) % 2, 1.0, 3.0)
    split = ValidSplit(3, stratified=True)
    net = make_net(train_split=split, batch_size=-1)
    estimator = pruned(net).fit(X, Y, sample_weight=weights)
    rows = split(np.arange(len(X)), Y)[1].indices
    losses = -np.log(estimator.predict_proba(X[rows])[np.arange(len(rows)), Y[rows]])
    expected = np.average(losses, weights=weights[rows])
    assert estimator.history_[-1, "valid_loss"] == pytest.approx(expected, rel=1e-4)


def test_weights_in_partial_fit() -> None:
    net = make_net(batch_size=-1, module=lambda: Perceptron().double())
    counts = np.arange(len(X)) % 3
    weighted = pruned(net).fit(X, Y).partial_fit(X, Y, sample_weight=counts)
    repeated = pruned(net).fit(X, Y).partial_fit(X.repeat(counts, 0), Y.repeat(counts, 0))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9)
    plain = pruned(net).fit(X, Y).partial_fit(X, Y)
    assert np.abs(weighted.predict_proba(X) - plain.predict_proba(X)).max() > 1e-4
