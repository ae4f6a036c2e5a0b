"""A fitted estimator's predictor predicts as the estimator does, where there can be one."""

import pickle
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix, issparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.metrics import get_scorer
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.dataset import Dataset
from torch import Tensor, nn

from skprune import PrunedClassifier, PrunedClassifierCV, PrunedRegressor, pruning_path
from skprune.pruning import Predictor
from tests.estimators.common import Perceptron, binary_net, blobs, classifier_net, labels_net
from tests.estimators.common import regressor_net as numbers_net
from tests.helpers import STRUCTURES_OF_ANY
from tests.networks import NETWORKS

X, Y = blobs()
X32 = X.astype(np.float32)
NAMES = np.array(["ant", "bee", "cat"])[Y]
LABELS = (X[:, :3] > 0).astype(int)
NUMBERS = X @ np.array([1.0, -1.0, 0.5, 0.0])


class Sides(nn.Module):
    """Takes its inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.output(self.hidden(torch.cat((left, right), 1)).relu())


class Probabilities(Perceptron):
    def forward(self, X: Tensor) -> Tensor:
        return super().forward(X).softmax(1)


def probabilities_net() -> NeuralNetClassifier:
    return classifier_net(Probabilities, criterion=nn.NLLLoss)


def classifier(net: Any = None, **params: Any) -> PrunedClassifier:
    return PrunedClassifier(net, **{"random_state": 0, "sparsity": 0.5, **params})


def regressor(net: Any = None, **params: Any) -> PrunedRegressor:
    return PrunedRegressor(net, **{"random_state": 0, "sparsity": 0.5, **params})


# What is fitted: the estimator, its inputs and its targets.
TASKS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "classes": lambda: (classifier(classifier_net()), X32, NAMES),
    "two classes": lambda: (classifier(classifier_net()), X32, Y > 0),
    "one output": lambda: (classifier(binary_net(module__n_outputs=1)), X32, NAMES == "cat"),
    "probabilities": lambda: (classifier(probabilities_net()), X32, Y),
    "labels": lambda: (classifier(labels_net()), X32, LABELS),
    "sparse labels": lambda: (classifier(labels_net()), X32, csr_matrix(LABELS)),
    "values": lambda: (regressor(numbers_net()), X32, NUMBERS),
    "columns of values": lambda: (regressor(numbers_net()), X32, X[:, :2]),
    "one column": lambda: (regressor(numbers_net()), X32, X[:, :1]),
    "mapping": lambda: (
        classifier(classifier_net(Sides)),
        {"left": X[:, :1], "right": X[:, 1:]},
        Y,
    ),
    "default classifier": lambda: (classifier().set_params(estimator__max_epochs=5), X, NAMES),
    "default regressor": lambda: (regressor().set_params(estimator__max_epochs=5), X, NUMBERS),
    "frame": lambda: (classifier(classifier_net()), pd.DataFrame(X, columns=list("abcd")), Y),
    "sparse": lambda: (classifier(classifier_net()), csr_matrix(X), Y),
}


def fitted(task: str, **params: Any) -> tuple[Any, Any]:
    estimator, rows, y = TASKS[task]()
    return estimator.set_params(**params).fit(rows, y), rows


def dense(values: Any) -> np.ndarray:
    return values.toarray() if issparse(values) else values


def assert_alike(one: Any, other: Any, rows: Any) -> None:
    """Bit for bit the same predictions, in the same form, by the same methods."""
    for method in ("predict", "predict_proba", "decision_function"):
        assert hasattr(one, method) == hasattr(other, method)
        if hasattr(one, method):
            ours, theirs = getattr(one, method)(rows), getattr(other, method)(rows)
            assert type(ours) is type(theirs)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(dense(ours), dense(theirs))


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("task", TASKS)
def test_it_predicts_as_the_estimator_does(task: str, structure: str) -> None:
    estimator, rows = fitted(task, structure=structure)
    assert_alike(estimator.predictor_, estimator, rows)
    restored = pickle.loads(pickle.dumps(estimator.predictor_))
    assert_alike(restored, estimator, rows)


@pytest.mark.parametrize("task", ["classes", "one output", "probabilities", "values"])
def test_it_predicts_as_the_net_does(task: str) -> None:
    """The net loads by skorch's DataLoader, and shares no code with the predictor."""
    estimator, rows = fitted(task)
    predictor, net = estimator.predictor_, estimator.net_
    if hasattr(predictor, "predict_proba"):
        expected = net.predict_proba(rows)
        np.testing.assert_allclose(predictor.predict_proba(rows), expected, rtol=1e-5)
        expected = estimator.classes_[net.predict(rows).astype(int)]
        np.testing.assert_array_equal(predictor.predict(rows), expected)
    else:
        expected = net.predict(rows).reshape(-1)
        np.testing.assert_allclose(predictor.predict(rows), expected, rtol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_what_it_knows_of_its_inputs(task: str) -> None:
    estimator, rows = fitted(task)
    predictor = estimator.predictor_
    if task == "mapping":
        assert predictor.inputs.keys == ("left", "right")
        assert predictor.inputs.row_shape == {"left": (1,), "right": (3,)}
        assert {key: part.shape for key, part in predictor.example.items()} == {
            "left": (2, 1),
            "right": (2, 3),
        }
        assert predictor.predict(predictor.example).shape == (2,)
        return
    dtype = torch.float64 if task.startswith("default") else torch.float32
    assert (predictor.inputs.row_shape, predictor.inputs.dtype) == ((4,), dtype)
    assert predictor.inputs.n_features == estimator.n_features_in_ == 4
    assert predictor.inputs.keys is None
    assert predictor.example.shape == (2, 4)
    np.testing.assert_allclose(predictor.example[0], np.asarray(dense(rows))[0], rtol=1e-6)
    assert predictor.inputs.feature_names == (tuple("abcd") if task == "frame" else None)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("task", ["classes", "mapping", "default regressor", "frame"])
def test_both_refuse_the_same_inputs_in_the_same_words(task: str) -> None:
    estimator, _ = fitted(task)
    wrong: list[Any] = [X[:, :3], X[0], X * np.nan, [["a"] * 4] * 3, {"left": X}, {}, X[:0]]
    for rows in wrong:
        messages = []
        for model in (estimator, estimator.predictor_):
            with pytest.raises((ValueError, TypeError)) as error:
                model.predict(rows)
            messages.append(str(error.value))
        assert messages[0] == messages[1]


# -------------------------------------------------------------------------------------- its parts


@pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
def test_what_it_shares_with_the_estimator(structure: str) -> None:
    estimator = classifier(classifier_net(), structure=structure)
    estimator.set_params(sparsity=None if structure == "2:4" else 0.5).fit(X32, Y)
    predictor = estimator.predictor_
    assert isinstance(predictor, Predictor)
    assert predictor.module is estimator.module_
    assert predictor.removals is estimator.removals_
    weights = dict(predictor.module.named_parameters())
    for name, mask in predictor.masks.items():
        assert mask.shape == weights[name].shape
        assert not weights[name][~mask].any()
    assert bool(predictor.masks) == (structure != "unit")


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("network", ["conv_batch_norm", "residual"])
def test_a_fresh_network_takes_its_weights(network: str, structure: str) -> None:
    example = NETWORKS[network]
    rows, y = example.inputs(48), np.arange(48) % 3
    net = classifier_net(example.build(), max_epochs=2)
    estimator = classifier(net, structure=structure, sparsity=0.6).fit(rows, y)
    predictor = pickle.loads(pickle.dumps(estimator.predictor_))
    smaller = predictor.removals.replay(example.module())
    smaller.load_state_dict(predictor.module.state_dict())
    again = Predictor(smaller, predictor.outputs, example=predictor.example)
    np.testing.assert_array_equal(again.predict_proba(rows), estimator.predict_proba(rows))


# ------------------------------------------------------------------------------- it is not outdated


def test_training_the_net_changes_what_it_predicts() -> None:
    estimator, rows = fitted("classes")
    predictor, before = estimator.predictor_, estimator.predict_proba(rows)
    estimator.net_.partial_fit(rows, Y)
    assert np.abs(predictor.predict_proba(rows) - before).max() > 1e-4
    assert_alike(predictor, estimator, rows)
    assert_alike(estimator.predictor_, estimator, rows)


def test_partial_fit_makes_another() -> None:
    estimator, rows = fitted("classes")
    predictor, before = estimator.predictor_, estimator.predict_proba(rows)
    estimator.partial_fit(rows, NAMES)
    np.testing.assert_array_equal(predictor.predict_proba(rows), before)
    assert np.abs(estimator.predictor_.predict_proba(rows) - before).max() > 1e-4
    assert_alike(estimator.predictor_, estimator, rows)


def test_loaded_weights_are_its_weights(tmp_path: Any) -> None:
    estimator, rows = fitted("classes")
    predictor, before = estimator.predictor_, estimator.predict_proba(rows)
    estimator.net_.save_params(f_params=tmp_path / "weights.pt")
    estimator.net_.partial_fit(rows, Y)
    estimator.net_.load_params(f_params=tmp_path / "weights.pt")
    for each in (predictor, estimator.predictor_, estimator):
        np.testing.assert_array_equal(each.predict_proba(rows), before)


def test_threshold_of_the_net() -> None:
    estimator, rows = fitted("one output")
    second = estimator.predict_proba(rows)[:, 1]
    threshold = float(np.quantile(second, 0.9))
    estimator.net_.set_params(threshold=threshold)
    assert estimator.predictor_.outputs.threshold == threshold
    np.testing.assert_array_equal(estimator.predictor_.predict(rows), second > threshold)
    np.testing.assert_array_equal(estimator.predict(rows), second > threshold)


def test_nonlinearity_of_the_net() -> None:
    estimator, rows = fitted("classes")
    scores = estimator.decision_function(rows)
    estimator.net_.set_params(predict_nonlinearity=doubled)
    expected = torch.from_numpy(scores).mul(2).softmax(1)
    for model in (estimator, estimator.predictor_):
        np.testing.assert_allclose(model.predict_proba(rows), expected, rtol=1e-5)
        assert not hasattr(model, "decision_function")


def doubled(outputs: Tensor) -> Tensor:
    return (2 * outputs).softmax(1)


def test_a_net_that_is_initialized_anew() -> None:
    estimator, rows = fitted("classes")
    predictor, before = estimator.predictor_, estimator.predict_proba(rows)
    estimator.net_.initialize()
    np.testing.assert_array_equal(predictor.predict_proba(rows), before)
    assert estimator.predictor_.module is estimator.net_.module_
    assert estimator.predictor_.masks == {}
    assert_alike(estimator.predictor_, estimator, rows)


@pytest.mark.parametrize("task", ["classes", "mapping", "default regressor", "sparse labels"])
@pytest.mark.parametrize(
    "copied",
    [deepcopy, lambda estimator: pickle.loads(pickle.dumps(estimator))],
    ids=["deepcopy", "pickle"],
)
def test_a_copy_of_the_estimator_has_one(task: str, copied: Callable[[Any], Any]) -> None:
    estimator, rows = fitted(task)
    other = copied(estimator)
    assert other.predictor_.module is other.module_ is not estimator.module_
    assert_alike(other.predictor_, estimator, rows)


def test_estimators_of_paths_and_cv_have_one() -> None:
    path = pruning_path(classifier(classifier_net()), X32, NAMES, sparsities=[0.5, 0.8])
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5, 0.8], cv=2, random_state=0)
    for estimator in [path.dense, *path.estimators, search.fit(X32, NAMES)]:
        assert_alike(estimator.predictor_, estimator, X32)
        assert set(estimator.predictor_.predict(X32)) <= set(NAMES)


