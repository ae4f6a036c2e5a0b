"""
Random pruning on MNIST
=======================

A network of two hidden layers with 64 ReLU units each learns MNIST with half of its weights removed
at random, before it is trained. Does it matter which half? Each of 32 rounds draws another mask,
trains the same initial network under it for 10 epochs (SGD, learning rate 0.01, batches of 32), and
evaluates it on validation rows. Then three evaluations answer three questions:

- *Hold-out*: which mask is the best, and how good is it? Its accuracy on the validation rows
  flatters it, for it was chosen by that. So it is trained once more, on all the training rows, and
  evaluated on the test rows.
- *5-fold cross-validation*: how much does its accuracy depend on which rows the network is trained
  and evaluated on?
- *Random restarts*: does the mask matter more than the initial weights? The chosen mask is trained
  from other ones; see whether the accuracies spread more than those of the rounds.

A round takes about 11 seconds on a core of a server, and the whole experiment 10 minutes; with
``--jobs`` several rounds are trained at a time. ``--rounds``, ``--epochs`` and ``--rows`` make it
smaller.
"""

import argparse

import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import fetch_openml
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedShuffleSplit,
    cross_val_score,
    train_test_split,
)
from skorch import NeuralNetClassifier

from skprune import PrunedClassifier
from skprune.network import MLP


def main():
    args = parse_arguments()
    torch.set_num_threads(1)  # layers this small gain nothing from a second thread
    X, y, X_test, y_test = load_mnist(args.data)
    if args.rows is not None and args.rows < len(X):
        X, _, y, _ = train_test_split(X, y, train_size=args.rows, stratify=y, random_state=0)
    validation = StratifiedShuffleSplit(n_splits=1, test_size=1 / 6, random_state=0)
    print(f"{len(X):,} training rows, a sixth of them for validation; {len(X_test):,} test rows")

    model = PrunedClassifier(
        untrained_net(seed=0), strategy="random", sparsity=0.5, fine_tune_epochs=args.epochs
    )

    rounds = GridSearchCV(
        model, {"random_state": range(args.rounds)}, cv=validation, n_jobs=args.jobs, verbose=3
    ).fit(X, y)
    chosen = clone(model).set_params(**rounds.best_params_)

    # The mask and the order of the batches come from random_state, which stays the same.
    restarts = GridSearchCV(
        chosen,
        {"estimator": [untrained_net(seed) for seed in range(1, args.restarts + 1)]},
        cv=validation,
        refit=False,
        n_jobs=args.jobs,
    ).fit(X, y)

    folds = KFold(5, shuffle=True, random_state=0)
    dense = clone(chosen).set_params(sparsity=0.0)
    mask = f"mask of round {rounds.best_index_}"
    print(f"\n{'accuracy':<40}{'mean':>9}{'std':>9}{'best':>9}")
    print_row("dense, validation", cross_val_score(dense, X, y, cv=validation))
    print_row(f"{args.rounds} rounds, validation", rounds.cv_results_["mean_test_score"])
    print_row(f"{mask}, test", [rounds.score(X_test, y_test)])
    print_row(f"{mask}, 5 folds", cross_val_score(chosen, X, y, cv=folds, n_jobs=args.jobs))
    print_row(
        f"{mask}, {args.restarts} restarts, validation", restarts.cv_results_["mean_test_score"]
    )


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Train a network under random masks of half its weights.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data",
        metavar="FILE.npz",
        help="local file with the arrays X_train, y_train, X_test and y_test, pixels from 0 to "
        "255; without it, MNIST is fetched from OpenML",
    )
    parser.add_argument("--rounds", type=int, default=32, help="how many masks to draw")
    parser.add_argument("--restarts", type=int, default=8, help="how many other initial weights")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of training in each round")
    parser.add_argument(
        "--rows", type=int, help="how many training rows to use; all of them if not given"
    )
    parser.add_argument("--jobs", type=int, default=1, help="how many rounds to train at a time")
    return parser.parse_args()


def load_mnist(path):
    """Give the training and the test rows, with pixels from 0 to 1."""
    if path is None:
        X, y = fetch_openml("mnist_784", as_frame=False, return_X_y=True)
        X_train, X_test, y_train, y_test = X[:60000], X[60000:], y[:60000], y[60000:]
    else:
        with np.load(path) as file:
            X_train, y_train, X_test, y_test = (
                file[name] for name in ("X_train", "y_train", "X_test", "y_test")
            )
    return (X_train / 255).astype("float32"), y_train, (X_test / 255).astype("float32"), y_test


def untrained_net(seed):
    """Make a net with initial weights of its own.

    `FrozenEstimator` keeps them through every clone, and `PrunedClassifier` starts from them.
    """
    net = NeuralNetClassifier(
        MLP,
        module__n_features=784,
        module__n_outputs=10,
        module__hidden_layer_sizes=(64, 64),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=0.01,
        batch_size=32,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    torch.manual_seed(seed)
    return FrozenEstimator(net.initialize())


def print_row(name, accuracies):
    columns = f"{name:<40}{np.mean(accuracies):>9.4f}"
    if len(accuracies) > 1:
        columns += f"{np.std(accuracies):>9.4f}{np.max(accuracies):>9.4f}"
    print(columns, flush=True)


if __name__ == "__main__":
    main()
