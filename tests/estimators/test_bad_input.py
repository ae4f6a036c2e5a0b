"""What cannot be fitted says why, and leaves everything as it was."""

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from skorch import NeuralNet, NeuralNetClassifier
from torch import Tensor, nn

from skprune import (
    DivergedError,
    PrunedClassifier,
    PrunedRegressor,
    Strategy,
    UnreachableSparsityError,
    UntraceableError,
)
from skprune.strategies import Cubic, Explicit, FineTune, Iterative, Magnitude
from tests.estimators.common import (
    ESTIMATORS,
    Perceptron,
    binary_net,
    blobs,
    classifier_net,
    data_for,
    net_for,
    regressor_net,
)

SGD = {"estimator__optimizer": torch.optim.SGD}


def unchanged(X: np.ndarray, y: np.ndarray) -> tuple[Any, Any, Any]:
    return X, y, None


@dataclass
class Case:
    """Parameters or data that cannot be fitted, and what the error says."""

    match: str
    params: dict[str, Any] = field(default_factory=dict)
    data: Callable[[np.ndarray, np.ndarray], tuple[Any, Any, Any]] = unchanged
    error: type[Exception] = ValueError


class LeavesTorch(Perceptron):
    def forward(self, X: Tensor) -> Tensor:
        hidden = torch.from_numpy(self.hidden(X).relu().detach().numpy())
        return self.output(hidden)


class RefusesGradients(Perceptron):
    def forward(self, X: Tensor) -> Tensor:
        if not self.training and torch.is_grad_enabled():
            raise RuntimeError("no gradients in evaluation")
        return super().forward(X)


class FailsInTraining(Perceptron):
    def forward(self, X: Tensor) -> Tensor:
        if self.training:
            raise ZeroDivisionError
        return super().forward(X)


class CountsItsUnits(Perceptron):
    """Divides by a number of Python's that depends on how many units there are."""

    def forward(self, X: Tensor) -> Tensor:
        hidden = self.hidden(X).relu()
        return self.output(hidden) / hidden.shape[1]


