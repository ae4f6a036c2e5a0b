"""Strategies, their names, and the names on their axes."""

from typing import Any

import pytest
from sklearn.base import clone

from skprune import PrunedClassifier, Strategy
from skprune.components import resolve
from skprune.strategies import (
    ALLOCATIONS,
    IMPORTANCES,
    RECOVERIES,
    SCHEDULES,
    STRATEGIES,
    Cubic,
    FineTune,
    Global,
    Iterative,
    Magnitude,
)

TABLES = {
    "importance": IMPORTANCES,
    "allocation": ALLOCATIONS,
    "schedule": SCHEDULES,
    "recovery": RECOVERIES,
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_named_strategy_is_made_anew_each_time(name: str) -> None:
    one, other = resolve(name, STRATEGIES, "strategy"), resolve(name, STRATEGIES, "strategy")
    assert isinstance(one, Strategy)
    assert one is not other
    assert repr(one) == repr(other)
    one.resolved()


def test_the_names_mean_what_they_say() -> None:
    def axes(name: str) -> tuple[Any, ...]:
        strategy = STRATEGIES[name]().resolved()
        return (
            type(strategy.importance).__name__,
            type(strategy.allocation).__name__,
            type(strategy.schedule).__name__,
            type(strategy.start).__name__,
        )

    expected = {
        "random": ("RandomImportance", "Uniform", "OneShot", "Trained"),
        "magnitude": ("Magnitude", "ERK", "OneShot", "Trained"),
        "lamp": ("LAMP", "Global", "OneShot", "Trained"),
        "iterative_magnitude": ("Magnitude", "ERK", "Iterative", "Trained"),
        "gradual_magnitude": ("Magnitude", "ERK", "Cubic", "Trained"),
        "random_at_init": ("RandomImportance", "ERK", "OneShot", "Init"),
    }
    assert {name: axes(name) for name in expected} == expected


@pytest.mark.parametrize("axis", TABLES)
def test_names_and_objects_are_both_accepted(axis: str) -> None:
    for name, component in TABLES[axis].items():
        by_name = getattr(Strategy(**{axis: name}).resolved(), axis)
        given = component()
        assert type(by_name) is component
        assert getattr(Strategy(**{axis: given}).resolved(), axis) is given


@pytest.mark.parametrize("axis", TABLES)
def test_an_unknown_name_is_answered_with_the_nearest(axis: str) -> None:
    for name in TABLES[axis]:
        wrong = f"{name}_{name[-1]}"
        with pytest.raises(ValueError, match=f"Unknown {axis} '{wrong}'. Did you mean '{name}'"):
            Strategy(**{axis: wrong}).resolved()
    with pytest.raises(
        ValueError, match=rf"Unknown {axis} 'qqq'\. Known: '{next(iter(TABLES[axis]))}'"
    ):
        Strategy(**{axis: "qqq"}).resolved()


@pytest.mark.parametrize("axis", TABLES)
@pytest.mark.parametrize("value", [3, Magnitude, Strategy()])
def test_a_value_of_another_kind_is_refused(axis: str, value: Any) -> None:
    base = axis.capitalize()
    with pytest.raises(ValueError, match=f"{axis} must be one of .* or an instance of {base}; got"):
        Strategy(**{axis: value}).resolved()


def test_parameters_of_a_component_are_checked() -> None:
    with pytest.raises(ValueError, match="'n_steps' parameter of Cubic must be an int"):
        Strategy(schedule=Cubic(n_steps=0)).resolved()
    with pytest.raises(ValueError, match=r"Unknown start 'middle'.* 'trained', 'init', 'early'"):
        Strategy(start="middle").resolved()


def test_setting_a_nested_parameter_turns_names_into_components() -> None:
    strategy = Strategy().set_params(
        importance__p=1, schedule="iterative", schedule__n_steps=7, recovery__lr=0.5
    )
    assert strategy.importance.p == 1
    assert isinstance(strategy.schedule, Iterative)
    assert strategy.schedule.n_steps == 7
    assert strategy.recovery.lr == 0.5
    assert strategy.allocation == "erk"


def test_setting_an_unknown_parameter_is_an_error() -> None:
    with pytest.raises(ValueError, match="Invalid parameter 'damping' for estimator Magnitude"):
        Strategy().set_params(importance__damping=1)
    with pytest.raises(ValueError, match="Invalid parameter 'start_at' for estimator Strategy"):
        Strategy().set_params(start_at="init")


def test_an_object_with_its_parameter_is_set_in_one_call_in_any_order() -> None:
    for parameters in (
        {"strategy__schedule__n_steps": 3, "strategy__schedule": "cubic", "strategy": "lamp"},
        {"strategy": "lamp", "strategy__schedule": "cubic", "strategy__schedule__n_steps": 3},
    ):
        estimator = PrunedClassifier().set_params(**parameters)
        assert estimator.strategy.importance == "lamp"
        assert isinstance(estimator.strategy.schedule, Cubic)
        assert estimator.strategy.schedule.n_steps == 3


def test_clone_copies_components() -> None:
    strategy = Strategy(Magnitude(p=1), Global(), Cubic(n_steps=3), FineTune(lr=0.1), "init")
    copy = clone(strategy)
    assert repr(copy) == repr(strategy)
    for axis in TABLES:
        assert getattr(copy, axis) is not getattr(strategy, axis)


def test_resolving_leaves_the_strategy_as_it_is() -> None:
    strategy = Strategy("lamp", {"output": 0.5})
    strategy.resolved()
    assert strategy.get_params() == {
        "importance": "lamp",
        "allocation": {"output": 0.5},
        "schedule": "one_shot",
        "recovery": "fine_tune",
        "start": "trained",
        "regularizer": None,
        "regrowth": None,
    }


def test_nested_parameters_reach_a_mapping() -> None:
    strategy = Strategy(allocation={"hidden0": 0.5})
    strategy.set_params(allocation__layers={"hidden0": 0.6}, schedule="cubic")
    assert strategy.allocation.layers == {"hidden0": 0.6}


def test_an_unknown_start_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"Unknown start 'trainde'. Did you mean 'trained'\?"):
        Strategy(start="trainde").resolved()