# ----------------------------------------------------------------------------- where there is none


class OwnPredict(NeuralNetClassifier):
    def predict(self, X: Any) -> np.ndarray:
        return (super().predict(X) + 1) % 3


class OwnProba(NeuralNetClassifier):
    def predict_proba(self, X: Any) -> np.ndarray:
        return np.roll(super().predict_proba(X), 1, axis=1)


class OwnInfer(NeuralNetClassifier):
    def infer(self, x: Any, **fit_params: Any) -> Any:
        return super().infer(torch.as_tensor(x) * 2 - 1, **fit_params)


class OwnForward(NeuralNetClassifier):
    def forward_iter(self, *args: Any, **kwargs: Any) -> Any:
        for outputs in super().forward_iter(*args, **kwargs):
            yield outputs * 5


class OwnEvaluation(NeuralNetClassifier):
    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        return super().evaluation_step(batch, training) * 5


class OwnDataset(NeuralNetClassifier):
    def get_dataset(self, X: Any, y: Any = None) -> Any:
        return Dataset(X * 2 - 1, y)


class OwnNumbers(NeuralNetRegressor):
    def predict(self, X: Any) -> np.ndarray:
        return super().predict(X) * 100


class OwnBinary(NeuralNetBinaryClassifier):
    def infer(self, x: Any, **fit_params: Any) -> Any:
        return super().infer(torch.as_tensor(x) * 2 - 1, **fit_params)


