"""The sparse runtime: kernels against loops, rules against torch, with and without numba."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skprune import NotDeployableError
from skprune.deployment.runtimes.sparse import runtime as runtime_file
from skprune.deployment.runtimes.sparse.builder import Builder
from skprune.deployment.runtimes.sparse.program import Activation
from skprune.deployment.runtimes.sparse.runtime import SparseRuntime
from skprune.deployment.runtimes.sparse.translation import program_of
from skprune.network import MLP
from tests.networks import NETWORKS

RNG = np.random.default_rng(0)
BATCHES = (1, 9, 70)


def outputs_of(runtime: SparseRuntime, X: np.ndarray) -> list[np.ndarray]:
    """What numba computes, and what SciPy does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime_file, "_compiled", lambda: None)
        by_scipy = runtime.outputs(X)
    return [runtime.outputs(X), by_scipy]


# ----------------------------------------------------------------------------------------- kernels


def loops(weight: np.ndarray, bias: np.ndarray, X: np.ndarray, relu: bool) -> np.ndarray:
    """The product number by number, in double precision."""
    found = np.empty((len(X), len(weight)))
    for i, row in enumerate(X):
        for o, weights in enumerate(weight):
            total = float(bias[o])
            for w, x in zip(weights, row, strict=True):
                total += float(w) * float(x)
            found[i, o] = max(total, 0.0) if relu else total
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (5, 13)])
def test_a_product_is_what_loops_compute(
    shape: tuple[int, int], density: float, dtype: Any
) -> None:
    weight = RNG.standard_normal(shape) * (RNG.random(shape) < density)
    weight[0] = 0  # a row without weights is its bias
    bias = RNG.standard_normal(shape[0])
    for relu in (False, True):
        builder = Builder((shape[1],), dtype)
        rows = [(np.flatnonzero(row), row[np.flatnonzero(row)]) for row in weight]
        lines = builder.product(rows, bias)
        if relu:
            lines = builder.activated(lines, Activation.RELU, alone=True)
        runtime = SparseRuntime(builder.build(lines), 1)
        assert runtime.program.weights.size == np.count_nonzero(weight)
        for n_rows in (1, 3, 33):
            X = RNG.standard_normal((n_rows, shape[1])).astype(dtype)
            expected = loops(weight.astype(dtype), bias.astype(dtype), X, relu)
            tolerance = 1e-5 if dtype is np.float32 else 1e-13
            for found in outputs_of(runtime, X):
                assert found.dtype == dtype
                np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def conv_loops(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
) -> np.ndarray:
    n_out, n_in, height, width = weight.shape
    x = np.pad(x.astype(float), ((0, 0), (padding, padding), (padding, padding)))
    sides = [
        (side - dilation * (k - 1) - 1) // stride + 1
        for side, k in zip(x.shape[1:], (height, width), strict=True)
    ]
    found = np.empty((n_out, *sides))
    for o, i, j in np.ndindex(*found.shape):
        total = float(bias[o])
        for c, a, b in np.ndindex(n_in, height, width):
            channel = o // (n_out // groups) * n_in + c
            at = x[channel, i * stride + a * dilation, j * stride + b * dilation]
            total += float(weight[o, c, a, b]) * at
        found[o, i, j] = total
    return found


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (2, 0, 1, 2), (3, 1, 2, 4)],
)
def test_a_convolution_is_what_loops_compute(
    stride: int, padding: int, dilation: int, groups: int
) -> None:
    conv = nn.Conv2d(4, 8, (3, 2), stride, padding, dilation, groups)
    with torch.no_grad():
        conv.weight *= torch.rand(conv.weight.shape) < 0.3
        conv.weight[1] = 0
    X = RNG.standard_normal((2, 4, 9, 8)).astype(np.float32)
    runtime = SparseRuntime.of(conv, torch.from_numpy(X), 1)
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    expected = [conv_loops(x, weight, bias, stride, padding, dilation, groups) for x in X]
    for found in outputs_of(runtime, X):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_nan_stays_nan() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    X = np.full((2, 3), np.nan, dtype=np.float32)
    pooled = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.MaxPool1d(3), nn.Flatten())
    for each in (module, pooled):
        for found in outputs_of(SparseRuntime.of(each, torch.zeros(1, 3), 1), X):
            assert np.isnan(found).all()


# ------------------------------------------------------------------------------------------- rules


def check(module: nn.Module, X: Tensor, tolerance: float = 2e-6) -> SparseRuntime:
    module.eval()
    runtime = SparseRuntime.of(module, X[:2], 1)
    with torch.no_grad():
        expected = module(X).numpy()
    for n_rows in BATCHES:
        for found in outputs_of(runtime, X[:n_rows].numpy()):
            assert found.shape == expected[:n_rows].shape
            np.testing.assert_allclose(
                found, expected[:n_rows], rtol=1e-5, atol=tolerance * abs(expected).max()
            )
    return runtime


UNSUITED = {"embedding", "embedding_bag", "transformer", "gru", "lstm"}


QUICK = {"conv_batch_norm", "residual", "concatenation", "transposed", "prelu", "layer_norm"}


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(NETWORKS.keys() - UNSUITED)
    ],
)
def test_every_feed_forward_network(name: str) -> None:
    example = NETWORKS[name]
    check(example.build(), torch.from_numpy(example.inputs(70)))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("embedding", r"takes real numbers, and Embedded is given torch\.int64"),
        ("transformer", r"cannot compute 'encoder\.self_attn' of Transformer: it mixes the rows"),
        ("gru", r"cannot compute 'rnn' of GatedRecurrent: there is no rule for"),
    ],
)
def test_other_networks_are_refused_with_a_reason(name: str, reason: str) -> None:
    example = NETWORKS[name]
    with pytest.raises(NotDeployableError, match=reason):
        program_of(example.build(), torch.from_numpy(example.inputs(2)))


