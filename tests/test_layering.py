"""Imports run downward, and what is private to others is imported in one place."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from torch import nn

import skprune

PACKAGE = Path(skprune.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# From the top down; a package imports from those of a higher number, and from itself.
RANKS = {
    "__init__": 0,
    "inspection": 1,
    "estimators": 2,
    "model_selection": 3,
    "deployment": 4,
    "training": 5,
    "pruning": 6,
    "strategies": 7,
    "structures": 8,
    "metrics": 9,
    "network": 10,
    "components": 11,
    "seeding": 11,
    "casting": 12,
    "exceptions": 12,
    "files": 12,
    "lazy": 12,
    "tensors": 12,
    "_sklearn": 12,
}
AXES = sorted(path.parent.name for path in PACKAGE.glob("strategies/*/__init__.py"))


class Import(NamedTuple):
    """One imported name (empty for a whole module), and whether it is at a file's top level."""

    module: str
    name: str
    top: bool


def imports_of(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, "", node in tree.body) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                yield Import(node.module or "", alias.name, node in tree.body)


def package_of(path: Path) -> str:
    """The part of skprune that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


every_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix()
)


def test_every_part_has_its_place() -> None:
    assert {package_of(path) for path in FILES} == RANKS.keys()
    assert AXES == [
        "allocation",
        "importance",
        "recovery",
        "regrowth",
        "regularization",
        "schedule",
        "start",
    ]


@every_file
def test_imports_run_downward(path: Path) -> None:
    own = package_of(path)
    for module, name, _ in imports_of(path):
        if module.partition(".")[0] != "skprune":
            continue
        if (module, name) == ("skprune", "__version__"):  # a string, told to whoever asks
            continue
        target = module.split(".")[1] if "." in module else name
        if target not in RANKS:  # a name from skprune/__init__.py, which is on top
            target = "__init__"
        assert target == own or RANKS[target] > RANKS[own], f"{own} imports {module}.{name}"


@every_file
def test_an_axis_imports_no_sibling(path: Path) -> None:
    parts = path.relative_to(PACKAGE).parts
    if parts[0] != "strategies" or parts[1] not in AXES:
        return
    for module, name, _ in imports_of(path):
        found = re.match(r"skprune\.strategies(?:\.(\w+))?", f"{module}.{name}")
        if found:
            assert found[1] in {parts[1], "hooks", "learning", "samples", "selection", "stage"}, (
                f"{parts[1]} imports {module}.{name}"
            )


@every_file
def test_skorch_is_imported_by_the_training_alone(path: Path) -> None:
    """The estimators name the class of nets in annotations, and use it for nothing else."""
    if package_of(path) == "training":
        return
    found = {(i.module, i.name) for i in imports_of(path) if i.module.partition(".")[0] == "skorch"}
    if package_of(path) != "estimators":
        assert not found
        return
    assert found <= {("skorch", "NeuralNet")}
    tree = ast.parse(path.read_text())
    annotations = [
        annotation
        for node in ast.walk(tree)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if annotation is not None
    ]
    allowed = {id(node) for annotation in annotations for node in ast.walk(annotation)}
    used = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "NeuralNet"]
    assert [node.lineno for node in used if id(node) not in allowed] == []


def is_private(module: str, name: str) -> bool:
    return any(part.startswith("_") for part in [*module.split("."), name])


@every_file
def test_private_names_are_imported_in_one_file_each(path: Path) -> None:
    homes = {
        "sklearn": "_sklearn.py",
        "skorch": None,
    }
    for module, name, _ in imports_of(path):
        library = module.partition(".")[0]
        if library in homes and is_private(module, name):
            assert path.relative_to(PACKAGE).as_posix() == homes[library], f"{module}.{name}"


def layer_types(tree: ast.AST) -> Iterator[str]:
    """Types of torch's layers that code asks after by isinstance or issubclass."""
    private = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch.nn.modules")
        for alias in node.names
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ASKING:
            for node in ast.walk(call.args[1]):
                name = getattr(node, "attr", getattr(node, "id", ""))
                kind = getattr(nn, name, None)
                if name in private or (isinstance(kind, type) and issubclass(kind, nn.Module)):
                    yield name


# Criteria are modules as well, and a module may be any of them.
ASKING = {"isinstance", "issubclass"}
NO_LAYERS = {"Module", *(name for name in dir(nn) if name.endswith("Loss"))}


@every_file
def test_what_a_layer_is_is_asked_in_one_place(path: Path) -> None:
    found = set(layer_types(ast.parse(path.read_text()))) - NO_LAYERS
    assert not found or path.parent == PACKAGE / "network" / "layers"


def test_the_search_for_types_of_layers_finds_them() -> None:
    code = "from torch.nn.modules.conv import _ConvNd\nisinstance(x, (nn.Linear, _ConvNd, str))"
    assert set(layer_types(ast.parse(code))) == {"Linear", "_ConvNd"}


def test_what_a_file_imports_at_its_top_is_required() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    required = {re.split(r"[<>=]", line)[0] for line in project["dependencies"]}
    names = {"scikit-learn": "sklearn"}
    known = {names.get(name, name) for name in required} | {"skprune"} | sys.stdlib_module_names
    # What these define needs an extra; they are imported inside of functions alone.
    sparse = PACKAGE / "deployment" / "runtimes" / "sparse"
    extras = {sparse / "compiled.py": {"numba"}, sparse / "vectors.py": {"numba", "llvmlite"}}
    for path in FILES:
        allowed = known | extras.get(path, set())
        for module, _, top in imports_of(path):
            assert module.partition(".")[0] in allowed or not top, f"{path} imports {module}"
    for path in FILES:
        for module, name, top in imports_of(path):
            imported = f"{module}.{name}"
            if top and path not in extras:
                assert "sparse.compiled" not in imported, path
                assert "sparse.vectors" not in imported, path
