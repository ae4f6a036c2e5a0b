"""What may be learned: classes, labels, numbers; and what predictions look like."""

from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, cross_val_score
from skorch import NeuralNet
from torch import Tensor, nn

from skprune import PrunedClassifier, PrunedRegressor, Strategy
from skprune.seeding import seeded
from tests.estimators.common import (
    ESTIMATORS,
    Perceptron,
    assert_equal_fits,
    binary_net,
    blobs,
    classifier_net,
    data_for,
    labels_net,
    net_for,
    outputs,
    regressor_net,
)

STRINGS = np.array(["owl", "cat", "dog"])
QUICK: dict[str, Any] = {"sparsity": 0.5, "random_state": 0}


def assert_probabilities(estimator: PrunedClassifier, X: np.ndarray, n_columns: int) -> None:
    probabilities = estimator.predict_proba(X)
    assert probabilities.shape == (len(X), n_columns)
    assert probabilities.dtype == np.float64
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    np.testing.assert_array_equal(estimator.predict_log_proba(X), np.log(probabilities))


def assert_distribution(estimator: PrunedClassifier, X: np.ndarray) -> None:
    assert_probabilities(estimator, X, len(estimator.classes_))
    np.testing.assert_allclose(estimator.predict_proba(X).sum(1), 1, rtol=1e-12)


# Classes


@pytest.mark.parametrize("net", [classifier_net(), None], ids=["wrapped", "default"])
@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_classes(net: Any, structure: str, n_classes: int) -> None:
    X, codes = blobs(n_classes)
    y = np.array(["e", "a", "c", "b", "d"])[codes]

    fitted = PrunedClassifier(net, structure=structure, **QUICK).fit(X, y)

    assert fitted.classes_.tolist() == sorted(set(y))
    assert_distribution(fitted, X)
    assert fitted.predict(X).shape == (len(X),)
    np.testing.assert_array_equal(
        fitted.predict(X), fitted.classes_[fitted.predict_proba(X).argmax(1)]
    )
    assert fitted.score(X, y) > 1.5 / n_classes
    # Columns in another order than that of classes_ would give a large loss.
    assert log_loss(y, fitted.predict_proba(X)) < np.log(n_classes)


class Probabilities(nn.Module):
    """Ends in a softmax, as skorch's default loss for classifiers wants it."""

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_features, 16)
        self.output = nn.Linear(16, n_outputs)

    def forward(self, X: Tensor) -> Tensor:
        return self.output(self.hidden(X).relu()).softmax(-1)


def test_module_that_gives_probabilities() -> None:
    X, y = blobs()

    fitted = PrunedClassifier(classifier_net(Probabilities, criterion=nn.NLLLoss), **QUICK)
    fitted.fit(X, y)

    assert_distribution(fitted, X)
    assert fitted.score(X, y) > 0.8


def test_nonlinearity_of_the_net_is_respected() -> None:
    X, y = blobs()
    net = classifier_net(predict_nonlinearity=None)

    fitted = PrunedClassifier(net, **QUICK).fit(X, y)

    scores = fitted.predict_proba(X)
    assert not np.allclose(scores.sum(1), 1)
    np.testing.assert_array_equal(fitted.predict(X), scores.argmax(1))


@pytest.mark.parametrize("columns", [2, 5])
def test_output_of_another_width_than_the_classes(columns: int) -> None:
    X, y = blobs()

    with pytest.raises(ValueError, match=rf"\(8, {columns}\) for 8 rows; 3 classes need 3 columns"):
        PrunedClassifier(classifier_net(module__n_outputs=columns)).fit(X, y)


def test_continuous_classes() -> None:
    X, _ = blobs()

    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        PrunedClassifier().fit(X, X[:, 0])


def test_several_columns_of_classes() -> None:
    X, y = blobs()

    with pytest.raises(ValueError, match="y has 2 columns of classes"):
        PrunedClassifier().fit(X, np.column_stack([y, y]))


# Two classes and one output


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_binary_net(structure: str) -> None:
    X, codes = blobs(n_classes=2)
    y = np.array(["yes", "no"])[codes]

    fitted = PrunedClassifier(binary_net(), structure=structure, **QUICK).fit(X, y)

    assert fitted.module_.output.out_features == 1
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert_distribution(fitted, X)
    assert fitted.score(X, y) > 0.9
    assert (fitted.predict_proba(X)[y == "yes", 1] > 0.5).mean() > 0.9


