"""
Search on a cluster
===================

A grid search over strategies and sparsities runs on the workers of a dask cluster: those that this
script starts on this computer, or those of a scheduler whose address it is given::

    python search_on_dask.py
    python search_on_dask.py tcp://scheduler:8786 --memory /shared/folder

Nothing in the search is written for a cluster: ``parallel_config`` tells joblib where the work is
to be done. Through ``memory`` the workers share the dense networks, one of each fold.
"""

import argparse
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from skprune import PrunedClassifier
from skprune.metrics import macs_scorer
from skprune.model_selection import sparsest_within

# %%
# The network
# -----------
#
# Its class is defined here and not in a package: joblib sends it to the workers with its code.


class Perceptron(nn.Sequential):
    def __init__(self, n_features, n_outputs):
        super().__init__(
            *(nn.Linear(n_features, 256), nn.ReLU()),
            *(nn.Linear(256, 256), nn.ReLU()),
            nn.Linear(256, n_outputs),
        )


def make_model():
    net = NeuralNetClassifier(
        Perceptron,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        max_epochs=10,
        batch_size=200,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    pruned = PrunedClassifier(net, structure="unit", fine_tune_epochs=5, random_state=0)
    return make_pipeline(StandardScaler(), pruned)


GRID = {
    "prunedclassifier__strategy": ["magnitude", "random"],
    "prunedclassifier__sparsity": [0.5, 0.7, 0.8, 0.9],
}

# %%
# The search
# ----------
#
# A worker process for each core, with one thread: networks this small gain nothing from a second
# one. ``n_jobs`` is not needed, for joblib uses all that the cluster has.


def main():
    args = parse_arguments()
    torch.set_num_threads(1)
    X, y = load_digits(return_X_y=True)
    X = X.astype("float32")
    folds = StratifiedKFold(3, shuffle=True, random_state=0)

    with ExitStack() as stack:
        client = stack.enter_context(connect(args.address, args.workers))
        memory = args.memory
        if memory is None and args.address is None:
            memory = stack.enter_context(TemporaryDirectory())
        model = make_model().set_params(prunedclassifier__memory=memory)
        search = GridSearchCV(
            model,
            GRID,
            scoring={"accuracy": "accuracy", "macs": macs_scorer},
            refit=sparsest_within("accuracy"),
            cv=folds,
            error_score="raise",
        )
        workers = client.nthreads()
        print(f"{len(workers)} workers with {sum(workers.values())} threads in all")

        start = perf_counter()
        with parallel_config("dask"):
            search.fit(X, y)
        seconds = perf_counter() - start

        n_candidates = len(search.cv_results_["params"])
        print(
            f"{n_candidates} candidates on {folds.n_splits} folds, and the chosen one on all rows: "
            f"{n_candidates * folds.n_splits + 1} fits in {seconds:.1f} s"
        )
        if memory is not None:
            n_dense = len(list(Path(memory).rglob("*.safetensors")))
            print(f"The folder that they share holds {n_dense} dense networks.")

    results = pd.DataFrame(search.cv_results_)
    columns = {name: f"param_prunedclassifier__{name}" for name in ("strategy", "sparsity")}
    print("\nAccuracy, mean over the folds, by strategy and sparsity:\n")
    print(
        results.pivot_table("mean_test_accuracy", *columns.values())
        .rename_axis(index=None, columns=None)
        .to_string(float_format="{:.3f}".format)
    )
    chosen = results.loc[search.best_index_]
    report = search.best_estimator_[-1].report_
    print(
        f"\nThe cheapest within one standard error of the best: "
        f"strategy={chosen[columns['strategy']]!r}, sparsity={chosen[columns['sparsity']]}. "
        f"It takes {report.total_after.macs:,} MACs, and the dense network "
        f"{report.total_before.macs:,}."
    )

    # Here the chosen candidate is cross-validated once more, in this process and without a memory.
    alone = clone(model).set_params(**search.best_params_, prunedclassifier__memory=None)
    scores = cross_val_score(alone, X, y, cv=folds)
    found = [chosen[f"split{i}_test_accuracy"] for i in range(folds.n_splits)]
    print(
        "Its scores are those that one process finds by itself: the largest difference is "
        f"{np.abs(scores - found).max():.2g}."
    )


@contextmanager
def connect(address, n_workers):
    """Connect to a scheduler, or start one on this computer."""
    if address is not None:
        with Client(address) as client:
            yield client
        return
    options = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Search for a strategy and a sparsity on a dask cluster.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "address",
        nargs="?",
        help="of a scheduler, such as tcp://host:8786; without it, workers are started here",
    )
    parser.add_argument("--workers", type=int, default=2, help="how many workers to start here")
    parser.add_argument(
        "--memory",
        metavar="FOLDER",
        help="where the dense networks are kept; all machines have to see it under this name",
    )
    return parser.parse_args()


# Worker processes on this computer import this file.
if __name__ == "__main__":
    main()