CASES = {
    # Sparsity
    "sparsity one": Case(r"sparsity.*in the range \[0.0, 1.0\).*Got 1.0", {"sparsity": 1.0}),
    "sparsity above one": Case(r"sparsity.*in the range \[0.0, 1.0\).*Got 90", {"sparsity": 90}),
    "sparsity below zero": Case(r"sparsity.*range \[0.0, 1.0\).*Got -0.1", {"sparsity": -0.1}),
    "sparsity NaN": Case(r"sparsity.*range \[0.0, 1.0\).*Got nan", {"sparsity": float("nan")}),
    "sparsity text": Case(r"sparsity.*range \[0.0, 1.0\).*Got '0.5'", {"sparsity": "0.5"}),
    "budget": Case(r"'budget' parameter of .* Got 'flops'", {"budget": "flops"}),
    "sparsity of nothing": Case(
        r"sparsity=None needs an allocation that says how much.*ERK\(\)", {"sparsity": None}
    ),
    # Targets that cannot be met
    "nothing left": Case(
        r"sparsity=0.995 leaves . of \d+ elements to 2 layers.*'output' would be emptied. "
        "The largest reachable sparsity is 0.9[78]",
        {"sparsity": 0.995},
        error=UnreachableSparsityError,
    ),
    "no unit left": Case(
        "leaves 0 of 16 elements to 1 layers.*'hidden'.*largest reachable sparsity is 0.9375",
        {"sparsity": 0.98, "structure": "unit"},
        error=UnreachableSparsityError,
    ),
    "budget out of reach": Case(
        "at most . of .* macs. What has to stay takes .* layer 'hidden' .* Reachable are",
        {"sparsity": 0.995, "budget": "macs"},
        error=UnreachableSparsityError,
    ),
    "emptied layer": Case(
        "Layer 'hidden' would be emptied: it has 64 elements, and sparsity 0.999 removes them all. "
        "Its largest reachable sparsity is 0.984375",
        {"sparsity": None, "strategy": Strategy(allocation={"hidden": 0.999})},
        error=UnreachableSparsityError,
    ),
    "too little for the rest": Case(
        "fixes layers 'hidden', so that the sparsity over all can only be between 0",
        {"sparsity": 0.1, "strategy": Strategy(allocation={"hidden": 0.9})},
        error=UnreachableSparsityError,
    ),
    "all protected": Case(
        "There is nothing to prune: every layer is protected", {"protect": ["hidden", "output"]}
    ),
    "all left alone": Case(
        "There is nothing to prune",
        {"strategy": Strategy(allocation={"hidden": None, "output": None})},
    ),
    # Names
    "strategy": Case(
        "Unknown strategy 'magnitud'. Did you mean 'magnitude'[?] Known", {"strategy": "magnitud"}
    ),
    "strategy unlike any": Case("Unknown strategy 'xyz'. Known: 'random', ", {"strategy": "xyz"}),
    "strategy class": Case("must be an instance of 'str' or .*Strategy", {"strategy": Strategy}),
    "structure": Case(
        "Unknown structure 'units'. Did you mean 'unit'[?] Known", {"structure": "units"}
    ),
    "importance": Case(
        "Unknown importance 'lmap'. Did you mean 'lamp'[?] Known",
        {"strategy": Strategy(importance="lmap")},
    ),
    "importance class": Case(
        "importance must be one of .* or an instance of Importance; got <class",
        {"strategy": Strategy(importance=Magnitude)},
    ),
    "importance of another axis": Case(
        r"importance must be one of .* or an instance of Importance; got Cubic\(\)",
        {"strategy": Strategy(importance=Cubic())},
    ),
    "allocation": Case(
        "Unknown allocation 'unifrom'. Did you mean 'uniform'[?] Known",
        {"strategy": Strategy(allocation="unifrom")},
    ),
    "schedule": Case(
        "Unknown schedule 'cubik'. Did you mean 'cubic'[?] Known",
        {"strategy": Strategy(schedule="cubik")},
    ),
    "recovery": Case(
        "Unknown recovery 'finetune'. Did you mean 'fine_tune'[?] Known",
        {"strategy": Strategy(recovery="finetune")},
    ),
    "start": Case(
        "Unknown start 'trianed'. Did you mean 'trained'[?]",
        {"strategy": Strategy(start="trianed")},
    ),
    "layer to protect": Case(
        "protect names an unknown layer 'hiden'. Did you mean 'hidden'[?] Layers: 'hidden'",
        {"protect": ["hiden"]},
    ),
    "layer to protect unlike any": Case(
        "protect names an unknown layer 'xyz'. Layers: 'hidden'", {"protect": ["xyz"]}
    ),
    "text to protect": Case(
        "'protect' parameter .* must be None, an instance of 'list'", {"protect": "hidden"}
    ),
    "layer of an allocation": Case(
        "allocation names an unknown layer 'outptu'. Did you mean 'output'[?] Layers that can be "
        "pruned: 'hidden', 'output'",
        {"strategy": Strategy(allocation={"outptu": 0.5})},
    ),
    "output of units": Case(
        "allocation names an unknown layer 'output'. Layers that can be pruned: 'hidden'",
        {"structure": "unit", "strategy": Strategy(allocation={"output": 0.5})},
    ),
    # Values
    "sparsity of a layer": Case(
        r"sparsity of layer 'hidden' must be None or in \[0, 1\), or two .*; got 1.0",
        {"strategy": Strategy(allocation=Explicit({"hidden": 1.0}))},
    ),
    "exponent": Case(
        "'p' parameter of Magnitude must be .* Got 3",
        {"strategy": Strategy(importance=Magnitude(p=3))},
    ),
    "steps": Case(
        "'n_steps' parameter of Iterative must be .* Got 0",
        {"strategy": Strategy(schedule=Iterative(n_steps=0))},
    ),
    "learning rate": Case(
        "'lr' parameter of FineTune must be .* Got -1",
        {"strategy": Strategy(recovery=FineTune(lr=-1.0))},
    ),
    "epochs": Case("'fine_tune_epochs' parameter .* Got -1", {"fine_tune_epochs": -1}),
    "half an epoch": Case("'fine_tune_epochs' parameter .* Got 0.5", {"fine_tune_epochs": 0.5}),
    "seed": Case("'random_state' parameter .* Got 'zero'", {"random_state": "zero"}),
    # Data
    "NaN in X": Case(
        "Input X contains NaN", data=lambda X, y: (np.where(X > 1, np.nan, X), y, None)
    ),
    "infinity in X": Case(
        "Input X contains infinity", data=lambda X, y: (np.where(X > 1, np.inf, X), y, None)
    ),
    "no rows": Case(r"Found array with 0 sample\(s\)", data=lambda X, y: (X[:0], y[:0], None)),
    "no features": Case(r"Found array with 0 feature\(s\)", data=lambda X, y: (X[:, :0], y, None)),
    "one row as a vector": Case(
        "Expected 2D array, got 1D array", data=lambda X, y: (X[0], y[:1], None)
    ),
    "rows without targets": Case(
        r"inconsistent numbers of samples: \[60, 59\]", data=lambda X, y: (X, y[1:], None)
    ),
    "no targets": Case("requires y to be passed", data=lambda X, y: (X, None, None)),
    "words in X": Case(
        "Convert your data to numeric|could not convert",
        data=lambda X, y: (X.astype(str) + "a", y, None),
    ),
    "complex numbers": Case("Complex data not supported", data=lambda X, y: (X + 1j, y, None)),
    "weights all zero": Case(
        "weights must contain at least one non-zero", data=lambda X, y: (X, y, np.zeros(len(X)))
    ),
    "weights below zero": Case(
        "Negative values in data passed to `sample_weight`",
        data=lambda X, y: (X, y, np.linspace(-1, 1, len(X))),
    ),
    # Networks
    "diverged at once": Case(
        "diverged while training the dense network: the training loss became (nan|inf) in epoch "
        "[1-3], batch [1-4]. Try a smaller learning rate",
        {**SGD, "estimator__lr": 1e30},
        error=DivergedError,
    ),
    "diverged in the last batch": Case(
        "diverged while training the dense network: parameter '.*' is not finite at its end",
        {
            **SGD,
            "estimator__lr": float("inf"),
            "estimator__max_epochs": 1,
            "estimator__batch_size": -1,
        },
        error=DivergedError,
    ),
    "diverged after pruning": Case(
        "diverged while fine-tuning: the training loss became (nan|inf) in epoch [6-8], batch",
        {
            **SGD,
            "fine_tune_epochs": 4,
            "strategy": Strategy(recovery=FineTune(lr=1e30), schedule="iterative"),
        },
        error=DivergedError,
    ),
    "units out of sight": Case(
        "LeavesTorch has no units that can be removed.*structure='weight'",
        {"estimator__module": LeavesTorch, "structure": "unit"},
        error=UntraceableError,
    ),
    "units that are counted": Case(
        r"no units that can be removed.*'hidden' keeps its units, since without some of its units "
        r"the network computes something else.*Use structure='weight'",
        {"estimator__module": CountsItsUnits, "structure": "unit"},
        error=UntraceableError,
    ),
    "compiled net": Case("has compile=True.*Set compile=False", {"estimator__compile": True}),
    # Things that are no net
    "module": Case(
        r"must be a skorch.NeuralNet.* got a Linear. Wrap the module in one",
        {"estimator": nn.Linear(4, 3)},
    ),
    "module class": Case(
        "must be a skorch.NeuralNet.*got the class Perceptron. Wrap the module in one",
        {"estimator": Perceptron},
    ),
    "net class": Case("got the class NeuralNetClassifier", {"estimator": NeuralNetClassifier}),
    "bare net": Case("got a NeuralNet.$", {"estimator": NeuralNet(Perceptron, nn.MSELoss)}),
    "estimator of scikit-learn": Case("got a LinearRegression", {"estimator": LinearRegression()}),
    "frozen estimator of scikit-learn": Case(
        "got a LogisticRegression", {"estimator": FrozenEstimator(LogisticRegression())}
    ),
    "text for a net": Case("got a str", {"estimator": "mlp"}),
}

