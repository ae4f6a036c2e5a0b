"""Searches, cross-validation and pipelines, in one process and in several."""

import io
import os
import pickle
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNet

from skprune import PrunedClassifier, Strategy
from skprune.strategies import ERK, STRATEGIES, Cubic, Uniform
from skprune.structures import Unit
from tests.estimators.common import (
    ESTIMATORS,
    assert_equal_fits,
    blobs,
    classifier_net,
    data_for,
    net_for,
    outputs,
)

CV = KFold(3, shuffle=True, random_state=0)
# Scores that tell any two networks apart.
SCORING = {"classifier": "neg_log_loss", "regressor": "r2"}


@pytest.fixture(params=ESTIMATORS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def pipeline(kind: str, net: NeuralNet | None = None, **params: Any) -> Pipeline:
    params = {"sparsity": 0.5, "random_state": 0, **params}
    estimator = ESTIMATORS[kind](net or net_for(kind), **params)
    return Pipeline([("scale", StandardScaler()), ("prune", estimator)])


# Searches


def test_search_over_what_and_how_much(kind: str) -> None:
    X, y = data_for(kind)
    grid = {
        "prune__strategy": ["random", "magnitude", Strategy(importance="lamp", schedule=Cubic(2))],
        "prune__structure": ["weight", Unit()],
        "prune__sparsity": [0.2, 0.7],
    }

    search = GridSearchCV(
        pipeline(kind), grid, scoring=SCORING[kind], cv=KFold(2), error_score="raise"
    ).fit(X, y)

    assert len(np.unique(search.cv_results_["mean_test_score"])) == 12
    best = search.best_estimator_["prune"]
    assert best.sparsity_ == pytest.approx(search.best_params_["prune__sparsity"], abs=0.03)


def fit_with(kind: str, X: Any, y: Any, params: dict[str, Any]) -> Any:
    """What a search has to find for a point of its grid."""
    return clone(pipeline(kind)).set_params(**params).fit(X, y)


@pytest.mark.parametrize(
    "grid",
    [
        {
            "prune__strategy__importance__p": [1, 2],
            "prune__structure": ["unit"],
            "prune__estimator__module__hidden": [60],
        },
        {"prune__strategy__schedule": ["cubic"], "prune__strategy__schedule__n_steps": [1, 4]},
        {"prune__strategy__allocation": ["uniform", "global", ERK(), {"hidden": 0.4}]},
        {"prune__strategy__start": ["trained", "init"]},
        {"prune__strategy__recovery__lr": [1e-5, 0.1]},
        {"prune__estimator__lr": [1e-4, 0.02]},
        {"prune__estimator__module__hidden": [4, 12]},
        {"prune__estimator__max_epochs": [1, 3], "prune__fine_tune_epochs": [0, 1]},
        {"prune__strategy": list(STRATEGIES)},
        {"prune__protect": [None, ["hidden"]], "prune__sparsity": [0.5]},
    ],
    ids=lambda grid: next(iter(grid)).removeprefix("prune__"),
)
def test_search_reaches_nested_parameters(kind: str, grid: dict[str, list]) -> None:
    X, y = data_for(kind)
    train, test = next(CV.split(X))

    search = GridSearchCV(
        pipeline(kind), grid, scoring=SCORING[kind], cv=[(train, test)], error_score="raise"
    ).fit(X, y)

    scores = search.cv_results_["mean_test_score"]
    assert len(np.unique(scores)) == len(scores)
    scorer = get_scorer(SCORING[kind])
    for params, score in zip(search.cv_results_["params"], scores, strict=True):
        assert scorer(fit_with(kind, X[train], y[train], params), X[test], y[test]) == score
    expected = fit_with(kind, X, y, search.best_params_)
    assert_equal_fits(search.best_estimator_["prune"], expected["prune"], expected[0].transform(X))


def test_search_over_the_default_network(kind: str) -> None:
    X, y = data_for(kind)
    model = pipeline(kind).set_params(prune__estimator=None, prune__estimator__max_epochs=3)
    grid = {
        "prune__estimator__module__hidden_layer_sizes": [(5,), (6, 4)],
        "prune__estimator__lr": [0.01, 0.02],
    }

    search = GridSearchCV(model, grid, cv=CV, error_score="raise").fit(X, y)

    sizes = search.best_params_["prune__estimator__module__hidden_layer_sizes"]
    masks = search.best_estimator_["prune"].masks_
    assert [len(masks[f"hidden{i}.weight"]) for i in range(len(sizes))] == list(sizes)


def test_search_over_nets(kind: str) -> None:
    X, y = data_for(kind)
    nets = [None, net_for(kind, module__hidden=3), net_for(kind, module__hidden=5)]

    search = GridSearchCV(
        pipeline(kind),
        {"prune__estimator": nets, "prune__estimator__max_epochs": [2]},
        cv=CV,
        error_score="raise",
    ).fit(X, y)

    assert len(np.unique(search.cv_results_["mean_test_score"])) == 3
    assert nets[1].max_epochs == 5


def test_randomized_search() -> None:
    X, y = blobs()

    search = RandomizedSearchCV(
        pipeline("classifier"),
        {"prune__sparsity": [0.1, 0.5, 0.9], "prune__strategy__importance": ["random", "lamp"]},
        n_iter=3,
        cv=CV,
        random_state=0,
        error_score="raise",
    ).fit(X, y)

    assert search.score(X, y) > 0.5


@pytest.mark.parametrize("resource", ["n_samples", "prune__fine_tune_epochs"])
def test_halving_search(kind: str, resource: str) -> None:
    X, y = data_for(kind)

    search = HalvingGridSearchCV(
        pipeline(kind),
        {"prune__sparsity": [0.3, 0.6, 0.97], "prune__strategy": ["random", "magnitude"]},
        resource=resource,
        max_resources=60 if resource == "n_samples" else 9,
        min_resources=20 if resource == "n_samples" else 1,
        factor=3,
        cv=KFold(2, shuffle=True, random_state=0),
        random_state=0,
        error_score="raise",
    ).fit(X, y)

    assert search.n_candidates_[:2] == [6, 2]
    assert search.best_params_["prune__sparsity"] < 0.97


def test_a_point_that_cannot_be_met_fails_alone() -> None:
    X, y = blobs()
    search = GridSearchCV(pipeline("classifier"), {"prune__sparsity": [0.5, 0.999]}, cv=CV)

    with (
        pytest.warns(FitFailedWarning, match=r"(?s)3 fits failed.*largest reachable sparsity"),
        pytest.warns(UserWarning, match="One or more of the test scores are non-finite"),
    ):
        search.fit(X, y)

    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]