OPTIONS = {"train_split": None, "verbose": 0, "max_epochs": 3}


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (OwnPredict, "a predict of its own"),
        (OwnProba, "a predict_proba of its own"),
        (OwnInfer, "an infer of its own"),
        (OwnForward, "a forward_iter of its own"),
        (OwnEvaluation, "an evaluation_step of its own"),
        (OwnDataset, "a dataset, a loader or a collation of its own"),
        (OwnNumbers, "a predict of its own"),
        (OwnBinary, "an infer of its own"),
    ],
)
def test_nets_that_predict_in_a_way_of_their_own(cls: type[NeuralNet], reason: str) -> None:
    numbers = issubclass(cls, NeuralNetRegressor)
    y: Any = NUMBERS if numbers else (Y > 0 if cls is OwnBinary else NAMES)
    options = {} if numbers or cls is OwnBinary else {"criterion": nn.CrossEntropyLoss}
    net = cls(Perceptron, **OPTIONS, **options)
    estimator = (regressor if numbers else classifier)(net).fit(X32, y)
    with pytest.raises(AttributeError, match=f"has no 'predictor_': {cls.__name__} has {reason}"):
        _ = estimator.predictor_
    predictions = estimator.net_.predict(X32)
    expected = predictions.reshape(-1) if numbers else estimator.classes_[predictions.astype(int)]
    np.testing.assert_allclose(
        *(
            np.unique(values, return_inverse=True)[1]
            for values in (estimator.predict(X32), expected)
        )
    )
    assert not hasattr(estimator, "decision_function")