@pytest.mark.parametrize("threshold", [0.05, 0.5, 0.95])
def test_threshold_of_a_binary_net(threshold: float) -> None:
    X, codes = blobs(n_classes=2)
    X += np.random.default_rng(0).normal(scale=2, size=X.shape)
    y = np.array(["no", "yes"])[codes]

    fitted = PrunedClassifier(binary_net(threshold=threshold), **QUICK).fit(X, y)

    positive = fitted.predict_proba(X)[:, 1]
    assert positive.min() < 0.3 < 0.7 < positive.max()
    np.testing.assert_array_equal(fitted.predict(X) == "yes", positive > threshold)


def test_binary_net_takes_two_classes() -> None:
    X, y = blobs(n_classes=3)

    with pytest.raises(ValueError, match="NeuralNetBinaryClassifier takes 2 classes; y has 3"):
        PrunedClassifier(binary_net()).fit(X, y)


# Several labels a row


@pytest.mark.parametrize("net", [labels_net(lr=0.05), None], ids=["wrapped", "default"])
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_several_labels(net: Any, structure: str) -> None:
    X, y = make_multilabel_classification(80, 6, n_classes=4, random_state=0)
    X = (X - X.mean(0)) / X.std(0)

    fitted = PrunedClassifier(net, structure=structure, **QUICK).fit(X, y)

    assert fitted.classes_.tolist() == [0, 1, 2, 3]
    assert_probabilities(fitted, X, n_columns=4)
    assert not np.allclose(fitted.predict_proba(X).sum(1), 1, atol=0.1)
    np.testing.assert_array_equal(fitted.predict(X), fitted.predict_proba(X) > 0.5)
    assert fitted.predict(X).shape == y.shape
    assert (fitted.predict(X) == y).mean() > 0.75


def test_labels_for_a_net_that_learns_classes() -> None:
    X, y = make_multilabel_classification(60, 6, n_classes=3, random_state=0)

    for net in (classifier_net(), classifier_net(Probabilities, criterion=nn.NLLLoss)):
        with pytest.raises(ValueError, match=r"several labels a row.*=torch\.nn\.BCEWith"):
            PrunedClassifier(net).fit(X, y)
    with pytest.raises(ValueError, match="several labels a row, which NeuralNetBinaryClassifier"):
        PrunedClassifier(binary_net()).fit(X, y)
    with pytest.raises(ValueError, match="3 labels need 3 columns"):
        PrunedClassifier(labels_net(module__n_outputs=4)).fit(X, y)


def test_tags_say_what_a_net_can_learn() -> None:
    def tags(net: NeuralNet | FrozenEstimator | None) -> tuple[bool, bool]:
        tags = PrunedClassifier(net).__sklearn_tags__().classifier_tags
        return tags.multi_class, tags.multi_label

    assert tags(None) == (True, True)
    assert tags(classifier_net()) == (True, False)
    assert tags(FrozenEstimator(classifier_net(criterion=nn.NLLLoss()))) == (True, False)
    assert tags(labels_net()) == (True, True)
    assert tags(binary_net()) == (False, False)
    assert PrunedRegressor().__sklearn_tags__().target_tags.multi_output


# Numbers


