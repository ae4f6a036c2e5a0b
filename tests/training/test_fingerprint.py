"""Equal content, equal fingerprint; anything else, another."""

import functools
import importlib
import subprocess
import sys
import types
import weakref
from collections import deque
from functools import partial
from importlib.metadata import version

import numpy as np
import pytest
import torch
from torch import nn

import skprune
from skprune.training.fingerprint import Uncacheable, fingerprint
from skprune.training.packages import package_of, requirements


def made(source, name="thing", **scope):
    """Make a function or class as a notebook cell would."""
    scope["__name__"] = "notebook"
    exec(source, scope)
    return scope[name]


ZEROS, OTHER_ZEROS, ONES = torch.zeros(2), torch.zeros(2), torch.ones(2)

EQUAL = {
    "memory layout": (np.ones((3, 4)), np.asfortranarray(np.ones((3, 4)))),
    "strides": (np.arange(12.0)[::2], np.arange(0.0, 12.0, 2.0)),
    "same source": (made("def thing(x): return x + 1"), made("def thing(x): return x + 1")),
    "same class": (
        made("class thing:\n  def f(self): return 1"),
        made("class thing:\n  def f(self): return 1"),
    ),
    "order of a set": ({1, 2, 3}, {3, 2, 1}),
    "tensors": (torch.zeros(2, 3), torch.zeros(3, 2).T.contiguous().T.T),
    "what a weak reference refers to": (weakref.ref(ZEROS), weakref.ref(OTHER_ZEROS)),
}

DIFFERENT = {
    "dtype": (np.zeros(3, dtype=np.float32), np.zeros(3, dtype=np.float64)),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "a value": (np.array([1.0, 2.0]), np.array([1.0, np.nextafter(2.0, 3.0)])),
    "int and float": (1, 1.0),
    "int and bool": (1, True),
    "a constant": (made("def thing(x): return x + 1"), made("def thing(x): return x + 2")),
    "an operation": (made("def thing(x): return x + 1"), made("def thing(x): return x - 1")),
    "a default": (made("def thing(x=1): return x"), made("def thing(x=2): return x")),
    "a called name": (made("def thing(x): return abs(x)"), made("def thing(x): return len(x)")),
    "a global": (made("def thing(x): return x * a", a=1), made("def thing(x): return x * a", a=2)),
    "a global of a global": (
        made("def g(x): return x * a\ndef thing(x): return g(x)", a=1),
        made("def g(x): return x * a\ndef thing(x): return g(x)", a=2),
    ),
    "an inner function": (
        made("def thing(x): return (lambda y: y + 1)(x)"),
        made("def thing(x): return (lambda y: y + 2)(x)"),
    ),
    "a method": (
        made("class thing:\n  def f(self): return 1"),
        made("class thing:\n  def f(self): return 2"),
    ),
    "a class attribute": (made("class thing:\n  a = 1"), made("class thing:\n  a = 2")),
    "a base's method": (
        made("class b:\n  def f(self): return 1\nclass thing(b): pass"),
        made("class b:\n  def f(self): return 2\nclass thing(b): pass"),
    ),
    "a property": (
        made("class thing:\n  @property\n  def f(self): return 1"),
        made("class thing:\n  @property\n  def f(self): return 2"),
    ),
    "a partial's argument": (partial(np.add, 1), partial(np.add, 2)),
    "a bound object": (nn.Linear(2, 2).forward, nn.Linear(2, 3).forward),
    "a module's weights": (nn.Linear(2, 2), nn.Linear(2, 2)),
    "a module's attribute": (nn.Dropout(0.1), nn.Dropout(0.2)),
    "the order of a list": ([1, 2], [2, 1]),
    "a key": ({"a": 1}, {"b": 1}),
    "requires_grad": (torch.zeros(2), torch.zeros(2, requires_grad=True)),
    "what a weak reference refers to": (weakref.ref(ZEROS), weakref.ref(ONES)),
    "float types of torch": (torch.float32, torch.float64),
}


@pytest.mark.parametrize("case", EQUAL)
def test_equal_content_gives_equal_fingerprints(case):
    first, second = EQUAL[case]
    assert fingerprint(first) == fingerprint(second)


@pytest.mark.parametrize("case", DIFFERENT)
def test_different_content_gives_different_fingerprints(case):
    first, second = DIFFERENT[case]
    assert fingerprint(first) != fingerprint(second)


def closure(value):
    def inner(x):
        return x * value

    return inner


def test_what_a_function_closes_over_counts():
    assert fingerprint(closure(1)) == fingerprint(closure(1))
    assert fingerprint(closure(1)) != fingerprint(closure(2))


def test_cycles_end():
    loop = []
    loop.append(loop)
    assert fingerprint(loop) == fingerprint(loop)