OF_CLASSIFIERS = {
    "one class": Case(
        r"PrunedClassifier needs samples of at least 2 classes; the data has one class: \[7\]",
        data=lambda X, y: (X, np.full(len(X), 7), None),
    ),
    "classes that are numbers": Case(
        "Unknown label type: continuous", data=lambda X, y: (X, X[:, 0], None)
    ),
    "class weight": Case("'class_weight' parameter .* Got 'balance'", {"class_weight": "balance"}),
    "weight of no class": Case(
        r"The classes, \[0, 1, 2\], are not in class_weight", {"class_weight": {7: 2.0}}
    ),
    "class weights all zero": Case(
        "class_weight leaves all rows without weight", {"class_weight": dict.fromkeys(range(3), 0)}
    ),
    "class weights that leave rows of weight zero": Case(
        "class_weight leaves all rows without weight",
        {"class_weight": {0: 0.0}},
        data=lambda X, y: (X, y, y == 0),
    ),
    "net for a regressor": Case(
        "estimator of PrunedClassifier must be a skorch.NeuralNetClassifier or "
        "skorch.NeuralNetBinaryClassifier.*got a NeuralNetRegressor",
        {"estimator": regressor_net()},
    ),
    "frozen net that is not fitted": Case(
        "a FrozenEstimator around a net that is not fitted. Fit the net first",
        {"estimator": FrozenEstimator(classifier_net())},
    ),
}