# Cross-validation


def test_cross_validation(kind: str) -> None:
    X, y = data_for(kind)

    results = cross_validate(
        pipeline(kind), X, y, cv=CV, return_estimator=True, error_score="raise"
    )

    for model, (train, test), score in zip(
        results["estimator"], CV.split(X), results["test_score"], strict=True
    ):
        assert model.score(X[test], y[test]) == score
        alone = clone(pipeline(kind)).fit(X[train], y[train])
        assert_equal_fits(model["prune"], alone["prune"], alone[0].transform(X))


def test_every_row_is_predicted_once(kind: str) -> None:
    X, y = data_for(kind)

    predictions = cross_val_predict(pipeline(kind), X, y, cv=CV)

    for train, test in CV.split(X):
        expected = clone(pipeline(kind)).fit(X[train], y[train]).predict(X[test])
        np.testing.assert_array_equal(predictions[test], expected)


def test_learning_curve_that_goes_on() -> None:
    X, y = blobs()

    sizes, _, scores = learning_curve(
        PrunedClassifier(classifier_net(), sparsity=0.5, random_state=0),
        X,
        y,
        cv=CV,
        train_sizes=[10, 20, 40],
        exploit_incremental_learning=True,
        error_score="raise",
    )

    assert sizes.tolist() == [10, 20, 40]
    assert scores[-1].mean() > 0.5


def test_one_classifier_a_target() -> None:
    X, y = blobs()
    targets = np.column_stack([y, y == 0])

    model = MultiOutputClassifier(PrunedClassifier(classifier_net(), random_state=0))

    assert model.fit(X, targets).score(X, targets) > 0.4


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.slow
def test_workers_change_nothing(kind: str, backend: str, structure: str) -> None:
    X, y = data_for(kind)
    model = pipeline(kind, structure=structure, sparsity=0.5, strategy="iterative_magnitude")

    alone = cross_validate(model, X, y, cv=CV, return_estimator=True)
    with joblib.parallel_backend(backend, n_jobs=2):
        together = cross_validate(model, X, y, cv=CV, return_estimator=True)

    np.testing.assert_array_equal(together["test_score"], alone["test_score"])
    for one, other in zip(together["estimator"], alone["estimator"], strict=True):
        assert_equal_fits(one["prune"], other["prune"], X)


