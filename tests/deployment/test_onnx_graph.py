"""Modules as ONNX models: every kind of network, any number of rows, and what is refused."""

import logging
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from skprune import NotDeployableError
from skprune.deployment.agreement import disagreement
from skprune.deployment.onnx_graph import module_to_onnx
from skprune.deployment.runtimes.onnx import OnnxRuntime
from tests.networks import NETWORKS

CHEAP = ["conv_batch_norm"]


def check(module: nn.Module, inputs: Tensor) -> onnx.ModelProto:
    model = module_to_onnx(module, inputs[:3])
    runtime = OnnxRuntime(model, n_threads=1)
    for n_rows in (1, 2, len(inputs)):
        with torch.no_grad():
            expected = module(inputs[:n_rows])
        found = runtime.outputs(inputs[:n_rows].numpy())
        assert found.shape == tuple(expected.shape)
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)
    return onnx.load_from_string(model)


@pytest.mark.parametrize(
    "name",
    [name if name in CHEAP else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS],
)
def test_every_network_can_be_written(name: str) -> None:
    example = NETWORKS[name]
    check(example.build(), torch.from_numpy(example.inputs(11)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_layers_are_single_operations(kind: str) -> None:
    module = NETWORKS[{"LSTM": "lstm", "GRU": "gru"}[kind]].build()
    proto = check(module, torch.randn(9, 5, 4))
    assert [node.op_type for node in proto.graph.node].count(kind) == 1


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


@pytest.mark.slow
def test_attention_can_be_written() -> None:
    check(Attentive().eval(), torch.randn(7, 5, 8))


class Sides(nn.Module):
    """Two inputs and two outputs, of which the first counts."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(2, 3), nn.Linear(4, 3)

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.left(left) - self.right(right)
        return hidden.relu(), hidden


def test_inputs_have_names_and_the_first_output_counts() -> None:
    module = Sides().eval()
    inputs = {"right": torch.randn(5, 4), "left": torch.randn(5, 2)}
    model = module_to_onnx(module, inputs)
    proto = onnx.load_from_string(model)
    assert {each.name for each in proto.graph.input} == {"left", "right"}
    assert [each.name for each in proto.graph.output] == ["output"]
    found = OnnxRuntime(model).outputs({name: part.numpy() for name, part in inputs.items()})
    np.testing.assert_allclose(found, module(**inputs)[0].detach().numpy(), atol=1e-6)


def test_one_tensor_and_two_outputs() -> None:
    class Two(nn.Linear):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x), x

    module, X = Two(3, 2), torch.randn(4, 3)
    found = OnnxRuntime(module_to_onnx(module, X)).outputs(X.numpy())
    np.testing.assert_allclose(found, module(X)[0].detach().numpy(), atol=1e-6)


def test_a_single_row_is_example_enough_and_the_module_stays_as_it_is() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    model = module_to_onnx(module, torch.randn(1, 3))
    assert module.training
    assert all(torch.equal(before[name], t) for name, t in module.state_dict().items())
    assert all(parameter.requires_grad for parameter in module.parameters())
    X = torch.randn(6, 3)
    found = OnnxRuntime(model).outputs(X.numpy())
    np.testing.assert_allclose(found, module.eval()(X).detach().numpy(), atol=1e-6)


def test_double_precision_stays_double() -> None:
    module, X = nn.Linear(3, 2).double(), torch.randn(4, 3).double()
    found = OnnxRuntime(module_to_onnx(module, X)).outputs(X.numpy())
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, module(X).detach().numpy(), rtol=1e-14)


def test_the_model_says_nothing_of_the_machine_it_was_made_on() -> None:
    model = module_to_onnx(Sides().eval(), {"left": torch.zeros(2, 2), "right": torch.zeros(2, 4)})
    assert b".py" not in model
    assert b"site-packages" not in model
    proto = onnx.load_from_string(model)
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_torch_says_nothing_meanwhile(
    capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    level = logging.getLogger("torch.onnx").level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module_to_onnx(nn.Linear(3, 2), torch.randn(2, 3))
    assert capfd.readouterr() == ("", "")
    assert not [each for each in caplog.records if each.levelno >= logging.INFO]
    assert logging.getLogger("torch.onnx").level == level


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class FixedRows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(4, 3) * 2


@pytest.mark.parametrize("module", [Branches(), FixedRows()])
def test_what_cannot_be_written_is_an_error_that_names_it(module: nn.Module) -> None:
    with pytest.raises(NotDeployableError, match=rf"{type(module).__name__} cannot be written as"):
        module_to_onnx(module, torch.ones(4, 3))


def test_other_outputs_are_an_error() -> None:
    module, X = nn.Linear(300, 2), torch.randn(4, 300)
    with pytest.raises(NotDeployableError, match="other outputs for 1 rows than Linear"):
        module_to_onnx(module, X, tolerance=-1.0)


def test_disagreement_is_relative_to_the_largest() -> None:
    inf, nan = float("inf"), float("nan")
    assert disagreement([[1.0, -8.0]], [[2.0, -8.0]]) == 0.125
    assert disagreement([inf, nan, 1.0], [inf, nan, 1.0]) == 0.0
    assert disagreement([inf, 1.0], [2.0, 1.0]) == inf
    assert disagreement([nan, 1.0], [2.0, 1.0]) == inf
    assert disagreement([2.0, 1.0], [nan, 1.0]) == inf
    assert disagreement([1.0], [0.0]) == inf
    assert disagreement(np.zeros((2, 1)), np.zeros(2)) == inf
