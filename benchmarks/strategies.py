"""Every named strategy on MNIST, and record lines of the literature.

The table: LeNet-300-100, 12 dense and 8 fine-tuning epochs (a strategy with its own way takes its
own number), at 80, 90, 95 and 98 % of the weights and 50, 75 and 90 % of the units, 3 seeds: mean
and standard deviation of the final error on the 10,000 test images, which nothing is chosen on; the
seconds of a fit after the dense training; the compression and the MAC ratio.

With --records: the settings that are stated beside each line, 3 seeds.
"""

import argparse
import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from common import Row, parser, publish
from joblib import Parallel, delayed
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler
from torch import Tensor, nn

from skprune import PrunedClassifier, Strategy
from skprune.network import MLP
from skprune.strategies import STRATEGIES, Cubic, Distill

MNIST = Path(__file__).parents[1] / "../shared/data/mnist.npz"
POINTS = [
    *(("weight", sparsity) for sparsity in (0.8, 0.9, 0.95, 0.98)),
    *(("unit", sparsity) for sparsity in (0.5, 0.75, 0.9)),
]
# Units are gone from the network: they cannot come back.
ONLY_WEIGHTS = {"dynamic", "rigl", "set", "splicing"}

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def load(path: Path) -> Data:
    if not path.exists():
        from sklearn.datasets import fetch_openml

        X, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
        X, y = X.astype(np.uint8), y.astype(int)
        return _scaled(X[:60000]), y[:60000], _scaled(X[60000:]), y[60000:]
    with np.load(path) as arrays:
        X_train, X_test = _scaled(arrays["X_train"]), _scaled(arrays["X_test"])
        return X_train, arrays["y_train"].astype(int), X_test, arrays["y_test"].astype(int)


def _scaled(X: np.ndarray) -> np.ndarray:
    return ((X.astype(np.float32) / 255) - 0.1307) / 0.3081


def make_net(module: Any, epochs: int, device: str, **options: Any) -> NeuralNetClassifier:
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks__valid_acc=None,
        callbacks__print_log=None,
        device=device,
        verbose=0,
        **{"optimizer": torch.optim.Adam, "lr": 1e-3, "batch_size": 256, **options},
    )


def lenet(epochs: int, device: str) -> NeuralNetClassifier:
    return make_net(
        MLP, epochs, device, module__hidden_layer_sizes=(300, 100), optimizer__weight_decay=1e-5
    )


def fit(data: Data, threads: int, **params: Any) -> dict[str, Any]:
    """Fit and look at the test images once, at the end."""
    torch.set_num_threads(threads)
    X, y, X_test, y_test = data
    start = perf_counter()
    pruned = PrunedClassifier(**params).fit(X, y)
    seconds = perf_counter() - start
    report = pruned.report_
    return {
        "error": 100 * (1 - pruned.score(X_test, y_test)),
        "seconds": seconds,
        "compression": report.compression_ratio,
        "weights": report.total_before.weights / report.total_after.weights,
        "macs": report.total_before.macs / report.total_after.macs,
    }


def summary(runs: list[dict[str, Any]]) -> Row:
    errors = [run["error"] for run in runs]
    mean = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    return {
        "error %": f"{mean['error']:.2f} ± {np.std(errors, ddof=1) if len(runs) > 1 else 0:.2f}",
        "fit s": round(mean["seconds"], 1),
        "compression": round(mean["compression"], 2),
        "MAC ratio": round(mean["macs"], 2),
    }


def table(arguments: argparse.Namespace, data: Data, folder: str) -> list[Row]:
    epochs, fine_tune = (1, 1) if arguments.quick else (12, 8)
    net = lenet(epochs, arguments.device)
    seeds = range(arguments.seeds)
    names = arguments.only or list(STRATEGIES)
    run = delayed(partial(fit, data, arguments.threads, estimator=net, memory=folder))
    parallel = Parallel(n_jobs=arguments.n_jobs, verbose=1)
    dense = parallel(run(sparsity=0.0, fine_tune_epochs=0, random_state=seed) for seed in seeds)
    points = [
        (name, structure, sparsity)
        for name in names
        for structure, sparsity in POINTS
        if structure == "weight" or name not in ONLY_WEIGHTS
    ]
    # The longest first, so that no worker is left alone with one at the end.
    points.sort(key=lambda point: -STRATEGIES[point[0]]().resolved().recovery.default_epochs(10, 5))
    runs = parallel(
        run(
            strategy=name,
            structure=structure,
            sparsity=sparsity,
            fine_tune_epochs=None if name == "lottery_ticket" else fine_tune,
            random_state=seed,
        )
        for name, structure, sparsity in points
        for seed in seeds
    )
    rows = [{"strategy": "dense", "structure": "", "sparsity": 0.0, **summary(dense)}]
    for number, (name, structure, sparsity) in enumerate(points):
        mine = runs[number * len(seeds) : (number + 1) * len(seeds)]
        rows.append(
            {"strategy": name, "structure": structure, "sparsity": sparsity, **summary(mine)}
        )
    order = ["dense", *STRATEGIES]
    return sorted(
        rows, key=lambda row: (row["structure"], row["sparsity"], order.index(row["strategy"]))
    )


class Shifted(MLP):
    """Moves each training image by up to one pixel."""

    def forward(self, X: Tensor) -> Tensor:
        return super().forward(shifted(X) if self.training else X)