OF_REGRESSORS = {
    "NaN in y": Case("Input y contains NaN", data=lambda X, y: (X, np.full(60, np.nan), None)),
    "words in y": Case("could not convert", data=lambda X, y: (X, y.astype(str) + "a", None)),
    "net for a classifier": Case(
        "estimator of PrunedRegressor must be a skorch.NeuralNetRegressor,.*"
        "got a NeuralNetClassifier",
        {"estimator": classifier_net()},
    ),
    "net for two classes": Case(
        "PrunedRegressor.*got a NeuralNetBinaryClassifier", {"estimator": binary_net()}
    ),
    "frozen net that is not fitted": Case(
        "a FrozenEstimator around a net that is not fitted. Fit the net first",
        {"estimator": FrozenEstimator(regressor_net())},
    ),
}

ALL_CASES = [
    pytest.param(kind, case, id=f"{name}-{kind}")
    for kind, own in {"classifier": OF_CLASSIFIERS, "regressor": OF_REGRESSORS}.items()
    for name, case in {**CASES, **own}.items()
]


@contextmanager
def nothing_changes(*objects: Any) -> Iterator[None]:
    """The objects, with all they hold, and the global generators stay as they are."""
    attributes = [dict(vars(each)) for each in objects]
    contents = [pickle.dumps(each) for each in objects]
    generators = [torch.get_rng_state().tolist(), random.getstate()]
    yield
    for each, names, content in zip(objects, attributes, contents, strict=True):
        assert vars(each).keys() == names.keys()
        assert all(vars(each)[name] is names[name] for name in names)
        assert pickle.dumps(each) == content
    assert [torch.get_rng_state().tolist(), random.getstate()] == generators


def quick(kind: str, **params: Any) -> Any:
    return ESTIMATORS[kind](net_for(kind), sparsity=0.5, random_state=0, **params)


@pytest.mark.parametrize("fitted", [False, True], ids=["new", "fitted"])
@pytest.mark.parametrize(("kind", "case"), ALL_CASES)
def test_bad_fit(kind: str, case: Case, fitted: bool) -> None:
    X, y = data_for(kind)
    estimator = quick(kind)
    if fitted:
        estimator.fit(X, y)
    estimator.set_params(**case.params)
    X, y, weights = case.data(X, y)

    with nothing_changes(estimator), pytest.raises(case.error, match=case.match):
        estimator.fit(X, y, sample_weight=weights)