IMAGES = [
    nn.Conv2d(2, 3, 3, padding="same", dilation=2),
    nn.Conv2d(2, 4, (2, 3), stride=(2, 1), padding=(0, 2), groups=2, bias=False),
    nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1, dilation=2),
    nn.ConvTranspose2d(2, 4, 2, padding=2, groups=2),
    nn.MaxPool2d(3, stride=2, padding=1),
    nn.MaxPool2d(2, stride=1, dilation=2),
    nn.MaxPool2d(3, ceil_mode=True),
    nn.AvgPool2d(2, padding=1),
    nn.AvgPool2d(2, padding=1, count_include_pad=False),
    nn.AvgPool2d(2, divisor_override=3),
    nn.AdaptiveAvgPool2d((3, 5)),
    nn.BatchNorm2d(2),
    nn.GroupNorm(2, 2),
    nn.LayerNorm((8, 7)),
    nn.PReLU(2),
    nn.Softmax(1),
    nn.Softmax2d(),
    nn.Flatten(),
    nn.Linear(7, 3),
]
ACTIVATIONS = [
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.LeakyReLU(0.2),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
    nn.SiLU(),
    nn.ELU(0.7),
    nn.Hardswish(),
    nn.Hardsigmoid(),
]


@pytest.mark.parametrize("module", [*IMAGES, *ACTIVATIONS], ids=str)
def test_every_layer(module: nn.Module) -> None:
    check(module, 2 * torch.randn(70, 2, 8, 7, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("module", ACTIVATIONS[::4], ids=str)
def test_activations_after_a_product(module: nn.Module) -> None:
    runtime = check(nn.Sequential(nn.Linear(4, 5), module), 3 * torch.randn(70, 4))
    assert len(runtime.program.steps) == 1  # one pass


def test_norms_and_scales_go_into_the_product_before() -> None:
    module = MLP(4, 3, (6, 5), batch_norm=True, dropout=0.3, output_shift=2.0, output_scale=5.0)
    for norm in (module.norm0, module.norm1):
        nn.init.uniform_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
    assert len(check(module, torch.randn(70, 4)).program.steps) == 3


class Shared(nn.Module):
    """Values that several operations read, also under another name."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        other = x.view(-1, 2, 3)
        halves = x.chunk(2, dim=1)
        gate = (other * 2 + 1).sigmoid().flatten(1) + x.unbind(1)[0].unsqueeze(1)
        return torch.cat((x.relu(), x * gate, 1 - x, halves[1] - halves[0], x[:, 1:3] / 2), 1)


def test_values_that_are_read_twice_are_not_changed() -> None:
    check(Shared(), torch.randn(70, 6))


class MixesRows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0, keepdim=True)


def test_rows_of_a_batch_are_not_mixed() -> None:
    with pytest.raises(NotDeployableError, match="rows of a batch"):
        program_of(MixesRows(), torch.zeros(2, 3))


@pytest.mark.parametrize("module", [nn.MaxPool1d(3), nn.AvgPool1d(2), nn.Conv1d(7, 2, 1)], ids=str)
def test_rows_are_not_taken_for_channels(module: nn.Module) -> None:
    """Of a matrix these take the rows for channels; seven rows are those that are traced."""
    with pytest.raises(NotDeployableError, match=r"not rows of channels|cannot follow|mixes"):
        program_of(module, torch.zeros(7, 3))


def test_lines_are_used_again() -> None:
    layers = [layer for _ in range(9) for layer in (nn.Linear(50, 50), nn.ReLU())]
    program = check(nn.Sequential(*layers), torch.randn(70, 50)).program
    assert program.n_lines == 101


def test_double_precision() -> None:
    check(nn.Sequential(nn.Linear(4, 5), nn.Tanh()).double(), torch.randn(70, 4).double(), 1e-14)


def test_several_threads_compute_what_one_does() -> None:
    module = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 3))
    X = torch.randn(2000, 20)
    one, three = (SparseRuntime.of(module, X[:2], n).outputs(X.numpy()) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


# ------------------------------------------------------------------------------------------- numba


def python(code: str, **environment: str) -> str:
    import os

    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


RUN = """
import numpy as np
from skprune.deployment.runtimes.sparse.builder import Builder
from skprune.deployment.runtimes.sparse.runtime import SparseRuntime
builder = Builder((2,), np.float32)
runtime = SparseRuntime(builder.build(builder.product([([0, 1], [1.0, 2.0])], [0.5])))
print(runtime.outputs(np.ones((40, 2), np.float32)).sum())
"""


def test_numba_may_be_missing() -> None:
    hidden = "import sys; sys.modules['numba'] = None"
    assert python(f"{hidden}\n{RUN}assert 'scipy' in sys.modules") == "140.0\n"


@pytest.mark.slow
def test_code_that_cannot_be_kept_is_compiled_each_time() -> None:
    hidden = """
import numba.core.caching as caching
def refuse(*arguments):
    raise RuntimeError("cannot cache function: no locator available")
caching.CacheImpl.__init__ = refuse
"""
    assert python(hidden + RUN) == "140.0\n"


@pytest.mark.slow
def test_a_processor_without_wide_vectors(tmp_path: Path) -> None:
    features = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert python(RUN, NUMBA_CACHE_DIR=str(tmp_path), **features) == "140.0\n"