@pytest.mark.slow
def test_scores_of_workers_are_those_of_one_process(kind: str) -> None:
    X, y = data_for(kind)
    model = make_pipeline(
        StandardScaler(), ESTIMATORS[kind](sparsity=0.5, fine_tune_epochs=5, random_state=0)
    )

    np.testing.assert_array_equal(
        cross_val_score(model, X, y, cv=CV, n_jobs=2), cross_val_score(model, X, y, cv=CV)
    )


# A network that is defined where the program starts, which worker processes cannot import.
SCRIPT = '''
import sys

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNet{Kind}
from torch import nn

from skprune import Pruned{Kind}


class Network(nn.Module):
    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.hidden = nn.Linear(n_features, 8)
        self.output = nn.Linear(8, n_outputs)

    def forward(self, X):
        return self.output(self.hidden(X).relu())


class Net(NeuralNet{Kind}):
    """The net's class stands here too."""


if __name__ == "__main__":
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    y = X[:, 0] + X[:, 1]
    if "{Kind}" == "Classifier":
        y = np.where(y > 0, "yes", "no")
    net = Net(
        Network, {options} max_epochs=5, lr=0.05, train_split=None, verbose=0, batch_size=16,
        iterator_train__shuffle=True,
    )
    model = make_pipeline(
        StandardScaler(), Pruned{Kind}(net, sparsity=0.5, structure="unit", random_state=0)
    )
    cv = KFold(3)

    results = cross_validate(model, X, y, cv=cv, n_jobs=2, return_estimator=True)
    for (train, test), fitted, score in zip(
        cv.split(X), results["estimator"], results["test_score"]
    ):
        assert type(fitted[-1].module_) is Network and type(fitted[-1].net_) is Net
        assert fitted.score(X[test], y[test]) == score
        fitted[-1].partial_fit(X[train], y[train])
    serial = cross_val_score(model, X, y, cv=cv)
    np.testing.assert_array_equal(results["test_score"], serial)

    grid = {{"pruned{kind}__sparsity": [0.25, 0.75], "pruned{kind}__structure": ["weight", "unit"]}}
    search = GridSearchCV(model, grid, cv=cv, n_jobs=2, error_score="raise").fit(X, y)
    alone = GridSearchCV(model, grid, cv=cv, error_score="raise").fit(X, y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(search.predict(X), alone.predict(X))
    print("equal")
'''


@pytest.mark.slow
def test_network_defined_in_main(kind: str, tmp_path: Path) -> None:
    options = "criterion=nn.CrossEntropyLoss," if kind == "classifier" else ""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(kind=kind, Kind=kind.capitalize(), options=options))
    root = Path(__file__).parents[2]

    process = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.stdout == "equal\n", process.stderr


# Copies


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_fitted_pipelines_survive_storage(kind: str, structure: str, tmp_path: Path) -> None:
    X, y = data_for(kind)
    model = pipeline(kind, structure=structure, sparsity=0.5).fit(X, y)
    expected = outputs(model, X)
    further = outputs(deepcopy(model["prune"]).partial_fit(X, y), X)

    joblib.dump(model, tmp_path / "model.joblib", compress=3)
    stored = io.BytesIO()
    pickle.dump(model, stored)
    stored.seek(0)

    for copy in (joblib.load(tmp_path / "model.joblib"), pickle.load(stored), deepcopy(model)):
        np.testing.assert_array_equal(outputs(copy, X), expected)
        assert str(copy["prune"].report_) == str(model["prune"].report_)
        assert copy["prune"].history_.to_list() == model["prune"].history_.to_list()
        assert type(copy["prune"].net_) is type(model["prune"].net_)
        np.testing.assert_array_equal(outputs(copy["prune"].partial_fit(X, y), X), further)
    np.testing.assert_array_equal(outputs(model, X), expected)


def test_search_survives_storage() -> None:
    X, y = blobs()
    search = GridSearchCV(pipeline("classifier"), {"prune__sparsity": [0.5, 0.8]}, cv=CV)

    stored = pickle.loads(pickle.dumps(search.fit(X, y)))

    np.testing.assert_array_equal(stored.predict_proba(X), search.predict_proba(X))


def test_clones_are_not_fitted(kind: str) -> None:
    X, y = data_for(kind)
    model = pipeline(kind, strategy=Strategy(allocation=Uniform())).fit(X, y)

    copy = clone(model)

    assert not hasattr(copy["prune"], "net_")
    assert repr(copy) == repr(model)
    assert copy["prune"].estimator is not model["prune"].estimator
    np.testing.assert_array_equal(outputs(copy.fit(X, y), X), outputs(model, X))
