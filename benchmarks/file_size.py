"""Files of 784-300-100-10 without 90, 95 and 98 % of its weights, against the dense state_dict.

The network is trained on MNIST, and saved by ``skprune.save`` as a whole estimator: with its
parameters, masks and report, so that it can be trained on. What it is compared with is what
``torch.save`` makes of the dense network's ``state_dict``.
"""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import joblib
import numpy as np
import torch
from common import Row, mnist, parser, publish
from skorch import NeuralNetClassifier

import skprune
from skprune import PrunedClassifier
from skprune.network import MLP

# Times smaller than the dense state_dict; twice that with weights in half precision.
TARGETS = {0.9: 9.5, 0.95: 19.0, 0.98: 45.0}


def dense_net(X: np.ndarray, y: np.ndarray, epochs: int) -> NeuralNetClassifier:
    torch.manual_seed(0)
    return NeuralNetClassifier(
        MLP,
        module__n_features=X.shape[1],
        module__n_outputs=10,
        module__hidden_layer_sizes=(300, 100),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=128,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ).fit(X, y)


def saved(module: torch.nn.Module) -> int:
    buffer = BytesIO()
    torch.save(module.state_dict(), buffer)
    return buffer.tell()


def rows_of(pruned: PrunedClassifier, dense: int, X: np.ndarray, y: np.ndarray) -> list[Row]:
    rows, folder = [], TemporaryDirectory()
    with folder:
        path = Path(folder.name, "pruned.skprune")
        joblib.dump(pruned, path)
        pickled = path.stat().st_size
        for dtype in (None, "float16"):
            began = perf_counter()
            skprune.save(pruned, path, dtype=dtype)
            written = perf_counter()
            loaded = skprune.load(path)
            read = perf_counter()
            if dtype is None:
                np.testing.assert_array_equal(loaded.predict_proba(X), pruned.predict_proba(X))
            size, target = path.stat().st_size, TARGETS[round(pruned.sparsity_, 2)]
            rows.append(
                {
                    "weights removed": f"{pruned.sparsity_:.0%}",
                    "numbers": dtype or "float32",
                    "bytes": size,
                    "times smaller": dense / size,
                    "target": f">= {target * (2 if dtype else 1):g}",
                    "accuracy": loaded.score(X, y),
                    "joblib": dense / pickled,
                    "masked state_dict": dense / saved(pruned.module_),
                    "save, ms": 1e3 * (written - began),
                    "load, ms": 1e3 * (read - written),
                }
            )
    return rows


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, help="mnist.npz (default: fetched from OpenML)")
    options.add_argument("--epochs", type=int, default=5, help="default: %(default)s")
    args = options.parse_args(arguments)
    if args.quick:
        random = np.random.default_rng(0)
        X = random.standard_normal((400, 784), dtype=np.float32)
        X_test, y_test, y = X, X[:, :10].argmax(1), X[:, :10].argmax(1)
        args.epochs = 1
    else:
        X, y, X_test, y_test = mnist(args.data)
    net = dense_net(X, y, args.epochs)
    dense = saved(net.module_)
    rows = []
    for sparsity in TARGETS:
        pruned = PrunedClassifier(
            net,
            strategy="gradual_magnitude",
            sparsity=sparsity,
            fine_tune_epochs=args.epochs,
            random_state=0,
        ).fit(X, y)
        rows += rows_of(pruned, dense, X_test, y_test)
    publish(f"Files, dense state_dict {dense:,} bytes", rows, args.json)


if __name__ == "__main__":
    main()