class OneNumber(nn.Module):
    """Gives a number a row, and not a column of them."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_features, 16)
        self.output = nn.Linear(16, 1)

    def forward(self, X: Tensor) -> Tensor:
        return self.output(self.hidden(X).relu()).squeeze(1)


@pytest.mark.parametrize(
    "net",
    [regressor_net(max_epochs=20), regressor_net(OneNumber, max_epochs=20), None],
    ids=["column", "flat", "default"],
)
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_one_number(net: Any, structure: str) -> None:
    X, y = data_for("regressor")

    fitted = PrunedRegressor(net, structure=structure, **QUICK)

    for target in (y, y.astype(np.float32), y[:, None]):
        predictions = fitted.fit(X, target).predict(X)
        assert predictions.shape == target.shape
        assert predictions.dtype == np.float64
        # Rows and targets that are broadcast against each other would learn the mean.
        assert fitted.score(X, target) > 0.8
    assert fitted.fit(X, np.round(y).astype(int)).predict(X).dtype == np.float64


def test_flat_and_column_outputs_learn_the_same() -> None:
    X, y = data_for("regressor")

    flat = PrunedRegressor(regressor_net(OneNumber), **QUICK).fit(X, y)
    column = PrunedRegressor(regressor_net(), **QUICK).fit(X, y)

    assert_equal_fits(flat, column, X, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("net", [regressor_net(max_epochs=20), None], ids=["wrapped", "default"])
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_several_numbers(net: Any, structure: str) -> None:
    X, _ = data_for("regressor")
    y = X @ np.random.default_rng(0).standard_normal((4, 3))

    fitted = PrunedRegressor(net, structure=structure, **QUICK).fit(X, y)

    assert fitted.predict(X).shape == y.shape
    assert fitted.predict(X).dtype == np.float64
    assert fitted.score(X, y) > 0.8


def test_target_of_any_scale() -> None:
    X, y = data_for("regressor")

    # Weight decay is the one part of the training that the scale of the loss does not reach.
    model = PrunedRegressor(**QUICK).set_params(estimator__optimizer__weight_decay=0.0)
    small = clone(model).fit(X, y)
    large = clone(model).fit(X, 1e4 * y + 1e5)

    np.testing.assert_allclose(large.predict(X), 1e4 * small.predict(X) + 1e5, rtol=1e-4)


def test_numbers_that_do_not_fit_the_net() -> None:
    X, y = data_for("regressor")

    with pytest.raises(ValueError, match=r"y has shape \(60, 2\).* output has shape \(8, 3\)"):
        PrunedRegressor(regressor_net(module__n_outputs=3)).fit(X, X[:, :2])
    fitted = PrunedRegressor(regressor_net(), **QUICK).fit(X, y)
    with pytest.raises(ValueError, match=r"y has shape \(60, 2\), but PrunedRegressor was fitted"):
        fitted.partial_fit(X, X[:, :2])


# Nets that are trained already


def trained(kind: str, X: np.ndarray, y: np.ndarray, **options: Any) -> NeuralNet:
    if kind == "regressor":
        y = y.reshape(len(y), -1).astype(np.float32)
    net = net_for(kind, module__n_features=4, **options)
    net.set_params(module__n_outputs=3 if kind == "classifier" else 1)
    with seeded(0):
        return net.fit(X.astype(np.float32), y)


@pytest.fixture(params=ESTIMATORS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("wrap", [lambda net: net, FrozenEstimator], ids=["net", "frozen"])
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_trained_net_is_not_trained_again(kind: str, structure: str, wrap: Any) -> None:
    X, y = data_for(kind)
    net = trained(kind, X, y)
    before = deepcopy(net.module_.state_dict())
    history, params = net.history.to_list(), repr(net)

    fitted = ESTIMATORS[kind](wrap(net), structure=structure, fine_tune_epochs=2, **QUICK)
    fitted.fit(X, y)

    assert [row["epoch"] for row in fitted.history_] == [1, 2, 3, 4, 5, 6, 7]
    stages = ["training outside the estimator"] * 5 + ["fine-tuning"] * 2
    assert [row["stage"] for row in fitted.history_] == stages
    assert fitted.net_ is not net
    assert net.history.to_list() == history
    assert repr(net) == params
    for name, tensor in net.module_.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_trained_net_keeps_its_weights_without_fine_tuning(kind: str) -> None:
    X, y = data_for(kind)
    net = trained(kind, X, y)

    fitted = ESTIMATORS[kind](net, sparsity=0.0, fine_tune_epochs=0).fit(X, y)

    assert len(fitted.history_) == 5
    expected = net.predict_proba(X.astype(np.float32))
    np.testing.assert_allclose(outputs(fitted, X).reshape(expected.shape), expected, rtol=1e-5)


def test_trained_net_meets_its_labels() -> None:
    X, y = blobs()
    net = trained("classifier", X, y)

    by_number = PrunedClassifier(net, fine_tune_epochs=0, **QUICK).fit(X, y)
    by_name = PrunedClassifier(net, fine_tune_epochs=0, **QUICK).fit(
        X, np.array(["a", "b", "c"])[y]
    )

    np.testing.assert_array_equal(by_number.predict_proba(X), by_name.predict_proba(X))
    np.testing.assert_array_equal(
        by_name.predict(X), np.array(["a", "b", "c"])[by_number.predict(X)]
    )
    assert by_name.score(X, np.array(["a", "b", "c"])[y]) > 0.8


@pytest.mark.parametrize("fold", [[0, 1], [1, 2], [0, 2], [2]])
def test_rows_may_lack_classes_of_a_trained_net(fold: list[int]) -> None:
    X, y = blobs()
    net = trained("classifier", X, y)
    rows = np.isin(y, fold)

    fitted = PrunedClassifier(net, fine_tune_epochs=1, **QUICK).fit(X[rows], y[rows])

    assert fitted.classes_.tolist() == [0, 1, 2]
    assert_distribution(fitted, X)
    assert fitted.score(X[rows], y[rows]) > 0.8


def test_frozen_net_in_cross_validation() -> None:
    X, y = blobs()
    order = np.argsort(y, kind="stable")
    X, y = X[order], y[order]
    model = PrunedClassifier(
        FrozenEstimator(trained("classifier", X, y)), fine_tune_epochs=0, **QUICK
    )

    # Sorted and not shuffled: every fold of training rows lacks a class.
    scores = cross_val_score(model, X, y, cv=KFold(3), error_score="raise")

    assert scores.min() > 0.7


def test_classes_that_a_trained_net_cannot_know() -> None:
    X, y = blobs()
    net = trained("classifier", X, y)

    with pytest.raises(ValueError, match=r"knows 3 classes, \[0, 1, 2\]; y has 2, \[1, 7\]"):
        PrunedClassifier(net).fit(X, np.where(y > 0, 7, 1))
    with pytest.raises(ValueError, match="knows 3 classes"):
        PrunedClassifier(net).fit(X, np.array(["a", "b"])[np.minimum(y, 1)])


def test_net_with_loaded_weights() -> None:
    X, y = blobs()
    net = trained("classifier", X, y)
    loaded = classifier_net(module__n_features=4, module__n_outputs=3).initialize()
    loaded.module_.load_state_dict(net.module_.state_dict())

    fitted = PrunedClassifier(loaded, fine_tune_epochs=0, **QUICK).fit(X, y)

    expected = PrunedClassifier(net, fine_tune_epochs=0, **QUICK).fit(X, y)
    assert_equal_fits(fitted, expected, X)
    # It never saw labels, so that it is not known which of its outputs is which.
    with pytest.raises(ValueError, match="2 classes need 2 columns"):
        PrunedClassifier(loaded).fit(X[y > 0], y[y > 0])


def test_trained_net_cannot_be_pruned_before_training() -> None:
    X, y = blobs()

    for strategy in ("random_at_init", Strategy(start="init")):
        with pytest.raises(ValueError, match=r"start='init'.*the estimator is already trained"):
            PrunedClassifier(trained("classifier", X, y), strategy=strategy).fit(X, y)


def test_trained_binary_net() -> None:
    X, y = blobs(n_classes=2)
    net = binary_net(module__n_features=4, module__n_outputs=1)
    net.fit(X.astype(np.float32), y.astype(np.float32))

    fitted = PrunedClassifier(net, **QUICK).fit(X, np.array(["no", "yes"])[y])

    assert fitted.score(X, np.array(["no", "yes"])[y]) > 0.9


# Training that goes on


@pytest.fixture(params=["weight", "unit"])
def structure(request: pytest.FixtureRequest) -> str:
    return request.param


def test_partial_fit_goes_on_under_the_masks(kind: str, structure: str) -> None:
    X, y = data_for(kind)
    fitted = ESTIMATORS[kind](net_for(kind), structure=structure, **QUICK).fit(X, y)
    n_epochs, masks = len(fitted.history_), deepcopy(fitted.masks_)
    before = {name: p.detach().clone() for name, p in fitted.module_.named_parameters()}

    assert fitted.partial_fit(X, y) is fitted
    fitted.partial_fit(X[:10], y[:10])

    assert len(fitted.history_) == n_epochs + 2
    assert fitted.history_[-1]["epoch"] == n_epochs + 2
    assert [row["stage"] for row in fitted.history_[-2:]] == ["continuing"] * 2
    for name, mask in fitted.masks_.items():
        np.testing.assert_array_equal(mask, masks[name])
    zeros = 0
    for name, parameter in fitted.module_.named_parameters():
        assert parameter.shape == before[name].shape
        assert not torch.equal(parameter, before[name])
        assert (parameter[before[name] == 0] == 0).all()
        zeros += int((parameter == 0).sum())
    assert (zeros > 0) == (structure == "weight")


def test_partial_fit_is_reproducible(kind: str, structure: str) -> None:
    X, y = data_for(kind)

    def fit() -> Any:
        return ESTIMATORS[kind](net_for(kind), structure=structure, **QUICK).fit(X, y)

    assert_equal_fits(fit().partial_fit(X, y), fit().partial_fit(X, y), X)


class NotesRows(Perceptron):
    """Remembers the rows that it is trained on."""

    seen: ClassVar[list[Tensor]] = []

    def forward(self, X: Tensor) -> Tensor:
        if self.training:
            self.seen.append(X.clone())
        return super().forward(X)


def test_partial_fit_shuffles_anew(kind: str) -> None:
    X, y = data_for(kind)
    fitted = ESTIMATORS[kind](net_for(kind, NotesRows), **QUICK).fit(X, y)

    NotesRows.seen.clear()
    fitted.partial_fit(X, y).partial_fit(X, y)

    first, second = torch.cat(NotesRows.seen).split(len(X))
    assert torch.equal(first.sort(0).values, second.sort(0).values)
    assert not torch.equal(first, second)


def test_partial_fit_leaves_the_nets_of_before_alone(kind: str) -> None:
    X, y = data_for(kind)
    fitted = ESTIMATORS[kind](net_for(kind), **QUICK).fit(X, y)
    net, state = fitted.net_, deepcopy(fitted.module_.state_dict())

    fitted.partial_fit(X, y)

    assert fitted.net_ is not net
    assert all(torch.equal(net.module_.state_dict()[name], state[name]) for name in state)


def test_fit_after_partial_fit_starts_anew(kind: str) -> None:
    X, y = data_for(kind)
    once = ESTIMATORS[kind](net_for(kind), **QUICK).fit(X, y)

    again = ESTIMATORS[kind](net_for(kind), **QUICK).fit(X, y).partial_fit(X, y).fit(X, y)

    assert_equal_fits(again, once, X)
    assert len(again.history_) == len(once.history_)


def test_first_partial_fit_is_a_fit(kind: str) -> None:
    X, y = data_for(kind)
    classes = {"classes": [2, 1, 0]} if kind == "classifier" else {}

    first = ESTIMATORS[kind](net_for(kind), **QUICK).partial_fit(X, y, **classes)

    assert_equal_fits(first, ESTIMATORS[kind](net_for(kind), **QUICK).fit(X, y), X)


def test_first_partial_fit_needs_all_classes() -> None:
    X, y = blobs()
    names = STRINGS[y]
    estimator = PrunedClassifier(classifier_net(), **QUICK)

    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        estimator.partial_fit(X, names)
    with pytest.raises(ValueError, match=r"classes that were not there before: \['dog'\]"):
        estimator.partial_fit(X, names, classes=["cat", "owl"])

    few = names != "dog"
    estimator.partial_fit(X[few], names[few], classes=STRINGS)
    assert estimator.classes_.tolist() == ["cat", "dog", "owl"]
    assert_distribution(estimator, X)
    for _ in range(30):
        estimator.partial_fit(X, names)
    assert estimator.score(X, names) > 0.8


def test_classes_do_not_change_in_partial_fit() -> None:
    X, y = blobs()
    fitted = PrunedClassifier(classifier_net(), **QUICK).fit(X, y)

    fitted.partial_fit(X, y, classes=[0, 1, 2])
    fitted.partial_fit(X[y == 1], y[y == 1])
    with pytest.raises(ValueError, match=r"classes=\[0, 1\] is not what it was in the first call"):
        fitted.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"not there before: \[9\]. Known: \[0, 1, 2\]"):
        fitted.partial_fit(X, np.where(y == 0, 9, y))


def test_labels_do_not_change_in_partial_fit() -> None:
    X, y = make_multilabel_classification(60, 6, n_classes=3, random_state=0)
    fitted = PrunedClassifier(labels_net(), **QUICK).fit(X, y)

    fitted.partial_fit(X, y)
    with pytest.raises(
        ValueError, match=r"\(60, 2\), but PrunedClassifier was fitted with 3 labels"
    ):
        fitted.partial_fit(X, y[:, :2])


def test_one_class_a_row_for_a_net_of_labels() -> None:
    X, y = blobs()
    with pytest.raises(ValueError, match=r"y has one class a row, and BCEWithLogitsLoss takes sev"):
        PrunedClassifier(labels_net()).fit(X, y)
