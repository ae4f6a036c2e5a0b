"""What is imported when: names when they are asked for, and skorch only where something trains."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.datasets import make_blobs
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn

import skprune
from skprune import PrunedClassifier, PrunedRegressor

# The module's file is the user's own, and lies beside the saved predictor.
MODULE = """
from torch import cat, nn


class Network(nn.Module):
    def __init__(self, n_outputs=3):
        super().__init__()
        self.hidden = nn.Linear(4, 16)
        self.output = nn.Linear(16, n_outputs)

    def forward(self, X):
        return self.output(self.hidden(X).relu())


class Sides(Network):
    def forward(self, left, right):
        return super().forward(cat((left, right), 1))
"""

WITHOUT_SKORCH = """
import sys


class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "skorch":
            raise ImportError("skorch is not to be imported")


sys.meta_path.insert(0, Refuses())
try:
    import skorch
except ImportError:
    pass
else:
    raise AssertionError("skorch can be imported")
"""

PREDICT = (
    WITHOUT_SKORCH
    + """
import pickle
import joblib
import numpy as np

file, rows, result, *methods = sys.argv[1:]
with open(file, "rb") as opened:
    predictor = joblib.load(opened) if file.endswith("joblib") else pickle.load(opened)
with open(rows, "rb") as opened:
    X = pickle.load(opened)
np.savez(result, **{method: getattr(predictor, method)(X) for method in methods})
assert not any(name.partition(".")[0] == "skorch" for name in sys.modules)
"""
)

ROWS, Y = make_blobs(60, n_features=4, centers=3, random_state=0)
X = ROWS.astype(np.float32)
OPTIONS: dict[str, Any] = {"max_epochs": 2, "train_split": None, "verbose": 0}


def python(code: str, *arguments: str | Path, path: Path | None = None) -> str:
    """Run code in a process of its own, in a folder whose modules it can import."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "own_network.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import own_network  # type: ignore[import-not-found]

    yield own_network
    del sys.modules["own_network"]


def fitted(kind: str, network: Any) -> tuple[Any, Any, str]:
    """An estimator, rows for it, and the method that says the most."""
    params: dict[str, Any] = {"sparsity": 0.5, "random_state": 0}
    scores = {**OPTIONS, "criterion": nn.CrossEntropyLoss}
    if kind == "default":
        default = PrunedClassifier(**params).set_params(estimator__max_epochs=2)
        return default.fit(X, Y), X, "predict_proba"
    if kind == "units":
        net = NeuralNetClassifier(network.Network, **scores)
        return PrunedClassifier(net, structure="unit", **params).fit(X, Y), X, "predict_proba"
    if kind == "two classes":
        net = NeuralNetBinaryClassifier(network.Network, module__n_outputs=1, **OPTIONS)
        return PrunedClassifier(net, **params).fit(X, Y > 0), X, "decision_function"
    if kind == "mapping":
        net = NeuralNetClassifier(network.Sides, **scores)
        rows = {"left": X[:, :1], "right": X[:, 1:]}
        return PrunedClassifier(net, **params).fit(rows, Y), rows, "predict_proba"
    net = NeuralNetRegressor(network.Network, module__n_outputs=1, **OPTIONS)
    return PrunedRegressor(net, **params).fit(X, X.sum(1)), X, "predict"


@pytest.mark.parametrize(
    ("kind", "keeper"),
    [
        ("default", joblib),
        ("default", pickle),
        ("units", joblib),
        ("two classes", pickle),
        ("mapping", pickle),
        ("values", pickle),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_saved_predictor_predicts_without_skorch(
    kind: str, keeper: Any, network: Any, tmp_path: Path
) -> None:
    estimator, rows, method = fitted(kind, network)
    file, results = tmp_path / f"predictor.{keeper.__name__}", tmp_path / "results.npz"
    with file.open("wb") as opened:
        keeper.dump(estimator.predictor_, opened)
    (tmp_path / "rows.pickle").write_bytes(pickle.dumps(rows))
    methods = {method, "predict"}
    python(PREDICT, file, tmp_path / "rows.pickle", results, *methods, path=tmp_path)
    found = np.load(results)
    for name in methods:
        expected = getattr(estimator, name)(rows)
        # How many threads multiply decides over the last bit.
        tolerance = {"rtol": 1e-5, "atol": 1e-6} if expected.dtype.kind == "f" else {}
        np.testing.assert_allclose(found[name], expected, **tolerance)


def test_the_process_without_skorch_has_none() -> None:
    """The test above would pass by itself if skorch could be imported after all."""
    code = (
        "import skprune\ntry:\n    skprune.PrunedClassifier\nexcept ImportError as e:\n    print(e)"
    )
    assert python(WITHOUT_SKORCH + code) == "skorch is not to be imported\n"


# -------------------------------------------------------------------------------------- lazy names


def test_the_package_by_itself_imports_nothing_of_weight() -> None:
    heavy = ("torch", "sklearn", "numpy", "skorch")
    code = f"import sys, skprune; print([name for name in {heavy} if name in sys.modules])"
    assert python(code) == "[]\n"


@pytest.mark.parametrize("name", ["PrunedClassifier", "Strategy", "UncachedWarning"])
def test_a_name_can_be_the_first_that_is_imported(name: str) -> None:
    python(f"from skprune import {name}; import skprune; assert skprune.{name} is {name}")


def test_all_names_are_imported_at_once_and_listed() -> None:
    python(
        "from skprune import *\n"
        "import skprune\n"
        "assert all(globals()[name] is getattr(skprune, name) for name in skprune.__all__)"
    )
    assert set(skprune.__all__) | {"metrics", "pruning", "inspection"} <= set(dir(skprune))


def test_parts_of_the_package_are_its_attributes() -> None:
    parts = sorted(set(dir(skprune)) - set(skprune.__all__))
    assert {"metrics", "network", "pruning", "strategies", "structures"} <= set(parts)
    python(
        "import skprune, types\n"
        f"assert all(isinstance(getattr(skprune, part), types.ModuleType) for part in {parts})"
    )


def test_an_unknown_name_is_an_error_that_knows_better() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'PrunedClasifier'\. Did you mean 'Pru"):
        _ = skprune.PrunedClasifier  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"module 'skprune' has no attribute 'zzz'\.$"):
        _ = skprune.zzz  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'Unknown'"):
        from skprune import Unknown  # type: ignore[attr-defined]  # noqa: F401


def test_type_checkers_and_the_table_know_the_same_names() -> None:
    tree = ast.parse(Path(skprune.__file__).read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        (node.module, alias.name)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    table = {(f"skprune.{part}", name) for part, names in skprune._NAMES.items() for name in names}
    assert imported == table
    assert {name for _, name in table} == set(skprune.__all__) - {"__version__"}
