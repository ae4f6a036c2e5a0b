"""Pruning that shortens training: the whole fit of `early_bird` against a dense training.

Three networks lose 75 % of their units on MNIST, in as many epochs in all as the dense network is
trained for. The ratio of times is to the dense fit by skprune itself, whose loader is faster than
skorch's. Beside it stands magnitude pruning of the trained network in as many epochs in all: two
thirds before it and one third after it. Errors are those of 2,000 images of the training set that
no network has seen, as means over seeds; the test images are not looked at. Times are of the CPU,
with one thread, so that other work on the machine hardly lengthens them.
"""

from functools import partial
from pathlib import Path
from statistics import mean, stdev
from time import process_time
from typing import Any

import numpy as np
import torch
from common import Row, parser, publish
from one_shot import mnist
from skorch import NeuralNetClassifier
from torch import Tensor, nn

from skprune import PrunedClassifier

TARGET, SPARSITY, N_HELD_OUT = 0.6, 0.75, 2_000
DENSE, EARLY, AFTER = "dense", "early_bird", "dense, then pruned"


class Wide(nn.Module):
    """784-1024-1024-10."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden0, self.hidden1 = nn.Linear(784, 1024), nn.Linear(1024, 1024)
        self.output = nn.Linear(1024, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden1(self.hidden0(x.flatten(1)).relu()).relu())


class LeNet5(nn.Module):
    """20-50-500-10, as in Caffe."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0, self.conv1 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.hidden, self.output = nn.Linear(800, 500), nn.Linear(500, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.conv0(x), 2)
        x = nn.functional.max_pool2d(self.conv1(x), 2)
        return self.output(self.hidden(x.flatten(1)).relu())


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.conv1 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.norm0, self.norm1 = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)
        self.shortcut: nn.Module = nn.Identity()
        if n_in != n_out:
            self.shortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(self.norm0(self.conv0(x)).relu()))
        return (y + self.shortcut(x)).relu()


class ResNet(nn.Module):
    """The residual network of CIFAR: 8 layers with one block a stage, 20 with three."""

    def __init__(self, n_blocks: int = 1) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        widths = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
        self.blocks = nn.Sequential(
            *(
                _Block(n_out if number else n_in, n_out, 1 if number else stride)
                for n_in, n_out, stride in widths
                for number in range(n_blocks)
            )
        )
        self.output = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.blocks(self.norm(self.stem(x)).relu()).mean((2, 3)))


# The network, images by default, and epochs.
CASES: dict[str, tuple[Any, int, int]] = {
    "784-1024-1024-10": (Wide, 1_500, 15),
    "LeNet-5": (LeNet5, 1_000, 15),
    "ResNet-8": (ResNet, 300, 15),
    "ResNet-20": (partial(ResNet, n_blocks=3), 300, 15),
}


def fits(module: Any, epochs: int, seed: int) -> dict[str, PrunedClassifier]:
    def net(max_epochs: int) -> NeuralNetClassifier:
        return NeuralNetClassifier(
            module,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=1e-3,
            batch_size=64,
            max_epochs=max_epochs,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        )

    make = partial(PrunedClassifier, structure="unit", random_state=seed)
    after = epochs // 3
    return {
        DENSE: make(net(epochs), sparsity=0.0, fine_tune_epochs=0),
        EARLY: make(net(epochs), strategy="early_bird", sparsity=SPARSITY),
        AFTER: make(net(epochs - after), sparsity=SPARSITY, fine_tune_epochs=after),
    }


def compare(
    name: str, data: tuple[np.ndarray, ...], n_rows: int | None, n_seeds: int, quick: bool
) -> list[Row]:
    module, rows, epochs = CASES[name]
    rows, epochs = (200, 6) if quick else (n_rows or rows, epochs)
    X, y, X_out, y_out = data
    seconds: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}
    n_dense: list[int] = []
    for seed in range(n_seeds):
        for how, estimator in fits(module, epochs, seed).items():
            begin = process_time()
            estimator.fit(X[:rows], y[:rows])
            seconds.setdefault(how, []).append(process_time() - begin)
            errors.setdefault(how, []).append(100 * (1 - estimator.score(X_out, y_out)))
            if how == EARLY:
                stages = [row["stage"] for row in estimator.history_]
                n_dense.append(stages.count("training the dense network"))
    ratios = {
        how: sorted(a / b for a, b in zip(times, seconds[DENSE], strict=True))
        for how, times in seconds.items()
    }
    return [
        {
            "images": rows,
            "fit": how,
            "epochs": epochs,
            "before pruning": mean(n_dense) if how == EARLY else "",
            "s": float(np.median(seconds[how])),
            "time over dense": float(np.median(ratios[how])),
            "target": f"<= {TARGET:g}" if how == EARLY else "",
            "error, %": mean(errors[how]),
            "s.e.": stdev(errors[how]) / n_seeds**0.5 if n_seeds > 1 else "",
        }
        for how in errors
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES)[:3])
    options.add_argument("--rows", type=int, help="images to train on (default: few)")
    options.add_argument("--seeds", type=int, default=3, help="seeds (default: %(default)s)")
    options.add_argument("--data", type=Path, help="mnist.npz (default: download it)")
    args = options.parse_args()
    X, y, _, _ = mnist(args.data)
    X = X.astype(np.float32).reshape(-1, 1, 28, 28)
    first, last = slice(None, -N_HELD_OUT), slice(-500 if args.quick else -N_HELD_OUT, None)
    data = (X[first], y[first], X[last], y[last])
    torch.set_num_threads(1)
    fits(Wide, 2, seed=0)[EARLY].fit(X[:200], y[:200])  # to warm up
    for name in args.networks:
        rows = compare(name, data, args.rows, args.seeds, args.quick)
        publish(f"{name}, 75 % of the units", rows, args.json)


if __name__ == "__main__":
    main()
