"""
Pruning a network that comes trained
====================================

Somebody else trained the network, and all that there is of it is a ``state_dict``. A skorch net
that has these weights is a fitted one for skprune: it is not trained again, but pruned in one go,
and what is left is fine-tuned for a few epochs on the rows at hand.
"""

# %%
# The weights
# -----------
#
# A training on half of the digits makes what would be a download. Those rows are not used again.

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedKFold, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier
from torch import nn

from skprune import PrunedClassifier
from skprune.metrics import predict_latency


class Perceptron(nn.Sequential):
    def __init__(self, width):
        super().__init__(
            *(nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU()),
            *(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()),
            nn.Linear(width, 10),
        )


def make_net(width, epochs):
    return NeuralNetClassifier(
        Perceptron,
        module__width=width,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.002,
        max_epochs=epochs,
        batch_size=64,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )


def somebody_trains(path, X, y, width, epochs):
    torch.manual_seed(0)
    net = make_net(width, epochs).fit(X, y)
    torch.save(net.module_.state_dict(), path)


# %%
# A net with these weights
# ------------------------
#
# ``initialize`` makes the module, and the weights are loaded into it. ``FrozenEstimator`` keeps
# them where scikit-learn clones estimators, as in cross-validation.


def load_net(path, width):
    net = make_net(width, epochs=1).initialize()
    net.module_.load_state_dict(torch.load(path))
    return FrozenEstimator(net)


# %%
# Pruned at once, and fine-tuned
# ------------------------------
#
# The weights know their training rows, so the pipeline is scored on others. What is fine-tuned are
# the folds of these others; the first row is the network as it came, the second as many epochs of
# fine-tuning without pruning.


def scale(X):
    return (X / 16).astype("float32")


def main():
    args = parse_arguments()
    torch.set_num_threads(1)
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)
    X_theirs, X, y_theirs, y = (part[: args.rows] for part in parts)
    with TemporaryDirectory() as folder:
        path = Path(folder, "weights.pt")
        somebody_trains(path, scale(X_theirs), y_theirs, args.width, args.epochs)
        net = load_net(path, args.width)

    variants = {
        "as it came": (0.0, 0),
        "dense": (0.0, args.fine_tune_epochs),
        "pruned": (0.75, args.fine_tune_epochs),
    }
    folds = StratifiedKFold(args.folds, shuffle=True, random_state=0)
    results = {}
    for name, (sparsity, epochs) in variants.items():
        pruned = PrunedClassifier(
            net, structure="unit", sparsity=sparsity, fine_tune_epochs=epochs, random_state=0
        )
        pipeline = make_pipeline(FunctionTransformer(scale), pruned)
        results[name] = cross_validate(
            pipeline, X, y, cv=folds, return_estimator=True, error_score="raise"
        )
    print(results["pruned"]["estimator"][0][-1].report_, "\n")
    print(compare(results, X))


# %%
# What it brought
# ---------------
#
# Sizes and times are those of the first fold's networks. A time is that of ``predict`` for all the
# images at once; of several the shortest counts, which other work of the computer disturbs least.


def compare(results, X):
    """Make a table of scores, sizes and times."""
    fitted = {name: result["estimator"][0] for name, result in results.items()}
    seconds = pd.DataFrame(
        {name: predict_latency(f.predict, X, repeats=1, warm_up=1) for name, f in fitted.items()}
        for _ in range(9)
    ).min()
    rows = {}
    for name, result in results.items():
        scores, left = result["test_score"], fitted[name][-1].report_.total_after
        rows[name] = {
            "accuracy": f"{scores.mean():.3f} ± {scores.std():.3f}",
            "parameters": f"{left.parameters:,}",
            "MACs": f"{left.macs:,}",
            "bytes": f"{left.bytes:,}",
            "predict (ms)": f"{1000 * seconds[name]:.2f}",
            "times faster": f"{seconds['dense'] / seconds[name]:.1f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").to_string()


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Prune a network that comes with weights.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--width", type=int, default=256, help="units of a hidden layer")
    parser.add_argument("--epochs", type=int, default=20, help="of the training elsewhere")
    parser.add_argument("--fine-tune-epochs", type=int, default=10)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rows", type=int, help="how many images to use; all if not given")
    return parser.parse_args()


if __name__ == "__main__":
    main()