BAD_NEXT_ROWS = {
    "number of features": Case(
        "X has 3 features, but Pruned.* is expecting 4 features",
        data=lambda X, y: (X[:, :3], y, None),
    ),
    "NaN in X": Case("Input X contains NaN", data=lambda X, y: (X * np.nan, y, None)),
    "no rows": Case(r"Found array with 0 sample\(s\)", data=lambda X, y: (X[:0], y[:0], None)),
    "weights all zero": Case("at least one non-zero", data=lambda X, y: (X, y, np.zeros(len(X)))),
    "diverged": Case(
        "diverged while continuing: the training loss became (nan|inf) in epoch 1, batch [2-4]",
        {**SGD, "estimator__lr": 1e30, "fine_tune_epochs": 0, "estimator__max_epochs": 0},
        error=DivergedError,
    ),
}


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("case", BAD_NEXT_ROWS.values(), ids=BAD_NEXT_ROWS)
def test_bad_partial_fit(kind: str, case: Case) -> None:
    X, y = data_for(kind)
    estimator = quick(kind).set_params(**case.params).fit(X, y)
    X, y, weights = case.data(X, y)

    with nothing_changes(estimator), pytest.raises(case.error, match=case.match):
        estimator.partial_fit(X, y, sample_weight=weights)


@pytest.mark.parametrize(
    ("classes", "labels", "match"),
    [
        (None, [0, 1, 2, 3], r"not there before: \[3\]. Known: \[0, 1, 2\]"),
        (None, ["a", "b", "c", "d"], r"not there before: \['a', 'b', 'c', 'd'\]"),
        ([0, 1], [0, 1, 0, 1], r"classes=\[0, 1\] is not what it was in the first call"),
        (None, [0.5, 1.5, 0.5, 1.5], "not there before"),
    ],
)
def test_unseen_classes(classes: Any, labels: list, match: str) -> None:
    X, y = blobs()
    estimator = quick("classifier").fit(X, y)

    with nothing_changes(estimator), pytest.raises(ValueError, match=match):
        estimator.partial_fit(X[:4], labels, classes=classes)


@pytest.mark.parametrize(
    ("classes", "match"),
    [
        (None, "classes must be passed on the first call to partial_fit"),
        ([0, 1], r"not there before: \[2\]. Known: \[0, 1\]"),
        ([2], r"not there before: \[0, 1\]. Known: \[2\]"),
    ],
)
def test_bad_first_partial_fit(classes: Any, match: str) -> None:
    X, y = blobs()
    estimator = quick("classifier")

    with nothing_changes(estimator), pytest.raises(ValueError, match=match):
        estimator.partial_fit(X, y, classes=classes)


def test_bad_parameters_in_the_first_partial_fit() -> None:
    X, y = blobs()
    estimator = quick("classifier").set_params(sparsity=1.5)

    with nothing_changes(estimator), pytest.raises(ValueError, match=r"Got 1\.5 instead"):
        estimator.partial_fit(X, y, classes=[0, 1, 2])


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_bad_prediction(kind: str) -> None:
    X, y = data_for(kind)
    estimator = quick(kind).fit(X, y)

    with nothing_changes(estimator):
        for rows, error, match in [
            (X[:, 1:], ValueError, "X has 3 features, but Pruned.* is expecting 4 features"),
            (X[0], ValueError, "Expected 2D array, got 1D array"),
            (X[:0], ValueError, r"Found array with 0 sample\(s\)"),
            (np.where(X > 1, np.inf, X), ValueError, "Input X contains infinity"),
            (sparse.csr_array(X[:, 1:]), ValueError, "X has 3 features, but"),
            (sparse.csr_array(np.where(X > 1, np.inf, X)), ValueError, "contains infinity"),
        ]:
            with pytest.raises(error, match=match):
                estimator.predict(rows)


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("fails", ["before training", "after training"])
def test_trained_net_survives_a_failed_fit(kind: str, fails: str) -> None:
    X, y = data_for(kind)
    net = quick(kind).fit(X, y).net_
    bad = {"protect": ["xyz"]} if fails == "before training" else {"fine_tune_epochs": 3}
    if fails == "after training":
        bad["strategy"] = Strategy(recovery=FineTune(lr=1e30))
    frozen = FrozenEstimator(net)

    for estimator in (ESTIMATORS[kind](net, **bad), ESTIMATORS[kind](frozen, **bad)):
        with nothing_changes(estimator, net), pytest.raises(ValueError, match=r"xyz|diverged"):
            estimator.fit(X, y)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_module_given_as_an_object_survives_a_failed_fit(kind: str) -> None:
    X, y = data_for(kind)
    module = Perceptron(4, 3 if kind == "classifier" else 1)
    estimator = ESTIMATORS[kind](net_for(kind, module, optimizer=torch.optim.SGD, lr=1e30))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    with nothing_changes(estimator, estimator.estimator), pytest.raises(DivergedError):
        estimator.fit(X, y)

    assert all(torch.equal(module.state_dict()[name], before[name]) for name in before)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_error_of_the_network_itself(kind: str) -> None:
    X, y = data_for(kind)
    estimator = quick(kind).fit(X, y)
    estimator.set_params(estimator__module=FailsInTraining)

    with nothing_changes(estimator), pytest.raises(ZeroDivisionError):
        estimator.fit(X, y)


