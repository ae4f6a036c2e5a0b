"""Training: a default fit against plain skorch, and epochs that shrink as units go.

The first table fits the default estimator on the digits, and the same network by skorch itself,
dense for as many epochs as the estimator trains before and after pruning. The second follows one
fit that prunes units step by step, and gives the length of an epoch after each step as a part of a
dense one.
"""

from functools import partial
from statistics import median

import numpy as np
import torch
from common import (
    Row,
    add_timing_options,
    interleaved,
    milliseconds,
    parser,
    publish,
    speedup,
    with_threads,
)
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import Tensor, nn

from skprune import PrunedClassifier, Strategy
from skprune.network import MLP
from skprune.strategies import Iterative
from skprune.training.nets import default_classifier_net

TARGET = 2.0
SKORCH = "skorch, dense"


def default_fit(repeats: int, dense_epochs: int | None) -> list[Row]:
    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    estimators = {
        "skprune, default": PrunedClassifier(random_state=0),
        "skprune, units": PrunedClassifier(structure="unit", random_state=0),
    }
    if dense_epochs is not None:
        for estimator in estimators.values():
            estimator.set_params(estimator__max_epochs=dense_epochs)
    epochs = len(estimators["skprune, default"].fit(X, y).history_)
    net = default_classifier_net().set_params(
        criterion=nn.CrossEntropyLoss,
        module__n_features=X.shape[1],
        module__n_outputs=10,
        module__dtype=torch.float64,
        max_epochs=epochs,
    )
    functions = {SKORCH: partial(net.fit, X, y)}
    functions |= {name: partial(estimator.fit, X, y) for name, estimator in estimators.items()}
    seconds = interleaved(functions, repeats, warm_up=1)
    return [
        {
            "fit on digits": name,
            "epochs": epochs,
            "ms": milliseconds(seconds[name]),
            "times faster": speedup(seconds, name, SKORCH),
            "target": f">= {TARGET:g}" if name == "skprune, default" else "",
        }
        for name in functions
    ]


class ConvNet(nn.Module):
    def __init__(self, n_channels: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, n_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(n_channels, 2 * n_channels, 3, padding=1)
        self.output = nn.Linear(2 * n_channels * 7 * 7, 10)

    def forward(self, X: Tensor) -> Tensor:
        X = nn.functional.max_pool2d(self.conv1(X).relu(), 2)
        X = nn.functional.max_pool2d(self.conv2(X).relu(), 2)
        return self.output(X.flatten(1))


def stepwise(net: NeuralNetClassifier, X: np.ndarray, n_steps: int, repeats: int) -> list[Row]:
    """Epoch times after each of the steps of a fit, against its own dense epochs."""
    y = np.arange(len(X)) % 10
    schedule = Iterative(n_steps=n_steps, end=1.0)
    per_step = net.max_epochs
    model = PrunedClassifier(
        net,
        strategy=Strategy(schedule=schedule),
        structure="unit",
        sparsity=0.9,
        fine_tune_epochs=per_step * n_steps,
        random_state=0,
    )
    steps = schedule.steps(0.9, per_step * n_steps)
    lengths = [net.max_epochs, *(step.epochs for step in steps)]
    ends = np.cumsum(lengths)
    fits = []
    for _ in range(repeats):
        seconds = [row["dur"] for row in model.fit(X, y).history_]
        fits.append([median(seconds[end - n : end]) for n, end in zip(lengths, ends, strict=True)])
    return [
        {
            "units removed": f"{sparsity:.1%}",
            "epochs": length,
            "ms per epoch": 1e3 * median(times),
            "of dense": median(time / fit[0] for time, fit in zip(times, fits, strict=True)),
        }
        for sparsity, length, times in zip(
            [0.0, *(step.sparsity for step in steps)], lengths, zip(*fits, strict=True), strict=True
        )
    ]


def networks(quick: bool) -> dict[str, tuple[type[nn.Module], dict, tuple[int, ...]]]:
    hidden = (32, 32) if quick else (1024, 1024)
    return {
        f"784-{hidden[0]}-{hidden[1]}-10": (MLP, {"module__hidden_layer_sizes": hidden}, (784,)),
        "convolutions": (ConvNet, {"module__n_channels": 8 if quick else 32}, (1, 28, 28)),
    }


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    add_timing_options(options, repeats=7)
    options.add_argument("--rows", type=int, default=3_840, help="of the step by step fits")
    options.add_argument("--steps", type=int, default=5, help="of a fit (default: %(default)s)")
    args = options.parse_args(arguments)
    dense_epochs, per_step = None, 3
    if args.quick:
        args.rows, args.repeats, args.steps, dense_epochs, per_step = 256, 1, 2, 2, 1
    random = np.random.default_rng(0)
    X = random.standard_normal((args.rows, 784), dtype=np.float32)
    for threads in with_threads(args.threads):
        rows = default_fit(args.repeats, dense_epochs)
        publish(f"Default fit, {threads} thread(s)", rows, args.json)
        for title, (module, settings, shape) in networks(args.quick).items():
            net = NeuralNetClassifier(
                module,
                criterion=nn.CrossEntropyLoss,
                lr=0.01,
                max_epochs=per_step,
                batch_size=128,
                iterator_train__shuffle=True,
                train_split=None,
                verbose=0,
                **settings,
            )
            rows = stepwise(net, X.reshape(-1, *shape), args.steps, args.repeats)
            publish(f"Epochs of {title}, {threads} thread(s)", rows, args.json)


if __name__ == "__main__":
    main()
