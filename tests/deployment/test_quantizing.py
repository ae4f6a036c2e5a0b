"""Weights of eight bits: smaller, nearly equal, and refused where they are not."""

import pickle
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from skprune import NotDeployableError, deploy
from skprune.deployment import DeployedPredictor, quantize
from skprune.network import MLP
from skprune.pruning import ClassOutputs, Predictor, ValueOutputs

X = np.random.default_rng(0).standard_normal((200, 30)).astype(np.float32)


def network(outputs: Any, n_outputs: int = 3) -> DeployedPredictor:
    torch.manual_seed(0)
    predictor = Predictor(MLP(30, n_outputs, (64, 64)), outputs, example=torch.from_numpy(X[:4]))
    return deploy(predictor, runtime="onnx")


def in_double_precision() -> Predictor:
    torch.manual_seed(0)
    example = torch.from_numpy(X[:4]).double()
    return Predictor(MLP(30, 3).double(), ClassOutputs(), example=example)


@pytest.fixture(scope="module")
def deployed() -> DeployedPredictor:
    return network(ClassOutputs(["ant", "bee", "cat"]))


def test_weights_have_eight_bits_and_predictions_stay(deployed: DeployedPredictor) -> None:
    before = deployed.predict_proba(X)
    y = deployed.predict(X)
    small = quantize(deployed, X, y, max_loss=0.05)
    assert small.runtime_ == "onnx, int8"
    assert small.runtime.n_bytes < 0.5 * deployed.runtime.n_bytes
    graph = onnx.load_from_string(small.runtime.model).graph
    types = {
        onnx.TensorProto.DataType.Name(t.data_type) for t in graph.initializer if len(t.dims) > 1
    }
    assert types <= {"INT8", "UINT8"}
    assert 0 < abs(small.predict_proba(X) - before).max() < 0.05
    measured = small.measurements_["onnx, int8"]
    assert measured["score_before"] == 1.0
    assert measured["score"] == small.score(X, y)
    assert "onnx, int8" not in deployed.measurements_
    again = pickle.loads(pickle.dumps(small))
    np.testing.assert_array_equal(again.predict_proba(X), small.predict_proba(X))


def test_a_lower_score_is_refused(deployed: DeployedPredictor) -> None:
    y = deployed.predict(X)

    def scoring(predictor: DeployedPredictor, X: Any, y: Any) -> float:
        return 0.9 if predictor is deployed else 0.85

    with pytest.raises(NotDeployableError, match=r"falls from 0\.9 to 0\.85, by more than max"):
        quantize(deployed, X, y, max_loss=0.04, scoring=scoring)
    assert quantize(deployed, X, y, max_loss=0.06, scoring=scoring).runtime_ == "onnx, int8"


def test_a_score_that_is_no_number_is_refused(deployed: DeployedPredictor) -> None:
    with pytest.raises(NotDeployableError, match="score falls"):
        quantize(deployed, X, deployed.predict(X), scoring=lambda *_: float("nan"))


def test_values() -> None:
    regressor = network(ValueOutputs(()), 1)
    small = quantize(regressor, X, regressor.predict(X), max_loss=0.01, scoring="r2")
    assert small.measurements_["onnx, int8"]["score"] > 0.99


def test_what_cannot_be_quantized(deployed: DeployedPredictor) -> None:
    y = deployed.predict(X)
    with pytest.raises(ValueError, match="max_loss must be a number of at least 0; got -1"):
        quantize(deployed, X, y, max_loss=-1)
    double = Predictor(
        MLP(30, 3).double(), ClassOutputs(), example=torch.from_numpy(X[:4]).double()
    )
    with pytest.raises(TypeError, match="runs on 'torch': deploy"):
        quantize(deploy(double, runtime="torch"), X, y)
    with pytest.raises(NotDeployableError, match="no linear or recurrent layer in single"):
        quantize(deploy(double, runtime="onnx"), X, y)
    single = deploy(double, runtime="onnx", dtype="float32")
    assert quantize(single, X, single.predict(X)).floating == "float32"


def test_single_precision_counts_as_equal() -> None:
    double = Predictor(
        MLP(30, 3).double(), ClassOutputs(), example=torch.from_numpy(X[:4]).double()
    )
    deployed = deploy(double, X, runtime="sparse", dtype="float32")
    assert deployed.floating == "float32"
    assert deployed.runtime.program.dtype == np.float32
    assert 0 < deployed.measurements_["sparse"]["difference"] < 1e-5
    np.testing.assert_allclose(
        deployed.predict_proba(X.astype(float)), double.predict_proba(X.astype(float)), atol=1e-6
    )
    with pytest.raises(ValueError, match="dtype must be None or 'float32'; got 'float16'"):
        deploy(double, dtype="float16")


@pytest.mark.slow
def test_recurrent_layers() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.LSTM(5, 32, batch_first=True), nn.Linear(32, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.rnn(x)[0][:, -1])

    rows = X.reshape(200, 6, 5)
    predictor = Predictor(Recurrent(), ClassOutputs(), example=torch.from_numpy(rows[:4]))
    deployed = deploy(predictor, runtime="onnx")
    small = quantize(deployed, rows, deployed.predict(rows), max_loss=0.2)
    assert small.runtime.n_bytes < 0.5 * deployed.runtime.n_bytes
