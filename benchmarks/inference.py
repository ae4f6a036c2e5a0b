"""Deployed predictors: each runtime on pruned networks, against the dense network.

Networks have random weights, pruned by magnitude without training: what is timed is arithmetic, and
that the outputs are those of the same network in torch is asserted. The reference is the dense
network in torch, with as many threads, and the dense network in ONNX Runtime the second. With one
thread, times are those of the processor.
"""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import numpy as np
import torch
from common import Row, add_timing_options, interleaved, milliseconds, parser, publish, speedup
from skorch import NeuralNetClassifier
from torch import nn

from skprune import PrunedClassifier, Strategy, prune
from skprune.deployment import deploy
from skprune.deployment.onnx_graph import module_to_onnx
from skprune.deployment.runtimes.onnx import OnnxRuntime
from skprune.deployment.runtimes.sparse.runtime import SparseRuntime
from skprune.deployment.runtimes.torch import TorchRuntime
from skprune.network import MLP

DENSE, DENSE_ONNX = "torch, dense", "onnx, dense"
SMALL, LARGE = (300, 100), (1024, 1024)
# Times faster than dense torch: by the network, the sparsity and the number of rows.
WEIGHTS = {
    (LARGE, 0.95, 1024): 9,
    (LARGE, 0.98, 1024): 18,
    (LARGE, 0.95, 1): 3,
    (SMALL, 0.95, 1024): 7,
}
UNITS = {(SMALL, 1): 6, (LARGE, 1): 18, ("LeNet-5", 1024): 30}


def lenet() -> nn.Sequential:
    """LeNet-5 as Caffe has it."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
    )


def make(kind: Any) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    if kind == "LeNet-5":
        return lenet().eval(), torch.randn(8, 1, 28, 28)
    if kind == "LeNet-5, convolutions":
        return lenet()[:6].eval(), torch.randn(8, 1, 28, 28)
    return MLP(784, 10, kind).eval(), torch.randn(8, 784)


def title(kind: Any) -> str:
    return kind if isinstance(kind, str) else "-".join(map(str, (784, *kind, 10)))


def rows_like(example: torch.Tensor, n_rows: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.standard_normal((n_rows, *example.shape[1:]), dtype=np.float32)


def timed(runtime: Any, X: np.ndarray, calls: int, n_threads: int) -> Callable[[], float]:
    """Measure by the processor's clock where one thread computes: others cannot disturb that."""
    clock = thread_time if n_threads == 1 else perf_counter

    def run() -> float:
        start = clock()
        for _ in range(calls):
            runtime.all_outputs(X)
        return (clock() - start) / calls

    return run


def assert_equal(runtimes: dict[str, Any], reference: str, X: np.ndarray) -> None:
    """What is compared computes the same; the dense network is another one, and is left out."""
    expected = runtimes[reference].all_outputs(X)
    for name, runtime in runtimes.items():
        if name not in (DENSE, DENSE_ONNX):
            np.testing.assert_allclose(
                runtime.all_outputs(X), expected, rtol=1e-4, atol=1e-5 * abs(expected).max()
            )


