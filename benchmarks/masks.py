"""Masks: an epoch of training under masks, against a dense epoch of the same training.

LeNet-300-100, trained by SGD with momentum; 90 % of the weights of its hidden layers are masked,
none of the output layer's, so that hardly a unit dies and is removed. Each round continues the
training of both estimators, and of the plain skorch net, by one epoch, whose length is what skorch
notes in the history. The reference is the dense epoch of the same fast training; skorch's own takes
longer, since it collates each batch row by row.
"""

from functools import partial

import numpy as np
import torch
from common import (
    add_timing_options,
    interleaved,
    milliseconds,
    parser,
    publish,
    speedup,
    with_threads,
)
from sklearn.base import ClassifierMixin, clone
from skorch import NeuralNetClassifier

from skprune import PrunedClassifier, Strategy
from skprune.network import MLP

SKORCH, DENSE, MASKED = "skorch, dense", "dense", "masked"
TARGET = 1.06


def make(X: np.ndarray, y: np.ndarray, batch_size: int) -> dict[str, ClassifierMixin]:
    net = NeuralNetClassifier(
        MLP,
        module__hidden_layer_sizes=(300, 100),
        criterion=torch.nn.CrossEntropyLoss,
        lr=0.01,
        optimizer__momentum=0.9,
        max_epochs=1,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    allocation = {"hidden0": 0.9, "hidden1": 0.9, "output": 0.0}
    strategy = Strategy(importance="random", allocation=allocation)
    # Pruning no units leaves a network without masks.
    dense = PrunedClassifier(net, structure="unit", sparsity=0.0, random_state=0).fit(X, y)
    masked = PrunedClassifier(net, strategy=strategy, sparsity=None, random_state=0).fit(X, y)
    plain = clone(net).set_params(module__n_features=X.shape[1], module__n_outputs=10)
    plain.set_params(module__output_activation=None)
    return {SKORCH: plain.initialize(), DENSE: dense, MASKED: masked}


def _hidden(model: ClassifierMixin) -> list[torch.nn.Module]:
    return [model.module_.hidden0, model.module_.hidden1]


def epoch(model: ClassifierMixin, X: np.ndarray, y: np.ndarray) -> float:
    return float(model.partial_fit(X, y, classes=np.arange(10)).history_[-1]["dur"])


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    add_timing_options(options, repeats=25)
    options.add_argument("--rows", type=int, default=12_800, help="default: %(default)s")
    options.add_argument("--batch-size", type=int, default=128, help="default: %(default)s")
    args = options.parse_args(arguments)
    if args.quick:
        args.rows, args.repeats = 512, 2
    random = np.random.default_rng(0)
    X = random.standard_normal((args.rows, 784), dtype=np.float32)
    y = random.integers(0, 10, args.rows)
    models = make(X, y, args.batch_size)
    for threads in with_threads(args.threads):
        functions = {name: partial(epoch, model, X, y) for name, model in models.items()}
        seconds = interleaved(functions, args.repeats)
        rows = [
            {
                "training": name,
                "units": "-".join(str(len(layer.weight)) for layer in _hidden(models[name])),
                "ms per epoch": milliseconds(seconds[name]),
                "of dense": 1 / speedup(seconds, name, DENSE),
                "target": f"<= {TARGET:g}" if name == MASKED else "",
            }
            for name in functions
        ]
        publish(f"Masks, {threads} thread(s)", rows, args.json)


if __name__ == "__main__":
    main()
