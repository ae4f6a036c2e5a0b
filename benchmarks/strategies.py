"""Every named strategy on MNIST, and record lines of the literature.

The tables: LeNet-300-100, Adam, 8 dense and 4 fine-tuning epochs (12 for what begins before the
training; 8 after each of its 5 steps for `lottery_ticket`), at 80, 90, 95 and 98 % of the weights
and 50, 75 and 90 % of the units, 3 seeds: mean and standard deviation of the final error on the
10,000 test images, which nothing is chosen on; the processor's seconds of a fit, on one
thread, without the dense training where there is one; the compression and the MAC ratio.

With --records: lines of the literature, 3 seeds, the settings in `lines`. With --figure: a picture
of the tables.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import torch
from common import Row, parser, publish
from joblib import Parallel, delayed
from sklearn.base import clone
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
    start = process_time()
    pruned = PrunedClassifier(**params).fit(X, y)
    seconds = process_time() - start
    report = pruned.report_
    return {
        "error": 100 * (1 - pruned.score(X_test, y_test)),
        "seconds": seconds,
        "compression": report.compression_ratio,
        "weights": report.total_before.weights / report.total_after.weights,
        "macs": report.total_before.macs / report.total_after.macs,
    }


def summary(runs: list[dict[str, Any]]) -> Row:
    mean = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    spread = np.std([run["error"] for run in runs], ddof=1) if len(runs) > 1 else 0.0
    return {
        "error %": round(mean["error"], 3),
        "± sd": round(float(spread), 3),
        "fit s": round(mean["seconds"], 1),
        "compression": round(mean["compression"], 2),
        "MAC ratio": round(mean["macs"], 2),
    }


def all_points(arguments: argparse.Namespace, data: Data, folder: str) -> list[Row]:
    """Fit each strategy at each point that makes sense for it."""
    epochs, fine_tune = (1, 1) if arguments.quick else (8, 4)
    net = lenet(epochs, arguments.device)
    seeds = range(arguments.seeds)
    run = delayed(partial(fit, data, arguments.threads, estimator=net, memory=folder))
    parallel = Parallel(n_jobs=arguments.n_jobs, verbose=1)
    dense = parallel(run(sparsity=0.0, fine_tune_epochs=0, random_state=seed) for seed in seeds)
    points = [
        (name, structure, sparsity)
        for name in arguments.only or STRATEGIES
        for structure, sparsity in POINTS
        # Units that are gone from the network cannot come back.
        if structure == "weight" or STRATEGIES[name]().regrowth is None
    ]
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
    rows: list[Row] = [{"strategy": "dense", "structure": "", "sparsity": 0.0, **summary(dense)}]
    for number, (name, structure, sparsity) in enumerate(points):
        mine = runs[number * len(seeds) : (number + 1) * len(seeds)]
        rows.append(
            {"strategy": name, "structure": structure, "sparsity": sparsity, **summary(mine)}
        )
    return rows


def side_by_side(rows: list[Row], cell: Callable[[Row], str]) -> list[Row]:
    """Lay rows out as a strategy a line and a point a column."""
    lines: dict[str, Row] = {}
    for row in rows[1:]:
        line = lines.setdefault(row["strategy"], {"strategy": row["strategy"]})
        line[f"{row['sparsity']:.0%} of {row['structure']}s"] = cell(row)
    return list(lines.values())


def draw(rows: list[Row], path: Path) -> None:
    """Draw the error of each strategy at each point, the best at the top, against the dense one."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator

    figure = Figure(figsize=(14, 10), layout="constrained")
    *axes, last = figure.subplots(2, 4).flat
    for ax, (structure, sparsity) in zip(axes, POINTS, strict=True):
        mine = [r for r in rows if (r["structure"], r["sparsity"]) == (structure, sparsity)]
        mine.sort(key=lambda row: -row["error %"])
        names = [row["strategy"] for row in mine]
        ax.errorbar(
            [row["error %"] for row in mine],
            range(len(mine)),
            xerr=[row["± sd"] for row in mine],
            fmt="o",
            markersize=4,
            color="#0072B2",
        )
        ax.axvline(rows[0]["error %"], color="0.5", linestyle="--", label="dense")
        ax.set(
            title=f"{sparsity:.0%} of {structure}s",
            xscale="log",
            xlim=(1.5, max(3.3, *(1.1 * (row["error %"] + row["± sd"]) for row in mine))),
            yticks=range(len(mine)),
            yticklabels=names,
        )
        ax.tick_params(axis="y", labelsize=8)
        ax.xaxis.set_major_locator(FixedLocator([1.5, 2, 3, 5, 10, 20, 50]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter("{x:g}")
        ax.grid(axis="x", alpha=0.3)
    last.set_axis_off()
    last.legend(*axes[0].get_legend_handles_labels(), loc="center")
    figure.supxlabel("error on the test images (%), mean and standard deviation of 3 seeds")
    figure.savefig(path, dpi=110)


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


class ChosenPixels(MLP):
    """LeNet-300-100 that looks at some of the pixels."""

    def __init__(self, pixels: list[int], hidden_layer_sizes: tuple[int, ...]) -> None:
        super().__init__(len(pixels), 10, hidden_layer_sizes)
        self.pixels = pixels

    def forward(self, X: Tensor) -> Tensor:
        return super().forward(X[:, self.pixels])


class LeNet5(nn.Module):
    """LeNet-5 of Caffe: 20 and 50 channels, 500 hidden units."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.hidden = nn.Linear(800, 500)
        self.output = nn.Linear(500, 10)

    def forward(self, X: Tensor) -> Tensor:
        images = X.view(-1, 1, 28, 28)
        images = nn.functional.max_pool2d(self.conv1(images).relu(), 2)
        images = nn.functional.max_pool2d(self.conv2(images).relu(), 2)
        return self.output(self.hidden(images.flatten(1)).relu())


def decayed(module: Any, epochs: int, device: str, **options: Any) -> Any:
    """A net whose learning rate falls along a cosine, in the dense and in a last stage as long."""
    policy = torch.optim.lr_scheduler.CosineAnnealingLR
    return make_net(
        module,
        epochs,
        device,
        **{
            "callbacks": [("lr", LRScheduler(policy=policy, T_max=epochs))],
            "optimizer": torch.optim.SGD,
            "optimizer__momentum": 0.9,
            "optimizer__nesterov": True,
            "optimizer__weight_decay": 5e-4,
            "lr": 0.05,
            "batch_size": 128,
            **options,
        },
    )


def lines(
    teacher: PrunedClassifier, conv: NeuralNetClassifier, device: str, quick: bool
) -> dict[str, tuple[dict[str, Any], float]]:
    """Settings of each record line, and the error to reach.

    Ten steps prune during 30 epochs, of LeNet-5 10; then training goes on for as many epochs as the
    dense network had, in which the learning rate falls along a cosine again. The teacher of each
    LeNet-300-100 is a dense LeNet-5, that of LeNet-5 itself. Where pixels go too, they go first.
    """
    dense = 2 if quick else 30
    sizes = {"module__hidden_layer_sizes": (300, 100)}
    plain = decayed(MLP, dense, device, **sizes)
    shifts = decayed(Shifted, dense, device, **sizes)

    def settings(net: Any, importance: str, allocation: Any, **options: Any) -> dict[str, Any]:
        who, lr, steps = (
            (None, 0.01, net.max_epochs // 2) if net is conv else (teacher, 0.02, net.max_epochs)
        )
        epochs = steps + net.max_epochs
        strategy = Strategy(
            importance,
            allocation,
            Cubic(n_steps=10, end=steps / epochs),
            recovery=Distill(who, temperature=4.0, alpha=0.9, lr=lr),
        )
        return {"estimator": net, "strategy": strategy, "fine_tune_epochs": epochs, **options}

    def weights(net: Any, ratio: int, importance: str = "magnitude") -> dict[str, Any]:
        return settings(net, importance, "global", sparsity=1 - 1 / ratio)

    def units(net: Any, **left: float) -> dict[str, Any]:
        allocation = {layer: 1 - fraction for layer, fraction in left.items()}
        return settings(net, "magnitude", allocation, structure="unit", sparsity=None)

    pixels = settings(plain, "magnitude", "global", structure="feature", sparsity=1 - 98 / 784)
    return {
        "LeNet-300-100, weights 42x": (weights(plain, 42), 1.48),
        "LeNet-300-100, weights 87x": (weights(plain, 87), 1.69),
        "LeNet-300-100, shifts, weights 42x": (weights(shifts, 42), 1.25),
        "LeNet-300-100, shifts, weights 87x": (weights(shifts, 87), 1.55),
        "LeNet-300-100, units, 98-70-32": (
            {"pixels": pixels, **units(plain, hidden0=70 / 300, hidden1=32 / 100)},
            1.6,
        ),
        "LeNet-5-Caffe, weights 280x": (weights(conv, 280, "lamp"), 0.75),
        "LeNet-5-Caffe, units, 5-8-11": (
            units(conv, conv1=5 / 20, conv2=8 / 50, hidden=11 / 500),
            1.0,
        ),
    }


def fit_record(
    data: Data, threads: int, pixels: dict[str, Any] | None = None, **params: Any
) -> dict[str, Any]:
    """Fit a record line; where pixels go too, those first, and train anew without them."""
    if pixels is None:
        return fit(data, threads, **params)
    torch.set_num_threads(threads)
    selection = PrunedClassifier(**{**params, **pixels}).fit(*data[:2])
    left = np.flatnonzero(selection.masks_["hidden0.weight"].any(axis=0))
    net = clone(params.pop("estimator"))
    net.set_params(module=ChosenPixels, module__pixels=left.tolist())
    run = fit(data, threads, estimator=net, **params)
    before, after = selection.report_.total_before, selection.report_.total_after
    return {**run, "weights": run["weights"] * before.weights / after.weights}


def records(arguments: argparse.Namespace, data: Data, folder: str) -> list[Row]:
    device, quick, threads = arguments.device, arguments.quick, arguments.threads
    parallel = Parallel(n_jobs=arguments.n_jobs, verbose=1)
    seeds = range(arguments.seeds)
    conv = decayed(LeNet5, 2 if quick else 20, device)
    unpruned = PrunedClassifier(conv, sparsity=0.0, fine_tune_epochs=0, memory=folder)
    teachers = parallel(
        delayed(_trained)(clone(unpruned).set_params(random_state=seed), data, threads)
        for seed in seeds
    )
    known = [lines(teacher, conv, device, quick) for teacher in teachers]
    chosen = arguments.only or list(known[0])
    runs = parallel(
        delayed(fit_record)(data, threads, **known[seed][name][0], memory=folder, random_state=seed)
        for name in chosen
        for seed in seeds
    )
    rows = []
    for number, name in enumerate(chosen):
        mine = runs[number * len(seeds) : (number + 1) * len(seeds)]
        row = summary(mine)
        rows.append(
            {"line": name, "error %": row["error %"], "± sd": row["± sd"]}
            | {"weights x": round(float(np.mean([run["weights"] for run in mine])), 1)}
            | {"error to reach %": known[0][name][1], "fit s": row["fit s"]}
        )
    return rows


def _trained(unpruned: PrunedClassifier, data: Data, threads: int) -> PrunedClassifier:
    torch.set_num_threads(threads)
    return unpruned.fit(*data[:2])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, default=MNIST, help="mnist.npz")
    options.add_argument("--records", action="store_true", help="the record lines")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--n-jobs", type=int, default=os.cpu_count())
    options.add_argument("--threads", type=int, default=1, help="of each fit")
    options.add_argument("--device", default="cpu")
    options.add_argument("--only", nargs="+", help="names of strategies or of lines")
    options.add_argument("--memory", type=Path, help="keep the dense networks there")
    options.add_argument("--figure", type=Path, help="draw the tables")
    arguments = options.parse_args()
    data = load(arguments.data)
    if arguments.quick:
        X, y, X_test, y_test = data
        data = X[:1000], y[:1000], X_test, y_test
    with TemporaryDirectory() as folder:
        memory = str(arguments.memory or folder)
        if arguments.records:
            publish("Record lines, MNIST", records(arguments, data, memory), arguments.json)
            return
        rows = all_points(arguments, data, memory)
    publish("Strategies, MNIST, LeNet-300-100", rows, arguments.json)
    for title, cell in {
        "error %": lambda row: f"{row['error %']:.2f} ± {row['± sd']:.2f}",
        "compression / MAC ratio": lambda row: f"{row['compression']:g} / {row['MAC ratio']:g}",
        "fit, s": lambda row: f"{row['fit s']:g}",
    }.items():
        publish(title, side_by_side(rows, cell))
    if arguments.figure:
        draw(rows, arguments.figure)


if __name__ == "__main__":
    main()
