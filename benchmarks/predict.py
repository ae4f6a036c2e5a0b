"""Prediction: a network without 90 % of its units, against its dense skorch net.

The network is 784-300-100-10. The reference is the dense skorch net's own method of the same name.
The dense estimator shows what leaving skorch's loader out is worth by itself, and the pruned skorch
net what pruning is worth with the loader in place.
"""

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
from skorch import NeuralNetClassifier

from skprune import PrunedClassifier
from skprune.network import MLP, chunks

SKORCH, SKORCH_PRUNED = "skorch, dense", "skorch, pruned"
DENSE, PRUNED = "skprune, sparsity 0", "skprune, pruned"
TARGETS = {"many": 15.0, "one": 3.0}


def make(X: np.ndarray, y: np.ndarray, hidden: tuple[int, ...], batch_size: int) -> dict:
    net = NeuralNetClassifier(
        MLP,
        module__n_features=X.shape[1],
        module__n_outputs=10,
        module__hidden_layer_sizes=hidden,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=1,
        batch_size=batch_size,
        train_split=None,
        verbose=0,
    ).fit(X, y)
    options = {"structure": "unit", "fine_tune_epochs": 0, "random_state": 0}
    pruned = PrunedClassifier(net, sparsity=0.9, **options).fit(X, y)
    dense = PrunedClassifier(net, sparsity=0.0, **options).fit(X, y)
    return {SKORCH: net, SKORCH_PRUNED: pruned.net_, DENSE: dense, PRUNED: pruned}


def compare(models: dict, X: np.ndarray, threads: int, repeats: int, calls: int) -> list[Row]:
    rows = []
    for method in ("predict", "predict_proba"):
        functions = {name: _bound(model, method, X) for name, model in models.items()}
        seconds = interleaved(functions, repeats, calls=calls)
        target = TARGETS["one" if len(X) == 1 else "many"]
        for name in models:
            row = {
                "rows": len(X),
                "threads": threads,
                "method": method,
                "model": name,
                "ms": milliseconds(seconds[name]),
                "times faster": speedup(seconds, name, SKORCH),
            }
            if name == PRUNED and method == "predict":
                row["target"] = f">= {target:g}"
            rows.append(row)
    return rows


def _bound(model, method, X):
    return lambda: getattr(model, method)(X)


def sweep(model: PrunedClassifier, X: np.ndarray, lengths: list[int], repeats: int) -> list[Row]:
    """Times of predict for several lengths of a chunk, against the length that is chosen."""
    chosen = chunks.chunk_length
    default = chosen(X[:1].nbytes)

    def with_length(length):
        def run():
            chunks.chunk_length = lambda *_: length
            try:
                model.predict(X)
            finally:
                chunks.chunk_length = chosen

        return run

    names = {"chosen": default} | {str(length): length for length in lengths}
    seconds = interleaved({name: with_length(n) for name, n in names.items()}, repeats)
    return [
        {
            "chunk": length,
            "": "chosen" if name == "chosen" else "",
            "ms": milliseconds(seconds[name]),
            "times faster than chosen": speedup(seconds, name, "chosen"),
        }
        for name, length in names.items()
    ]


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    add_timing_options(options, repeats=15)
    options.add_argument("--rows", type=int, default=60_000, help="default: %(default)s")
    options.add_argument(
        "--batch-size", type=int, default=128, help="skorch's (default: its own, 128)"
    )
    options.add_argument(
        "--chunks",
        type=int,
        nargs="*",
        metavar="N",
        help="compare these lengths of a chunk as well",
    )
    args = options.parse_args(arguments)
    hidden, calls = (300, 100), 50
    if args.quick:
        args.rows, args.repeats, hidden, calls = 512, 2, (30, 20), 2
    random = np.random.default_rng(0)
    X = random.standard_normal((args.rows, 784), dtype=np.float32)
    y = random.integers(0, 10, args.rows)
    models = make(X[:2000], y[:2000], hidden, args.batch_size)
    for threads in with_threads(args.threads):
        rows = compare(models, X, threads, args.repeats, calls=1)
        rows += compare(models, X[:1], threads, args.repeats, calls=calls)
        publish(f"Prediction, {threads} thread(s)", rows, args.json)
        if args.chunks:
            rows = sweep(models[PRUNED], X, args.chunks, args.repeats)
            publish(f"Length of a chunk, {threads} thread(s)", rows, args.json)


if __name__ == "__main__":
    main()
