"""Which rule chooses well, and which strategy: scores kept, what is removed, and the time.

On each data set the default network is judged along a path of 8 sparsities, by 5 inner folds; all
points of the path are also fitted on all rows of the training part, and scored on others. Rules are
then compared without another fit: they see the inner folds alone. A score is kept if it is at most
a standard error below that of the dense network; with one split of the rows that is the standard
error over the test rows, with outer folds that over the folds.

- "Strategies": mean change of the score against the dense network at each sparsity, in points.
- "Rules": what each rule keeps, over the strategies that are named.
- "Rules, chosen on one half of the data sets": the rule that does best on one half is applied to
  the other half, 100 times; once as it is, and once among those that compress at least 10 times.
- "Time of a path" (--cost): seconds of processor time on one thread, the dense training included.

`--table PATH` keeps what is found of each data set, and goes on from there. The figures in
docs/how-to-choose.md are those of `--rows 400 --outer 1`.
"""

import json
import warnings
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from common import Row, parser, publish
from data_sets import CLASSIFICATION, KEEL, REGRESSION, load
from sklearn.datasets import make_classification
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit
from sklearn.preprocessing import StandardScaler

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    PrunedRegressor,
    PrunedRegressorCV,
    pruning_path,
)
from skprune.model_selection import FoldScores, NonInferior, SelectionRule, sparsest_within

STRATEGIES = ["magnitude", "gradual_magnitude", "hessian"]
RULES: dict[str, SelectionRule] = {
    "best": sparsest_within(None, tolerance=0.0, cost="sparsity"),
    "one_std_err": sparsest_within(None, cost="sparsity"),
    "one_std_err, paired": sparsest_within(None, cost="sparsity", paired=True),
    **{
        f"non-inferior, {margin:.1%}, {n_std_err} s.e., {smooth or 'not smoothed'}": NonInferior(
            margin, n_std_err, relative=True, smooth=smooth
        )
        for margin in (0.0, 0.005, 0.01, 0.02)
        for n_std_err in (0.0, 0.5, 1.0, 1.5)
        for smooth in (None, "neighbors", "isotonic")
    },
}


def splits_of(y: np.ndarray, regression: bool, rows: int | None, n_outer: int) -> Any:
    if n_outer > 1:
        folds = KFold if regression else StratifiedKFold
        return folds(n_outer, shuffle=True, random_state=0)
    n_train = int(0.6 * len(y)) if rows is None else min(rows, int(0.6 * len(y)))
    shuffled = ShuffleSplit if regression else StratifiedShuffleSplit
    return shuffled(1, train_size=n_train, test_size=min(len(y) - n_train, 2000), random_state=0)


def collect(name: str, structure: str, rows: int | None, n_outer: int) -> dict[str, Any]:
    """Judge all strategies on one data set; what the rules see, and what they do not."""
    X, y = load(name)
    regression = name in REGRESSION
    plain = (PrunedRegressor if regression else PrunedClassifier)(
        structure=structure, random_state=0
    )
    search = (PrunedRegressorCV if regression else PrunedClassifierCV)(
        strategies=STRATEGIES, structure=structure, selection=lambda _: 0, random_state=0
    )
    outer = []
    for train, test in splits_of(y, regression, rows, n_outer).split(X, y):
        scaler = StandardScaler().fit(X[train])
        X_train, X_test = scaler.transform(X[train]), scaler.transform(X[test])
        search.fit(X_train, y[train])
        fitted, dense = pruning_path(
            plain, X_train, y[train], strategies=STRATEGIES, path=search.path
        )
        params = search.cv_results_["params"]
        outer.append(
            {
                "strategies": [p["strategy"] for p in params],
                "sparsities": [p["sparsity"] for p in params],
                "scores": search.score_path_.tolist(),
                "dense": search.dense_scores_["score"].tolist(),
                "test": [estimator.score(X_test, y[test]) for estimator in fitted],
                "dense_test": dense.score(X_test, y[test]),
                "dense_error": standard_error(dense, X_test, y[test]),
                "compression": [estimator.report_.compression_ratio for estimator in fitted],
            }
        )
    return {"data": name, "structure": structure, "outer": outer}


