"""Every public callable says in the same form what it takes and gives, and its examples run."""

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import skprune
import skprune.deployment
import skprune.inspection
import skprune.metrics
import skprune.model_selection
import skprune.network
import skprune.pruning
import skprune.strategies
import skprune.structures
from skprune.components import Component
from skprune.estimators.choice import SELECTIONS
from skprune.estimators.path import PATHS
from skprune.estimators.wrapping import WrapsNet
from skprune.model_selection.non_inferior import AGAINST
from skprune.model_selection.smoothing import SMOOTHINGS
from skprune.strategies import IMPORTANCES, STRATEGIES
from skprune.strategies.strategy import Strategy
from skprune.structures import STRUCTURES

PUBLIC = [
    skprune,
    skprune.strategies,
    skprune.structures,
    skprune.network,
    skprune.pruning,
    skprune.deployment,
    skprune.metrics,
    skprune.model_selection,
    skprune.inspection,
    skprune.deployment,
]
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(skprune.__path__, prefix="skprune.")
)
SECTION = re.compile(r"^(?P<title>[A-Z][\w ]+)\n(?P<rule>-+)$", re.MULTILINE)


def public_callables() -> Iterator[tuple[str, Any]]:
    """Everything that users can call: functions, classes, and the public methods of these."""
    for module in PUBLIC:
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, type):
                yield f"{module.__name__}.{name}", value
                for key, member in inspect.getmembers(value):
                    if not key.startswith("_") and callable(member) and is_ours(member):
                        yield f"{module.__name__}.{name}.{key}", member
            elif callable(value):
                yield f"{module.__name__}.{name}", value


def is_ours(member: Any) -> bool:
    return getattr(member, "__module__", "").startswith("skprune")


CALLABLES = dict(public_callables())
CLASSES = {name: value for name, value in CALLABLES.items() if isinstance(value, type)}


def sections(value: Any) -> dict[str, str]:
    """The sections of a docstring, what comes before them under ''."""
    text = inspect.getdoc(value) or ""
    heads = list(SECTION.finditer(text))
    found = {"": text[: heads[0].start()] if heads else text}
    ends = [*(head.start() for head in heads[1:]), len(text)]
    for head, end in zip(heads, ends, strict=False):
        assert len(head["rule"]) == len(head["title"]), head["title"]
        found[head["title"]] = text[head.end() : end]
    return found


def names_in(section: str) -> set[str]:
    """The names that a section of parameters or attributes describes."""
    heads = re.findall(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: : .+)?$", section, re.MULTILINE)
    return {name.strip("*` ") for head in heads for name in head.split(",")}


