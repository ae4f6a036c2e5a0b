"""Paths of sparsities: cross-validated estimators against a grid search and against plain skorch.

Digits, 64-256-256-10, 8 sparsities, 5 folds, 40 dense and 10 fine-tuning epochs. The first table
has times as fractions of a grid search's, without the last fits on all the data, and of a dense
cross-validation by skorch, which the chained sweep is to stay below; beside them the mean score at
each sparsity. The second is a grid search over 8 sparsities and 3 strategies with `memory`, cold
and warm.
"""

from collections.abc import Sequence
from functools import partial
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from common import Row, parser, publish, with_threads
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from skorch import NeuralNetClassifier
from torch import nn

from skprune import PrunedClassifier, PrunedClassifierCV
from skprune.network import MLP

SPARSITIES = [0.5, 0.7, 0.8, 0.9, 0.93, 0.95, 0.97, 0.98]
STRATEGIES = ["magnitude", "random", "lamp"]
SKORCH = "skorch, dense, cross_val_score"
TARGETS = {"PrunedClassifierCV, restart": 0.30, "PrunedClassifierCV, chained": 0.20}


def make_net(epochs: int) -> NeuralNetClassifier:
    return NeuralNetClassifier(
        MLP,
        module__n_features=64,
        module__n_outputs=10,
        module__hidden_layer_sizes=(256, 256),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        lr=0.05,
        batch_size=128,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks__valid_acc=None,
        callbacks__print_log=None,
        verbose=0,
    )


def paths(X: Any, y: Any, epochs: int, fine_tune: int, seeds: int, n_jobs: int) -> list[Row]:
    net = make_net(epochs)
    seconds: dict[str, list[float]] = {}
    scores: dict[str, list[np.ndarray]] = {}
    for seed in range(seeds):
        cv = StratifiedKFold(5, shuffle=True, random_state=seed)
        plain = PrunedClassifier(net, fine_tune_epochs=fine_tune, random_state=seed)
        search = PrunedClassifierCV(
            net,
            sparsities=SPARSITIES,
            cv=cv,
            fine_tune_epochs=fine_tune,
            n_jobs=n_jobs,
            random_state=seed,
        )
        grid = GridSearchCV(plain, {"sparsity": SPARSITIES}, cv=cv, n_jobs=n_jobs)
        runs = {
            "GridSearchCV": grid,
            "PrunedClassifierCV, restart": search,
            "PrunedClassifierCV, chained": clone(search).set_params(path="chained"),
        }
        names = list(runs)
        for name in names[seed % 3 :] + names[: seed % 3]:
            start = perf_counter()
            fitted = runs[name].fit(X, y)
            # What is compared is the search; the last fit on all the data is the same work for all.
            seconds.setdefault(name, []).append(perf_counter() - start - fitted.refit_time_)
            scores.setdefault(name, []).append(fitted.cv_results_["mean_test_score"])
        start = perf_counter()
        cross_val_score(net, X.astype(np.float32), y, cv=cv, n_jobs=n_jobs)
        seconds.setdefault(SKORCH, []).append(perf_counter() - start)
    rows = []
    for name, times in seconds.items():
        row: Row = {
            "5 folds": name,
            "s": float(np.median(times)),
            "of the grid's time": _ratio(times, seconds["GridSearchCV"]),
            "target": f"<= {TARGETS[name]:g}" if name in TARGETS else "",
            "of skorch's": _ratio(times, seconds[SKORCH]),
        }
        if name in scores:
            mean = np.mean(scores[name], axis=0)
            row |= {f"{s:g}": f"{m:.4f}" for s, m in zip(SPARSITIES, mean, strict=True)}
        rows.append(row)
    same = all(
        (one == other).all()
        for one, other in zip(
            scores["GridSearchCV"], scores["PrunedClassifierCV, restart"], strict=True
        )
    )
    print(f"\nscores of the restarted path equal to the grid's, bit for bit: {same}")
    return rows


def _ratio(times: Sequence[float], others: Sequence[float]) -> float:
    return float(np.median([one / other for one, other in zip(times, others, strict=True)]))


def with_memory(X: Any, y: Any, epochs: int, fine_tune: int, n_jobs: int) -> list[Row]:
    grid = {"sparsity": SPARSITIES, "strategy": STRATEGIES}
    plain = PrunedClassifier(make_net(epochs), fine_tune_epochs=fine_tune, random_state=0)
    make = partial(GridSearchCV, param_grid=grid, cv=5, refit=False, n_jobs=n_jobs)
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        kept = clone(plain).set_params(memory=folder)
        for name, estimator, target in [
            ("without memory", plain, ""),
            ("memory, cold", kept, "<= 0.4"),
            ("memory, warm", kept, "<= 0.35"),
        ]:
            start = perf_counter()
            fitted = make(estimator).fit(X, y)
            elapsed = perf_counter() - start
            if not rows:
                reference, scores = elapsed, _splits(fitted.cv_results_)
            rows.append(
                {
                    "GridSearchCV, 8 sparsities x 3 strategies": name,
                    "s": elapsed,
                    "ratio": elapsed / reference,
                    "target": target,
                    "scores equal": bool((_splits(fitted.cv_results_) == scores).all()),
                }
            )
    return rows


def _splits(results: dict[str, Any]) -> np.ndarray:
    return np.array([results[f"split{number}_test_score"] for number in range(5)])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=3, help="rounds (default: %(default)s)")
    options.add_argument("--n-jobs", type=int, nargs="+", default=[1, 2], metavar="N")
    arguments = options.parse_args()
    X, y = load_digits(return_X_y=True)
    X = X / 16
    epochs, fine_tune, seeds = (40, 10, arguments.seeds)
    if arguments.quick:
        X, y, epochs, fine_tune, seeds = X[:300], y[:300], 2, 2, 1
    PrunedClassifier(make_net(1), fine_tune_epochs=0).fit(X, y)  # torch imports more as it starts
    for threads in with_threads([1]):
        for n_jobs in arguments.n_jobs:
            where = f"{n_jobs} fold(s) at a time, {threads} thread each"
            rows = paths(X, y, epochs, fine_tune, seeds, n_jobs)
            publish(f"Paths, {where}", rows, arguments.json)
        publish("Memory", with_memory(X, y, epochs, fine_tune, arguments.n_jobs[0]), arguments.json)


if __name__ == "__main__":
    main()