def shifted(X: Tensor) -> Tensor:
    """Images of 28 x 28 pixels, each moved by up to one pixel in both directions."""
    padded = nn.functional.pad(X.view(-1, 28, 28), (1, 1, 1, 1), value=-0.1307 / 0.3081)
    by = torch.randint(0, 3, (2, len(X), 1, 1), device=X.device)
    place = torch.arange(28, device=X.device)
    rows, columns = by[0] + place[:, None], by[1] + place
    return padded.flatten(1).gather(1, (30 * rows + columns).flatten(1)).view(X.shape)


class LeNet5(nn.Module):
    """LeNet-5 of Caffe: 20 and 50 channels, 500 hidden units."""

    def __init__(self, augment: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.hidden = nn.Linear(800, 500)
        self.output = nn.Linear(500, 10)
        self.augment = augment

    def forward(self, X: Tensor) -> Tensor:
        if self.augment and self.training:
            X = shifted(X)
        images = X.view(-1, 1, 28, 28)
        images = nn.functional.max_pool2d(self.conv1(images).relu(), 2)
        images = nn.functional.max_pool2d(self.conv2(images).relu(), 2)
        return self.output(self.hidden(images.flatten(1)).relu())


def decayed(module: Any, epochs: int, last: int, device: str, **options: Any) -> Any:
    """A net whose learning rate falls along a cosine, in the dense and in the last stage."""
    policy = torch.optim.lr_scheduler.CosineAnnealingLR
    return make_net(
        module,
        epochs,
        device,
        **{
            "callbacks": [("lr", LRScheduler(policy=policy, T_max=last))],
            "optimizer": torch.optim.SGD,
            "optimizer__momentum": 0.9,
            "optimizer__nesterov": True,
            "optimizer__weight_decay": 5e-4,
            "lr": 0.05,
            "batch_size": 128,
            **options,
        },
    )


def gradual(recovery: Any = "fine_tune", allocation: str = "global", **axes: Any) -> Strategy:
    return Strategy(
        allocation=allocation, schedule=Cubic(n_steps=10, end=0.5), recovery=recovery, **axes
    )


def records(arguments: argparse.Namespace, data: Data, folder: str) -> list[Row]:
    long, dense = (2, 1) if arguments.quick else (60, 30)
    sizes = {"module__hidden_layer_sizes": (300, 100)}
    plain = decayed(MLP, dense, dense, arguments.device, **sizes)
    augmented = decayed(Shifted, dense, dense, arguments.device, **sizes)
    conv = decayed(LeNet5, dense, dense, arguments.device)
    distill = Distill(temperature=4.0, alpha=0.9)
    lines = {
        "LeNet-300-100, weights 42x": (plain, gradual(distill), "weight", 1 - 1 / 42, 1.48),
        "LeNet-300-100, weights 87x": (plain, gradual(distill), "weight", 1 - 1 / 87, 1.69),
        "LeNet-300-100, shifts, weights 42x": (
            augmented,
            gradual(distill),
            "weight",
            1 - 1 / 42,
            1.25,
        ),
        "LeNet-300-100, shifts, weights 87x": (
            augmented,
            gradual(distill),
            "weight",
            1 - 1 / 87,
            1.55,
        ),
        "LeNet-300-100, units": (plain, gradual(distill), "unit", 0.8, 1.6),
        "LeNet-5-Caffe, weights 280x": (conv, gradual(distill), "weight", 1 - 1 / 280, 0.75),
        "LeNet-5-Caffe, units": (conv, gradual(distill), "unit", 0.8, 1.0),
    }
    if arguments.only:
        lines = {name: line for name, line in lines.items() if name in arguments.only}
    seeds = range(arguments.seeds)
    runs = Parallel(n_jobs=arguments.n_jobs, verbose=1)(
        delayed(fit)(
            data,
            arguments.threads,
            estimator=net,
            strategy=strategy,
            structure=structure,
            sparsity=sparsity,
            fine_tune_epochs=long,
            random_state=seed,
        )
        for net, strategy, structure, sparsity, _ in lines.values()
        for seed in seeds
    )
    rows = []
    for number, (name, line) in enumerate(lines.items()):
        mine = runs[number * len(seeds) : (number + 1) * len(seeds)]
        weights = np.mean([run["weights"] for run in mine])
        rows.append(
            {"line": name, **summary(mine), "weights x": round(float(weights), 1)}
            | {"error to reach %": line[-1]}
        )
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, default=MNIST, help="mnist.npz")
    options.add_argument("--records", action="store_true", help="the record lines")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--n-jobs", type=int, default=os.cpu_count())
    options.add_argument("--threads", type=int, default=1, help="of each fit")
    options.add_argument("--device", default="cpu")
    options.add_argument("--only", nargs="+", help="names of strategies or of lines")
    arguments = options.parse_args()
    data = load(arguments.data)
    if arguments.quick:
        X, y, X_test, y_test = data
        data = X[:1000], y[:1000], X_test, y_test
    with TemporaryDirectory() as folder:
        if arguments.records:
            publish("Record lines, MNIST", records(arguments, data, folder), arguments.json)
        else:
            publish(
                "Strategies, MNIST, LeNet-300-100", table(arguments, data, folder), arguments.json
            )


if __name__ == "__main__":
    main()