def values_in(section: str, parameter: str) -> list[str]:
    """The values of a parameter that a list explains, such as ``- ``"erk"``: denser where ...``."""
    head = re.search(rf"^{parameter} : .+$", section, re.MULTILINE)
    assert head
    body = re.split(r"^\S", section[head.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r'^ +- ``"([^"]+)"``: \w', body, re.MULTILINE)


def parameters_of(value: Any) -> set[str]:
    return {
        name
        for name, parameter in inspect.signature(value).parameters.items()
        if name not in ("self", "cls")
    }


def refers_to_its_base(value: Callable) -> bool:
    """Whether a method of a component leaves the description to the class that declares it."""
    return bool(re.search(r"; see :class:`\w+`\.$", inspect.getdoc(value) or ""))


def test_the_public_names_are_found() -> None:
    assert {
        "skprune.PrunedClassifier.fit",
        "skprune.strategies.Cubic.steps",
        "skprune.structures.Unit",
        "skprune.network.MLP.forward",
        "skprune.metrics.count_macs",
    } <= CALLABLES.keys()


@pytest.mark.parametrize("name", CALLABLES)
def test_it_has_a_summary_in_one_line(name: str) -> None:
    text = inspect.getdoc(CALLABLES[name])
    assert text
    summary, _, rest = text.partition("\n")
    assert summary.endswith(".")
    assert not rest or rest.startswith("\n")


@pytest.mark.parametrize("name", CALLABLES)
def test_its_parameters_are_described(name: str) -> None:
    value = CALLABLES[name]
    if refers_to_its_base(value) or issubclass_of_exception(value):
        return
    parameters, found = parameters_of(value), sections(value)
    if is_abstract(value) or is_dataclass_like(value):
        described = names_in(found.get("Attributes", ""))
    else:
        described = names_in(found.get("Parameters", ""))
    assert parameters <= described, parameters - described


def issubclass_of_exception(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def is_abstract(value: Any) -> bool:
    """A class that only others derive from describes what it has, not how it is made."""
    return isinstance(value, type) and inspect.isabstract(value)


def is_dataclass_like(value: Any) -> bool:
    of_fields = hasattr(value, "__dataclass_fields__") or hasattr(value, "_fields")
    return isinstance(value, type) and of_fields


@pytest.mark.parametrize("name", CALLABLES)
def test_what_it_gives_is_described(name: str) -> None:
    value = CALLABLES[name]
    if isinstance(value, type) or refers_to_its_base(value):
        return
    returns = inspect.signature(value).return_annotation
    if returns not in (None, "None", inspect.Signature.empty):
        assert "Returns" in sections(value) or "Yields" in sections(value)


@pytest.mark.parametrize(
    "name", [n for n, value in CLASSES.items() if issubclass(value, (WrapsNet, Component))]
)
def test_a_class_that_users_make_has_an_example(name: str) -> None:
    value = CLASSES[name]
    if not inspect.isabstract(value):
        assert ">>> " in sections(value)["Examples"]


@pytest.mark.parametrize("name", [n for n, value in CLASSES.items() if issubclass(value, WrapsNet)])
def test_an_estimator_describes_what_fit_sets(name: str) -> None:
    estimator = CLASSES[name](random_state=0)
    X = [[float(i), float(i % 3)] for i in range(30)]
    estimator.fit(X, [i % 2 for i in range(30)])
    fitted = {key for key in vars(estimator) if key.endswith("_") and not key.startswith("_")}
    described = names_in(sections(CLASSES[name])["Attributes"])
    assert fitted <= described
    for attribute in described - {"feature_names_in_"}:
        assert hasattr(estimator, attribute)


LISTS = {
    **{("skprune.Strategy", axis): list(table) for axis, table in Strategy.axes.items()},
    **{
        (f"skprune.{name}", parameter): list(table)
        for name in ("PrunedClassifier", "PrunedRegressor")
        for parameter, table in (("strategy", STRATEGIES), ("structure", STRUCTURES))
    },
    ("skprune.PrunedClassifierCV", "path"): list(PATHS),
    ("skprune.PrunedRegressorCV", "path"): list(PATHS),
    ("skprune.pruning_path", "path"): list(PATHS),
    ("skprune.model_selection.NonInferior", "against"): list(AGAINST),
    ("skprune.model_selection.NonInferior", "smooth"): list(SMOOTHINGS),
    ("skprune.PrunedClassifierCV", "selection"): list(SELECTIONS),
    ("skprune.PrunedRegressorCV", "selection"): list(SELECTIONS),
}


@pytest.mark.parametrize(("name", "parameter"), LISTS)
def test_each_value_of_a_parameter_is_explained_where_it_is_listed(
    name: str, parameter: str
) -> None:
    found = values_in(sections(CALLABLES[name])["Parameters"], parameter)
    assert found == LISTS[name, parameter]


@pytest.mark.parametrize("name", [name for name in IMPORTANCES if name != "random"])
def test_an_importance_cites_its_paper(name: str) -> None:
    references = sections(IMPORTANCES[name])["References"]
    assert re.search(r"\((19|20)\d\d\)\. ", references)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert module.__doc__.splitlines()[0].endswith((".", "?"))


def with_examples() -> Iterator[str]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        if any(test.examples for test in finder.find(importlib.import_module(name))):
            yield name


@pytest.mark.parametrize("name", list(with_examples()))
def test_examples_run(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0