def compare(
    kind: Any, structure: str, sparsity: float, batches: list[int], args: Any, targets: dict
) -> list[Row]:
    module, example = make(kind)
    strategy = Strategy(allocation="uniform")
    pruned = prune(module, example, strategy=strategy, structure=structure, sparsity=sparsity)
    pruned = pruned.module.eval()
    n = args.n_threads
    runtimes: dict[str, Any] = {
        DENSE: TorchRuntime.of(module),
        "torch": TorchRuntime.of(pruned),
        "onnx": OnnxRuntime(module_to_onnx(pruned, example), n),
        DENSE_ONNX: OnnxRuntime(module_to_onnx(module, example), n),
        "sparse": SparseRuntime.of(pruned, example, n),
    }
    if structure == "unit":
        del runtimes["sparse"]
    rows = []
    for n_rows in batches:
        X = rows_like(example, n_rows)
        assert_equal(runtimes, "torch", X)
        calls = max(1, 200 // n_rows)
        functions = {name: timed(of, X, calls, n) for name, of in runtimes.items()}
        seconds = interleaved(functions, args.repeats)
        row: Row = {"network": title(kind), "sparsity": sparsity, "rows": n_rows}
        row["dense torch, ms"] = milliseconds(seconds[DENSE])
        for name in [name for name in runtimes if name not in (DENSE, DENSE_ONNX)]:
            row[f"{name}, ms"] = milliseconds(seconds[name])
            row[f"{name}, times dense torch"] = speedup(seconds, name, DENSE)
            row[f"{name}, times dense onnx"] = speedup(seconds, name, DENSE_ONNX)
        key = (kind, n_rows) if structure == "unit" else (kind, sparsity, n_rows)
        row["target"] = f">= {targets[key]}" if key in targets else ""
        rows.append(row)
    return rows


def many_rows(args: Any) -> list[Row]:
    """Predict many rows, against the dense skorch net's own predict."""
    X = rows_like(torch.zeros(1, 784), args.rows)
    y = np.random.default_rng(0).integers(0, 10, len(X))
    rows = []
    for structure, sparsity, runtime, target in (
        ("unit", 0.9, "onnx", 35),
        ("weight", 0.95, "sparse", 20),
    ):
        net = NeuralNetClassifier(
            MLP,
            module__n_features=784,
            module__n_outputs=10,
            module__hidden_layer_sizes=SMALL,
            criterion=nn.CrossEntropyLoss,
            max_epochs=1,
            train_split=None,
            verbose=0,
        ).fit(X[:1000], y[:1000])
        options = {"structure": structure, "fine_tune_epochs": 0, "random_state": 0}
        pruned = PrunedClassifier(net, sparsity=sparsity, **options).fit(X[:1000], y[:1000])
        deployed = deploy(pruned, X[:100], runtime=runtime, n_threads=args.n_threads)
        assert (deployed.predict(X[:1000]) == pruned.predict(X[:1000])).mean() > 0.999
        functions = {
            "skorch, dense": lambda net=net: net.predict(X),
            "skprune, pruned": lambda pruned=pruned: pruned.predict(X),
            f"deployed, {runtime}": lambda deployed=deployed: deployed.predict(X),
        }
        seconds = interleaved(functions, max(3, args.repeats // 3), warm_up=1)
        rows += [
            {
                "pruned": f"{structure}s, {sparsity:.0%}",
                "what": name,
                "ms": milliseconds(seconds[name]),
                "times faster": speedup(seconds, name, "skorch, dense"),
                "target": f">= {target}" if name.startswith("deployed") else "",
            }
            for name in functions
        ]
    return rows


START = """
import time
start = time.perf_counter()
import pickle, sys
import numpy as np
with open(sys.argv[1], "rb") as file:
    predictor = pickle.load(file)
predictor.predict(np.zeros((1, 784), np.float32))
seconds = time.perf_counter() - start
assert "torch" not in sys.modules and "skorch" not in sys.modules
import os
print(seconds, sum(os.times()[:2]))
"""


def cold_start(args: Any) -> list[Row]:
    """Load a deployed predictor and predict one row, in a new process."""
    X = rows_like(torch.zeros(1, 784), 200)
    pruned = PrunedClassifier(sparsity=0.9, fine_tune_epochs=0, random_state=0)
    pruned.set_params(estimator__max_epochs=1).fit(X, np.arange(200) % 10)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for runtime in ("onnx", "sparse"):
            file = Path(folder) / runtime
            file.write_bytes(pickle.dumps(deploy(pruned, runtime=runtime)))
            command = [sys.executable, "-c", START, str(file)]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            found = []
            for _ in range(1 + args.repeats):  # the first compiles
                done = subprocess.run(
                    command, env=environment, capture_output=True, text=True, check=True
                )
                found.append([float(part) for part in done.stdout.split()])
            wall, processor = np.median(found[1:], axis=0)
            rows.append(
                {
                    "runtime": runtime,
                    "first ever, s": found[0][0],
                    "later, s": float(wall),
                    "of the processor, s": float(processor),
                    "target": "<= 0.5",
                }
            )
    return rows


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    add_timing_options(options, repeats=11)
    options.add_argument("--rows", type=int, default=60_000, help="default: %(default)s")
    parts = ["weights", "crossover", "convolutions", "units", "rows", "start"]
    options.add_argument("--only", nargs="*", choices=parts, default=parts)
    options.set_defaults(threads=[1])
    args = options.parse_args(arguments)
    networks, batches = [LARGE, SMALL], [1, 32, 1024]
    if args.quick:
        args.repeats, args.rows, networks, batches = 2, 2000, [SMALL], [1, 32]
    before = torch.get_num_threads()
    for n_threads in args.threads:
        args.n_threads = n_threads
        torch.set_num_threads(n_threads)
        told = f"{args.n_threads} thread(s)"
        if "weights" in args.only:
            rows = [
                row
                for kind in networks
                for sparsity in ((0.95,) if args.quick else (0.8, 0.9, 0.95, 0.98))
                for row in compare(kind, "weight", sparsity, batches, args, WEIGHTS)
            ]
            publish(f"Weights, {told}", rows, args.json)
        if "crossover" in args.only and not args.quick:
            rows = [
                row
                for sparsity in (0.5, 0.6, 0.7)
                for row in compare(LARGE, "weight", sparsity, [32, 1024], args, {})
            ]
            publish(f"Crossover, {told}", rows, args.json)
        if "convolutions" in args.only:
            targets = {("LeNet-5, convolutions", 0.95, 256): 10}
            rows = [
                row
                for kind in ("LeNet-5, convolutions", "LeNet-5")
                for row in compare(kind, "weight", 0.95, [1, 256], args, targets)
            ]
            publish(f"Convolutions, {told}", rows, args.json)
        if "units" in args.only:
            rows = [
                row
                for kind in [*networks, "LeNet-5"]
                for row in compare(kind, "unit", 0.9, [1, 1024], args, UNITS)
            ]
            publish(f"Units, {told}", rows, args.json)
    if "rows" in args.only:
        args.n_threads = 2
        torch.set_num_threads(2)
        publish(f"{args.rows} rows, 2 threads", many_rows(args), args.json)
    torch.set_num_threads(before)
    if "start" in args.only:
        publish("A new process", cold_start(args), args.json)


if __name__ == "__main__":
    main()