def standard_error(estimator: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Standard error of a score over the test rows, by the bootstrap."""
    rng = np.random.default_rng(0)
    draws = (rng.integers(len(y), size=len(y)) for _ in range(100))
    return float(np.std([estimator.score(X[rows], y[rows]) for rows in draws], ddof=1))


def change(rule: SelectionRule, found: dict[str, Any], strategies: list[str]) -> dict[str, float]:
    """What a rule makes of one data set."""
    changes, ratios, dense, errors = [], [], [], []
    for part in found["outer"]:
        rows = [i for i, name in enumerate(part["strategies"]) if name in strategies]
        scores = FoldScores(
            np.array(part["scores"])[rows],
            np.array(part["sparsities"])[rows],
            part["dense"],
            paths=np.array(part["strategies"])[rows],
        )
        chosen = rows[rule.place(scores)]
        changes.append(part["test"][chosen] - part["dense_test"])
        ratios.append(part["compression"][chosen])
        dense.append(part["dense_test"])
        errors.append(part["dense_error"])
    error = np.std(dense, ddof=1) / np.sqrt(len(dense)) if len(dense) > 1 else errors[0]
    return {
        "kept": float(np.mean(changes) >= -error),
        "change": 100 * float(np.mean(changes)),
        "compression": float(np.median(ratios)),
    }


def summary(results: list[dict[str, float]]) -> Row:
    return {
        "kept": float(np.mean([r["kept"] for r in results])),
        "mean change": float(np.mean([r["change"] for r in results])),
        "worst": min(r["change"] for r in results),
        "compression": float(np.median([r["compression"] for r in results])),
    }


def on_halves(by_rule: dict[str, list[dict[str, float]]]) -> list[Row]:
    """Choose a rule on one half of the data sets, and look at it on the other."""
    rng = np.random.default_rng(0)
    n = len(next(iter(by_rule.values())))
    rows = []
    for least in (1, 10):
        chosen: list[str] = []
        seen: list[dict[str, float]] = []
        for _ in range(100):
            order = rng.permutation(n)
            half, other = order[: n // 2], order[n // 2 :]

            def worth(name: str, half: np.ndarray = half, least: int = least) -> Any:
                row = summary([by_rule[name][i] for i in half])
                return row["compression"] >= least, row["kept"], row["mean change"]

            best = max(by_rule, key=worth)
            chosen.append(best)
            seen += [by_rule[best][i] for i in other]
        names, counts = np.unique(chosen, return_counts=True)
        most = int(np.argmax(counts))
        rows.append(
            {
                "compression at least": least,
                "most often": f"{names[most]} ({counts[most]} of 100)",
                **summary(seen),
            }
        )
    return rows


def strategies(found: list[dict[str, Any]]) -> list[Row]:
    rows = []
    for strategy in STRATEGIES:
        changes: dict[int, list[float]] = {}
        for part in (part for each in found for part in each["outer"]):
            mine = [i for i, name in enumerate(part["strategies"]) if name == strategy]
            for place, i in enumerate(mine):
                changes.setdefault(place, []).append(100 * (part["test"][i] - part["dense_test"]))
        means = {f"point {i + 1}": float(np.mean(values)) for i, values in changes.items()}
        rows.append({"strategy": strategy, **means})
    return rows


def cost(quick: bool) -> list[Row]:
    rows = []
    for n_features in [50] if quick else [50, 450]:
        X, y = make_classification(
            200 if quick else 1000, n_features, n_informative=10, n_classes=4, random_state=0
        )
        row: Row = {"weights": 100 * (n_features + 4)}
        for path in ("restart", "branch"):
            for strategy in STRATEGIES:
                began = process_time()
                pruning_path(PrunedClassifier(random_state=0), X, y, strategies=strategy, path=path)
                row[f"{strategy}, {path}"] = process_time() - began
        rows.append(row)
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--table", type=Path, metavar="PATH", help="keep what is found there")
    options.add_argument("--data", nargs="+", help="names of data sets (default: all)")
    options.add_argument("--structure", default="weight", help="default: %(default)s")
    options.add_argument("--rows", type=int, help="rows to learn from, at the most")
    options.add_argument("--outer", type=int, default=5, help="outer folds; 1 for a single split")
    options.add_argument("--cost", action="store_true", help="the time of paths, and nothing else")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    if arguments.cost:
        publish("Time of a path", cost(arguments.quick), arguments.json)
        return
    names = arguments.data or [*CLASSIFICATION, *REGRESSION, *KEEL]
    if arguments.quick:
        names, arguments.rows, arguments.outer = ["iris", "friedman1"], 60, 1
    table, found = arguments.table, []
    if table is not None and table.exists():
        found = [json.loads(line) for line in table.read_text().splitlines()]
    found = [each for each in found if each["structure"] == arguments.structure]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name in names:
            if name in {each["data"] for each in found}:
                continue
            found.append(collect(name, arguments.structure, arguments.rows, arguments.outer))
            print(name, flush=True)
            if table is not None:
                with table.open("a") as file:
                    file.write(json.dumps(found[-1]) + "\n")
    title = f"{len(found)} data sets, {arguments.structure}"
    publish(f"Strategies, {title}", strategies(found), arguments.json)
    for among in ([name] for name in STRATEGIES):
        by_rule = {n: [change(rule, each, among) for each in found] for n, rule in RULES.items()}
        rows = [{"rule": name, **summary(results)} for name, results in by_rule.items()]
        publish(f"Rules over {', '.join(among)}, {title}", rows, arguments.json)
        publish(
            f"Rules, chosen on one half of the data sets, over {', '.join(among)}, {title}",
            on_halves(by_rule),
            arguments.json,
        )


if __name__ == "__main__":
    main()
