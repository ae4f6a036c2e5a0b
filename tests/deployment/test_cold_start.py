"""A deployed predictor in a process without torch, skorch, and whatever else it can spare."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import deploy
from tests.deployment.common import CLASSES, NAMES, X, default_classifier, fitted

PREDICT = """
import sys


class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"{name} is not to be imported")


REFUSED = sys.argv[4].split()
sys.meta_path.insert(0, Refuses())
for name in REFUSED:
    try:
        __import__(name)
    except ImportError:
        pass
    else:
        raise AssertionError(f"{name} can be imported")
import pickle
import numpy as np

predictor, X = (pickle.load(open(file, "rb")) for file in sys.argv[1:3])
results = {"predict": predictor.predict(X)}
if hasattr(predictor, "predict_proba"):
    results["predict_proba"] = predictor.predict_proba(X)
np.savez(sys.argv[3], **results)
"""


def predicted(deployed: Any, rows: Any, folder: Path, refused: str) -> dict[str, np.ndarray]:
    files = [folder / name for name in ("predictor", "rows", "results.npz")]
    for file, content in zip(files, (deployed, rows), strict=False):
        file.write_bytes(pickle.dumps(content))
    command = [sys.executable, "-W", "error", "-c", PREDICT, *map(str, files), refused]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return dict(np.load(files[2]))


@pytest.mark.parametrize(
    ("runtime", "refused"),
    [("onnx", "torch skorch scipy sklearn onnx onnxscript"), ("sparse", "torch skorch sklearn")],
)
@pytest.mark.parametrize(
    "kind",
    [
        "strings",
        *(pytest.param(k, marks=pytest.mark.slow) for k in ("two classes", "several values")),
    ],
)
def test_predictions_need_no_torch(runtime: str, refused: str, kind: str, tmp_path: Path) -> None:
    estimator, rows = fitted(kind)
    deployed = deploy(estimator, rows, runtime=runtime)
    found = predicted(deployed, rows, tmp_path, refused)
    for method, values in found.items():
        expected = getattr(estimator, method)(rows)
        if values.dtype.kind == "f":
            np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(values, expected)


def test_a_pipeline_needs_no_more_once_its_scaler_is_folded(tmp_path: Path) -> None:
    pipeline = make_pipeline(StandardScaler(), default_classifier()).fit(3 + 2 * X, NAMES[CLASSES])
    deployed = deploy(pipeline, X, runtime="onnx")
    found = predicted(deployed, X, tmp_path, "torch skorch sklearn scipy")
    np.testing.assert_array_equal(found["predict"], pipeline.predict(X))


@pytest.mark.slow
def test_what_scikit_learn_checks_is_imported_when_it_is_needed(tmp_path: Path) -> None:
    estimator, frame = fitted("frame")
    deployed = deploy(estimator, frame, runtime="onnx")
    found = predicted(deployed, frame, tmp_path, "torch skorch")
    np.testing.assert_array_equal(found["predict"], estimator.predict(frame))


@pytest.mark.slow
def test_torch_runs_without_skorch(tmp_path: Path) -> None:
    estimator, rows = fitted("strings")
    found = predicted(deploy(estimator, runtime="torch"), rows, tmp_path, "skorch onnxruntime")
    np.testing.assert_array_equal(found["predict"], estimator.predict(rows))