def test_the_same_in_another_process():
    code = (
        "from skprune.training.fingerprint import fingerprint as f; print(f({'a': {1, 'x'}}, 0.1))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert runs == {fingerprint({"a": {1, "x"}}, 0.1) + "\n"}


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


def test_slots_and_what_pickles_in_its_own_way_count():
    assert fingerprint(Slotted(1)) == fingerprint(Slotted(1))
    assert fingerprint(Slotted(1)) != fingerprint(Slotted(2))
    assert fingerprint(deque([1])) != fingerprint(deque([2]))
    assert fingerprint(np.random.RandomState(0)) != fingerprint(np.random.RandomState(1))


def test_an_object_without_visible_content_is_an_error():
    with pytest.raises(Uncacheable, match="shows nothing of its content"):
        fingerprint(x for x in [1])


def test_what_code_uses_of_a_module_of_the_users_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    codes = {
        "module": "import helpers\ndef thing(x): return helpers.act(x)",
        "inside": "def thing(x):\n  from helpers import act\n  return act(x)",
        "deeper": "import helpers\ndef thing(x): return helpers.inner.act(x)",
    }
    found = {}
    for factor in (1, 1, 2):
        (tmp_path / "inner_helpers.py").write_text(f"def act(x): return {factor} * x\n")
        (tmp_path / "helpers.py").write_text(
            "import inner_helpers as inner\ndef act(x): return inner.act(x)\n"
        )
        for name in ("helpers", "inner_helpers"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        for name, code in codes.items():
            found.setdefault(name, []).append(fingerprint(made(code)))
    for first, again, changed in found.values():
        assert first == again != changed


@pytest.mark.parametrize("imported_before", [False, True])
def test_a_module_of_a_package_counts_whether_it_is_imported_yet_or_not(
    imported_before, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    code = "def thing(x):\n  from helpers import ops\n  return ops.act(x)"
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "__init__.py").touch()
    found = []
    for factor in (1, 1, 2):
        (tmp_path / "helpers" / "ops.py").write_text(f"def act(x): return {factor} * x\n")
        for name in ("helpers", "helpers.ops"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        if imported_before:
            importlib.import_module("helpers.ops")
        found.append(fingerprint(made(code)))
    assert found[0] == found[1] != found[2]


def test_code_that_imports_what_is_not_installed_can_be_told_apart():
    code = "def thing(x):\n  try:\n    import no_such_package.part\n  except ImportError: {}\n"
    assert fingerprint(made(code.format("pass"))) == fingerprint(made(code.format("pass")))
    assert fingerprint(made(code.format("pass"))) != fingerprint(made(code.format("return x")))


def test_modules_that_name_each_other_end():
    first, second = types.ModuleType("first"), types.ModuleType("second")
    first.second, second.first, second.scale = second, first, 1
    source = "def thing(x): return first.second.first.second.scale * x"
    before = fingerprint(made(source, first=first))
    assert before == fingerprint(made(source, first=first))
    second.scale = 2
    assert before != fingerprint(made(source, first=first))


def test_a_setting_of_a_module_counts(monkeypatch):
    helpers = types.ModuleType("helpers")
    helpers.scale = 1
    code = made("def thing(x): return x * helpers.scale", helpers=helpers)
    before = fingerprint(code)
    helpers.scale = 2
    assert fingerprint(code) != before


def test_code_counts_by_what_it_is_and_not_by_what_it_calls_itself():
    def wrapped(factor):
        @functools.wraps(torch.nn.functional.relu)
        def inner(x):
            return x * factor

        return inner

    assert fingerprint(wrapped(1)) == fingerprint(wrapped(1))
    assert fingerprint(wrapped(1)) != fingerprint(wrapped(2))
    nameless = []
    for value in (1, 2):
        scope = {}
        exec(f"class thing:\n  def f(self): return {value}", scope)
        nameless.append(fingerprint(scope["thing"]))
    assert nameless[0] != nameless[1]


def test_installed_packages_count_by_their_versions():
    assert package_of(torch) == package_of(nn.Linear)
    assert package_of(torch).startswith(f"torch-{version('torch')} ")
    assert package_of(skprune).startswith("skprune ")
    assert package_of(functools) == package_of(sys) == package_of(dict) == "python"
    assert package_of(sys.modules[__name__]) is package_of(Slotted) is None
    # As a class of a notebook, whose module has no file, or of none that is there.
    assert package_of(made("class thing: pass")) is None
    assert package_of(type("Linear", (), {"__module__": "torch.nn"})) is None
    assert any(label == f"torch {version('torch')}" for label in requirements("skorch", "torch"))


def test_a_package_is_installed_where_a_distribution_lists_it(tmp_path, monkeypatch):
    # As by `pip install --target`, in a folder that PYTHONPATH names.
    monkeypatch.syspath_prepend(tmp_path)
    source = "import re\nPATTERN = re.compile('a')\ndef act(x): return x\n"
    (tmp_path / "listed_package.py").write_text(source)
    (tmp_path / "unlisted_module.py").write_text(source)
    (tmp_path / "listed_package-1.0.dist-info").mkdir()
    (tmp_path / "listed_package-1.0.dist-info" / "RECORD").write_text("listed_package.py,sha,1\n")
    importlib.invalidate_caches()
    for name in ("listed_package", "unlisted_module"):
        module = importlib.import_module(name)
        assert fingerprint(module.act) == fingerprint(module.act)
        assert fingerprint(made(f"import {name}\ndef thing(x): return {name}.PATTERN"))
        assert (package_of(module) or "").startswith("listed_package-1.0 ") == (
            name == "listed_package"
        )
        monkeypatch.delitem(sys.modules, name)


def test_whatever_an_object_raises_is_an_error_of_its_content():
    def inner():
        return later

    with pytest.raises(Uncacheable, match="Cell is empty"):
        fingerprint(inner)
    later = 1
    with pytest.raises(Uncacheable, match="cannot be seen"):
        fingerprint(torch.eye(2).to_sparse())


def test_globals_of_the_name_of_an_attribute_do_not_count(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from skprune.training.fingerprint import fingerprint\n"
        "class Module:\n"
        "    def forward(self):\n"
        "        return self.a + b\n"
        "a, b = int(sys.argv[1]), int(sys.argv[2])\n"
        "print(fingerprint(Module))\n"
    )

    def of(*values):
        run = subprocess.run(
            [sys.executable, script, *map(str, values)], capture_output=True, text=True, check=True
        )
        return run.stdout

    assert of(1, 1) == of(2, 1)
    assert of(1, 1) != of(1, 2)