def test_units_of_a_network_that_refuses_gradients() -> None:
    X, y = blobs()
    fitted = quick("classifier").set_params(estimator__module=RefusesGradients, structure="unit")
    assert fitted.fit(X, y).sparsity_ == pytest.approx(0.5)


@pytest.mark.parametrize("module", [LeavesTorch, RefusesGradients])
def test_untraceable_network_prunes_weights(module: type[nn.Module]) -> None:
    X, y = blobs()

    fitted = quick("classifier").set_params(estimator__module=module).fit(X, y)

    assert fitted.sparsity_ == pytest.approx(0.5)
    assert sum(int(mask.sum()) for mask in fitted.masks_.values()) == 56


@pytest.mark.parametrize("estimator", [PrunedClassifier(), PrunedRegressor()])
def test_fitted_attributes_before_fit(estimator: Any) -> None:
    for name in ("net_", "module_", "history_", "masks_", "report_", "sparsity_", "classes_"):
        assert not hasattr(estimator, name)


def test_scores_for_a_loss_of_probabilities() -> None:
    X, y = blobs()
    net = classifier_net(criterion=nn.NLLLoss)
    with pytest.raises(ValueError, match=r"with NLLLoss.* criterion=torch\.nn\.CrossEntropyLoss"):
        PrunedClassifier(net, random_state=0).fit(X, y)


def test_a_negative_number_of_epochs() -> None:
    X, y = blobs()
    with pytest.raises(ValueError, match="max_epochs of the net of PrunedClassifier is -3"):
        PrunedClassifier(classifier_net(max_epochs=-3)).fit(X, y)


@pytest.mark.parametrize("class_weight", [{0: 1, 1: -1, 2: 1}, {0: float("nan")}])
def test_a_negative_weight_of_a_class(class_weight: dict) -> None:
    X, y = blobs()
    with pytest.raises(ValueError, match=r"class_weight\[\d\] is (-1|nan)"):
        PrunedClassifier(class_weight=class_weight).fit(X, y)


def test_protecting_what_has_nothing_to_protect() -> None:
    X, y = blobs()
    with pytest.raises(ValueError, match=r"'activation0', a ReLU, .* 'hidden0', 'output'"):
        PrunedClassifier(protect=["activation0"]).fit(X, y)


class Positive(Perceptron):
    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return nn.functional.softplus(super().forward(X))


def test_outputs_that_are_no_probabilities_for_a_loss_of_them() -> None:
    X, y = blobs()
    net = classifier_net(Positive, criterion=nn.NLLLoss)
    with pytest.warns(UserWarning, match=r"NLLLoss.* add up to .*CrossEntropyLoss"):
        PrunedClassifier(net, random_state=0).fit(X, y)
