"""Exported graphs predict as the estimator does, where nobody knows of skprune."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.sparse import issparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, StandardScaler
from torch import nn

import skprune
from skprune import NotDeployableError, PrunedClassifier, PrunedClassifierCV, prune
from skprune.deployment import to_onnx, to_torch_export
from skprune.pruning import Predictor
from tests.estimators.common import blobs, classifier_net
from tests.estimators.test_predictor import TASKS, fitted

X, Y = blobs()
X32 = X.astype(np.float32)
NAMES = np.array(["ant", "bee", "cat"])[Y]

# To export takes torch seconds; the others differ in nothing that it looks at.
SOME = ["classes", "one output", "labels", "columns of values", "mapping", "default regressor"]
QUICK = ["classes", "mapping"]


def as_inputs(rows: Any, estimator: Any) -> dict[str, np.ndarray]:
    dtype = next(estimator.module_.parameters()).dtype
    kind = np.float32 if dtype is torch.float32 else np.float64
    parts = rows if isinstance(rows, dict) else {"X": rows}
    return {
        name: np.asarray(part.toarray() if issparse(part) else part).astype(kind)
        for name, part in parts.items()
    }


def expected_of(estimator: Any, rows: Any) -> np.ndarray:
    return getattr(estimator, "predict_proba", estimator.predict)(rows)


@pytest.mark.parametrize(
    "task", [t if t in QUICK else pytest.param(t, marks=pytest.mark.slow) for t in TASKS]
)
def test_onnx_runtime_predicts_as_the_estimator(task: str, tmp_path: Path) -> None:
    estimator, rows = fitted(task, structure="unit")
    path = tmp_path / "file.onnx"
    to_onnx(estimator, path, rows)
    session = onnxruntime.InferenceSession(path)
    (output,) = session.get_outputs()
    assert output.name == ("probabilities" if hasattr(estimator, "predict_proba") else "values")
    feed = as_inputs(rows, estimator)
    (found,) = session.run(None, feed)
    expected = expected_of(estimator, rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found.shape == expected.shape
    one = session.run(None, {name: part[:1] for name, part in feed.items()})[0]
    np.testing.assert_allclose(one, expected[:1], rtol=1e-5, atol=1e-6)
    known = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert known.pop("skprune") == skprune.__version__
    task_name = known.pop("task")
    if task_name == "classes":
        classes = np.array(known["classes"])
        predicted = classes[
            (found[:, 1] > known["threshold"]).astype(int)
            if "threshold" in known
            else found.argmax(1)
        ]
        np.testing.assert_array_equal(predicted, estimator.predict(rows))
        assert known["classes"] == estimator.classes_.tolist()
    else:
        assert task_name == ("labels" if hasattr(estimator, "classes_") else "values")
    if task == "frame":
        assert known["feature_names"] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "task", [t if t in QUICK else pytest.param(t, marks=pytest.mark.slow) for t in SOME]
)
def test_torch_export_predicts_as_the_estimator(task: str, tmp_path: Path) -> None:
    estimator, rows = fitted(task)
    path = tmp_path / "file.pt2"
    to_torch_export(estimator, path, rows)
    extra = {"skprune.json": ""}
    module = torch.export.load(path, extra_files=extra).module()
    feed = {n: torch.from_numpy(part) for n, part in as_inputs(rows, estimator).items()}
    expected = expected_of(estimator, rows)
    for n_rows in (1, 7, 60):
        some = {name: part[:n_rows] for name, part in feed.items()}
        found = module(**some) if task == "mapping" else module(some["X"])
        np.testing.assert_allclose(found.detach(), expected[:n_rows], rtol=1e-5, atol=1e-6)
    known = json.loads(extra["skprune.json"])
    assert known["task"] in ("classes", "labels", "values")
    if known["task"] == "classes":
        assert known["classes"] == estimator.classes_.tolist()


@pytest.mark.slow
def test_an_exported_program_needs_no_skprune(tmp_path: Path) -> None:
    estimator, rows = fitted("classes")
    to_torch_export(estimator, tmp_path / "file.pt2")
    np.save(tmp_path / "rows.npy", rows)
    code = (
        "import sys, numpy, torch\n"
        "module = torch.export.load('file.pt2').module()\n"
        "numpy.save('found.npy', module(torch.from_numpy(numpy.load('rows.npy'))).detach())\n"
        "assert not any(name.startswith(('skprune', 'skorch', 'tests')) for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, estimator.predict_proba(rows), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("write", [to_onnx, to_torch_export])
def test_a_scaler_is_part_of_the_graph(write: Any, tmp_path: Path) -> None:
    rows = 50 + 10 * X32
    pipeline = make_pipeline(
        StandardScaler(), MinMaxScaler(), PrunedClassifier(classifier_net(), random_state=0)
    ).fit(rows, NAMES)
    path = tmp_path / "file"
    write(pipeline, path)
    write(pipeline, path, rows)
    if write is to_onnx:
        (found,) = onnxruntime.InferenceSession(path).run(None, {"X": rows})
    else:
        found = torch.export.load(path).module()(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(found, pipeline.predict_proba(rows), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_searches_predictors_and_loaded_estimators_are_exported(tmp_path: Path) -> None:
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=2, random_state=0)
    search.fit(X32, NAMES)
    skprune.save(search.best_estimator_, tmp_path / "saved")
    loaded = skprune.load(tmp_path / "saved", trusted=["tests"])
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    pruned = prune(module, torch.from_numpy(X32[:5]))
    path = tmp_path / "file.onnx"
    for each in (search, loaded, search.predictor_, pruned.predictor):
        to_onnx(each, path)
        (found,) = onnxruntime.InferenceSession(path).run(None, {"X": X32})
        np.testing.assert_allclose(found, expected_of(each, X32), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("write", [to_onnx, to_torch_export])
def test_what_cannot_be_exported_is_refused(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    net = PrunedClassifier(classifier_net(), random_state=0)
    with pytest.raises(NotDeployableError, match="The step PowerTransformer of the pipeline"):
        write(make_pipeline(PowerTransformer(), net).fit(X32, NAMES), path)
    own = classifier_net(predict_nonlinearity=lambda outputs: outputs.softmax(1))
    with pytest.raises(NotDeployableError, match="by a nonlinearity of your own"):
        write(PrunedClassifier(own, random_state=0).fit(X32, NAMES), path)
    with pytest.raises(NotDeployableError, match="has no example of its inputs"):
        write(Predictor(nn.Linear(4, 3)), path)
    branching = Predictor(Branching(), example=torch.from_numpy(X32[:3]))
    with pytest.raises(NotDeployableError, match=r"Branching cannot be (written|exported)"):
        write(branching, path)
    assert list(tmp_path.iterdir()) == []


class Branching(nn.Module):
    """Looks at the data to decide what to compute."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.layer(rows) if rows.sum() > 0 else -self.layer(rows)
