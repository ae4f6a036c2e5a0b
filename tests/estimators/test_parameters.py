"""Parameters: read, set, cloned, shown; names and components alike."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import PrunedClassifier, PrunedRegressor, Strategy
from skprune.network import MLP
from skprune.strategies import (
    ALLOCATIONS,
    ERK,
    IMPORTANCES,
    LAMP,
    RECOVERIES,
    SCHEDULES,
    STRATEGIES,
    Cubic,
    Explicit,
    FineTune,
    Iterative,
    Magnitude,
    OneShot,
)
from skprune.structures import STRUCTURES, Unit, Weight
from tests.estimators.common import (
    ESTIMATORS,
    assert_equal_fits,
    classifier_net,
    data_for,
    net_for,
)
from tests.helpers import STRUCTURES_OF_ANY


@pytest.fixture(params=ESTIMATORS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


# Reading and setting


def test_defaults(kind: str) -> None:
    params = ESTIMATORS[kind]().get_params(deep=False)

    assert params.pop("class_weight", None) is None
    assert params == {
        "estimator": None,
        "strategy": "magnitude",
        "sparsity": 0.8,
        "budget": "elements",
        "structure": "weight",
        "fine_tune_epochs": None,
        "protect": None,
        "memory": None,
        "random_state": None,
        "verbose": 0,
    }
    assert ("class_weight" in ESTIMATORS[kind]().get_params()) == (kind == "classifier")


def test_nested_parameters_are_listed(kind: str) -> None:
    strategy = Strategy(importance=Magnitude(p=1), schedule=Cubic(n_steps=3))

    params = ESTIMATORS[kind](net_for(kind), strategy=strategy).get_params()

    assert params["strategy__importance__p"] == 1
    assert params["strategy__schedule__n_steps"] == 3
    assert params["strategy__allocation"] == "erk"
    assert params["estimator__max_epochs"] == 5
    assert params["strategy"] is strategy


def test_any_parameter_can_be_set_back(kind: str) -> None:
    estimator = ESTIMATORS[kind](
        strategy=Strategy(Magnitude(), ERK(), Iterative(), FineTune()), structure=Unit()
    )

    params = estimator.get_params()

    assert estimator.set_params(**params) is estimator
    assert estimator.get_params() == params


@pytest.mark.parametrize(
    ("params", "path", "value"),
    [
        ({"strategy__importance": "lamp"}, "strategy.importance", "lamp"),
        ({"strategy__importance__p": 1}, "strategy.importance.p", 1),
        ({"strategy__allocation": {"a": 0.5}}, "strategy.allocation", {"a": 0.5}),
        (
            {"strategy": "gradual_magnitude", "strategy__schedule__n_steps": 3},
            "strategy.schedule.n_steps",
            3,
        ),
        (
            {"strategy__schedule": "iterative", "strategy__schedule__end": 0.5},
            "strategy.schedule.end",
            0.5,
        ),
        ({"strategy__recovery__lr": 0.1}, "strategy.recovery.lr", 0.1),
        ({"strategy__start": "init"}, "strategy.start", "init"),
        ({"estimator__lr": 0.3}, "estimator.lr", 0.3),
        (
            {"estimator__module__hidden_layer_sizes": (3, 2)},
            "estimator.module__hidden_layer_sizes",
            (3, 2),
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_nested_parameters_of_names(kind: str, params: dict, path: str, value: Any) -> None:
    estimator = ESTIMATORS[kind]()

    assert estimator.set_params(**params) is estimator

    found: Any = estimator
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


def test_nested_parameter_keeps_what_its_name_stands_for() -> None:
    estimator = PrunedClassifier(strategy="gradual_magnitude")

    estimator.set_params(strategy__importance="lamp")

    assert repr(estimator.strategy) == "Strategy(importance='lamp', schedule='cubic')"


def test_nested_parameters_of_the_default_net() -> None:
    for estimator in (PrunedClassifier(), PrunedRegressor()):
        estimator.set_params(estimator__max_epochs=7)

        assert estimator.estimator.module is MLP
        assert estimator.estimator.max_epochs == 7
        assert type(estimator)().estimator is None


def test_names_are_not_shared() -> None:
    first, second = PrunedClassifier(), PrunedClassifier()

    first.set_params(strategy__importance__p=1)

    assert second.strategy == "magnitude"
    assert STRATEGIES["magnitude"]().importance == "magnitude"
    assert Strategy().set_params(importance__p=1).importance is not first.strategy.importance


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"sparsitty": 0.5}, "Invalid parameter 'sparsitty' for estimator"),
        ({"strategy__importanse": "lamp"}, "Invalid parameter 'importanse' for estimator Strategy"),
        ({"strategy__importance__q": 1}, "Invalid parameter 'q' for estimator Magnitude"),
        ({"strategy__schedule__n_steps": 1}, "Invalid parameter 'n_steps' for estimator OneShot"),
        ({"strategy": "random", "strategy__importance__p": 1}, "Invalid parameter 'p' .* Random"),
        ({"structure__n": 1}, "Invalid parameter 'n' for estimator Weight"),
        ({"estimator__learning_rate": 1}, "Invalid parameter 'learning_rate' for estimator"),
        ({"strategy": "magnitud", "strategy__importance__p": 1}, "Did you mean 'magnitude'"),
        ({"strategy__importance": "lmap", "strategy__importance__p": 1}, "Did you mean 'lamp'"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_unknown_parameters(kind: str, params: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ESTIMATORS[kind]().set_params(**params)


# Names and components


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_by_name_or_by_its_axes(kind: str, strategy: str) -> None:
    X, y = data_for(kind)

    by_name = ESTIMATORS[kind](net_for(kind), strategy=strategy, sparsity=0.5, random_state=0)
    by_axes = clone(by_name).set_params(strategy=STRATEGIES[strategy]())

    assert_equal_fits(by_name.fit(X, y), by_axes.fit(X, y), X)
    assert by_name.strategy == strategy


@pytest.mark.parametrize(
    ("axis", "name", "component"),
    [
        *(("importance", name, each) for name, each in IMPORTANCES.items()),
        *(("allocation", name, each) for name, each in ALLOCATIONS.items()),
        *(("schedule", name, each) for name, each in SCHEDULES.items()),
        *(("recovery", name, each) for name, each in RECOVERIES.items()),
    ],
)
def test_a_value_by_name_or_as_an_object(axis: str, name: str, component: Any) -> None:
    X, y = data_for("classifier")
    by_name = PrunedClassifier(
        classifier_net(), strategy=Strategy(**{axis: name}), sparsity=0.5, random_state=0
    )

    by_object = clone(by_name).set_params(**{f"strategy__{axis}": component()})

    assert_equal_fits(by_name.fit(X, y), by_object.fit(X, y), X)
    assert getattr(by_name.strategy, axis) == name


@pytest.mark.parametrize("name", STRUCTURES_OF_ANY)
def test_a_structure_by_name_or_as_an_object(kind: str, name: str) -> None:
    X, y = data_for(kind)
    by_name = ESTIMATORS[kind](net_for(kind), structure=name, sparsity=0.5, random_state=0)

    by_object = clone(by_name).set_params(structure=STRUCTURES[name]())

    assert_equal_fits(by_name.fit(X, y), by_object.fit(X, y), X)


def test_an_allocation_as_a_mapping_or_as_an_object() -> None:
    X, y = data_for("classifier")
    mapping = {"hidden": 0.5, "output": None}
    as_mapping = PrunedClassifier(
        classifier_net(), strategy=Strategy(allocation=mapping), sparsity=None, random_state=0
    )

    as_object = clone(as_mapping).set_params(strategy__allocation=Explicit(mapping))

    assert_equal_fits(as_mapping.fit(X, y), as_object.fit(X, y), X)
    assert as_mapping.sparsity_ == 0.5


def test_fit_changes_no_parameter(kind: str) -> None:
    X, y = data_for(kind)
    strategy, structure = Strategy(LAMP(), ERK(), OneShot(), FineTune()), Weight()
    estimator = ESTIMATORS[kind](net_for(kind), strategy=strategy, structure=structure)
    before, shown = estimator.get_params(deep=False), repr(estimator)

    after = estimator.fit(X, y).get_params(deep=False)

    assert all(after[name] is before[name] for name in before)
    assert repr(estimator) == shown
    assert not estimator.estimator.initialized_


# Clones


def test_clones_are_equal_and_apart(kind: str) -> None:
    estimator = ESTIMATORS[kind](
        net_for(kind), strategy=Strategy(importance=Magnitude(p=1)), protect=["hidden"]
    )

    copy = clone(estimator)

    assert repr(copy) == repr(estimator)
    assert copy.estimator is not estimator.estimator
    assert copy.strategy is not estimator.strategy
    copy.set_params(strategy__importance__p=2, estimator__lr=9.0)
    assert estimator.strategy.importance.p == 1
    assert estimator.estimator.lr == 0.02


# What is shown


def test_text_shows_what_is_not_default() -> None:
    assert repr(PrunedClassifier()) == "PrunedClassifier()"
    assert repr(PrunedRegressor(sparsity=0.5)) == "PrunedRegressor(sparsity=0.5)"
    shown = PrunedClassifier(
        strategy=Strategy("lamp", schedule=Cubic(n_steps=3)), structure=Unit(), random_state=0
    )
    assert " ".join(repr(shown).split()) == (
        "PrunedClassifier(random_state=0, strategy=Strategy(importance='lamp', "
        "schedule=Cubic(n_steps=3)), structure=Unit())"
    )


def test_notebook_shows_the_estimator(kind: str) -> None:
    X, y = data_for(kind)
    strategy = Strategy(importance=Magnitude(p=1))
    name = ESTIMATORS[kind].__name__
    for estimator in (
        ESTIMATORS[kind](),
        ESTIMATORS[kind](net_for(kind), strategy=strategy),
        ESTIMATORS[kind](net_for(kind), strategy=strategy).fit(X, y),
        make_pipeline(StandardScaler(), ESTIMATORS[kind](strategy=strategy)),
    ):
        html = estimator._repr_html_()
        assert name in html
        assert "sk-estimator" in html or "sk-container" in html
    assert "Not fitted" in ESTIMATORS[kind]()._repr_html_()
    assert "Fitted" in ESTIMATORS[kind](net_for(kind)).fit(X, y)._repr_html_()
    with config_context(display="text"):
        assert name in repr(ESTIMATORS[kind]())


def test_notebook_shows_the_axes() -> None:
    html = PrunedClassifier(strategy=Strategy(schedule=Cubic(n_steps=3)))._repr_html_()

    for shown in ("Strategy", "Cubic", "n_steps", "sparsity", "fine_tune_epochs"):
        assert shown in html


def test_report_is_shown_as_a_table(kind: str) -> None:
    X, y = data_for(kind)
    report = ESTIMATORS[kind](net_for(kind), random_state=0).fit(X, y).report_

    html = report._repr_html_()

    for layer in ("hidden", "output", "total"):
        assert f"<td>{layer}</td>" in html
        assert f"\n{layer}" in str(report)
    assert list(report.to_frame().index) == ["hidden", "output", "total"]


# Progress


@pytest.mark.parametrize("strategy", ["magnitude", "iterative_magnitude"])
def test_one_progress_bar(kind: str, strategy: str, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = data_for(kind)
    estimator = ESTIMATORS[kind](net_for(kind), strategy=strategy, verbose=1, sparsity=0.5)

    estimator.fit(X, y)

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    n_epochs = len(estimator.history_)
    last = shown.err.split("\r")[-1]
    assert last.startswith(f"{type(estimator).__name__}: 100%")
    assert f"{n_epochs}/{n_epochs}" in last
    assert "fine-tuning" in last
    assert "training the dense network" in shown.err


def test_silence_by_default(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = data_for(kind)

    ESTIMATORS[kind](sparsity=0.5).fit(X, y).partial_fit(X, y).predict(X)

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_of_the_default_net_leave_the_rest_to_the_data(
    kind: str, dtype: type[np.floating]
) -> None:
    X, y = data_for(kind)
    X = X.astype(dtype)
    options = {"fine_tune_epochs": 2, "random_state": 0}

    plain = ESTIMATORS[kind](**options).fit(X, y)
    nested = ESTIMATORS[kind](**options).set_params(estimator__lr=plain.net_.lr).fit(X, y)

    assert str(dtype.__name__) in str(next(plain.module_.parameters()).dtype)
    np.testing.assert_array_equal(plain.predict(X), nested.predict(X))
    other = nested.set_params(estimator__module=torch.nn.Linear)
    other.set_params(estimator__module__in_features=X.shape[1])
    other.set_params(estimator__module__out_features=3 if kind == "classifier" else 1).fit(
        X.astype(np.float32), y
    )
    assert isinstance(other.module_, torch.nn.Linear)


def test_parameters_of_the_default_net_for_labels() -> None:
    X, y = make_multilabel_classification(60, 5, n_classes=3, random_state=0)
    options = {"fine_tune_epochs": 2, "random_state": 0}
    plain = PrunedClassifier(**options).fit(X, y)
    nested = PrunedClassifier(**options).set_params(estimator__lr=plain.net_.lr).fit(X, y)
    np.testing.assert_array_equal(plain.predict_proba(X), nested.predict_proba(X))


@pytest.mark.parametrize("structure", [name for name in STRUCTURES_OF_ANY if name != "feature"])
def test_a_weight_by_name_protects_its_layer(structure: str) -> None:
    X, y = data_for("classifier")
    protected = PrunedClassifier(
        structure=structure,
        protect=["hidden0.weight"],
        random_state=0,
        sparsity=0.5,
        estimator=None,
    ).set_params(estimator__module__hidden_layer_sizes=(8, 8))
    assert protected.fit(X, y).module_.hidden0.out_features == 8