def padded(rows: Any) -> Any:
    longest = max(len(row) for row, _ in rows)
    words = [[*row, *[0.0] * (longest - len(row))] for row, _ in rows]
    return torch.tensor(words).sum(1, keepdim=True), torch.tensor([y for _, y in rows])


def test_rows_that_only_a_loader_can_read() -> None:
    rows = [[1.0] * (1 + number % 4) for number in range(60)]
    collation = {"iterator_train__collate_fn": padded, "iterator_valid__collate_fn": padded}
    net = classifier_net(module__n_features=1, module__n_outputs=2, **collation)
    estimator = classifier(net).fit(rows, np.arange(60) % 4 > 1)
    with pytest.raises(AttributeError, match="only a loader of the net makes inputs of such rows"):
        _ = estimator.predictor_
    assert estimator.predict(rows).shape == (60,)


def test_a_dataset_of_arrays_is_as_good_as_its_arrays() -> None:
    estimator = classifier(classifier_net(module__n_features=4, module__n_outputs=3))
    estimator.fit(Dataset(X32, Y))
    assert_alike(estimator.predictor_, estimator, X32)
    for method in ("predict", "predict_proba", "decision_function"):
        expected = getattr(estimator.predictor_, method)(X32)
        found = getattr(estimator, method)(Dataset(X32, Y))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_before_a_fit() -> None:
    with pytest.raises(AttributeError, match="has no 'predictor_' before it is fitted"):
        _ = PrunedClassifier().predictor_
    for estimator in (PrunedClassifier(), PrunedClassifierCV()):
        with pytest.raises(NotFittedError):
            estimator.decision_function(X)


# ------------------------------------------------------------------------------------------- scores


@pytest.mark.parametrize("task", ["classes", "two classes", "one output", "labels", "mapping"])
def test_scores_go_with_predictions(task: str) -> None:
    estimator, rows = fitted(task)
    scores, predictions = estimator.decision_function(rows), estimator.predict(rows)
    assert scores.dtype == np.float64
    if task == "labels":
        np.testing.assert_array_equal(scores > 0, predictions)
    elif len(estimator.classes_) == 2:
        assert scores.shape == (60,)
        np.testing.assert_array_equal(estimator.classes_[(scores > 0).astype(int)], predictions)
        np.testing.assert_allclose(
            1 / (1 + np.exp(-scores)), estimator.predict_proba(rows)[:, 1], rtol=1e-5, atol=1e-7
        )
    else:
        assert scores.shape == (60, 3)
        np.testing.assert_array_equal(estimator.classes_[scores.argmax(1)], predictions)
        with torch.no_grad():
            inputs = estimator.net_.infer(
                {key: part.astype(np.float32) for key, part in rows.items()}
                if task == "mapping"
                else rows
            )
        np.testing.assert_allclose(scores, inputs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("task", ["probabilities", "values"])
def test_there_are_no_scores_where_the_network_puts_out_none(task: str) -> None:
    estimator, _ = fitted(task)
    assert not hasattr(estimator, "decision_function")
    assert not hasattr(estimator.predictor_, "decision_function")


def test_a_search_has_scores_where_its_network_has() -> None:
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=2, random_state=0)
    scores = search.fit(X32, Y > 0).decision_function(X32)
    np.testing.assert_array_equal(scores, search.best_estimator_.decision_function(X32))
    search.set_params(estimator=probabilities_net()).fit(X32, Y)
    assert not hasattr(search, "decision_function")


def test_scikit_learn_uses_the_scores() -> None:
    estimator, rows = fitted("two classes")
    second = estimator.predict_proba(rows)[:, 1]
    expected = get_scorer("roc_auc")._score_func(Y > 0, second)
    np.testing.assert_allclose(get_scorer("roc_auc")(estimator, rows, Y > 0), expected, atol=1e-3)
    calibrated = CalibratedClassifierCV(classifier(classifier_net()), cv=2).fit(X32, Y > 0)
    assert calibrated.score(X32, Y > 0) > 0.8


def test_joblib_keeps_it(tmp_path: Any) -> None:
    estimator, rows = fitted("default classifier")
    joblib.dump(estimator.predictor_, tmp_path / "predictor.joblib")
    assert_alike(joblib.load(tmp_path / "predictor.joblib"), estimator, rows)
