"""Selecting features: recovery, accuracy and time beside LassoNet and a random forest.

Each selector is told how many features to select of the training rows. Recovery is the F1 score of
the selected features against those that the targets were made of, where these are known. Accuracy
is that of a fixed network (scikit-learn's, with one hidden layer of 100 units), trained on the
selected features alone and tested on other rows; of a regression it is R2. All selectors see the
same rows, standardized; LassoNet has its own defaults, and standardized targets.

Needs the extra `benchmarks`; the digits of MNIST are read from --mnist, a file with X_train and
y_train, and left out without it.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import NamedTuple

import numpy as np
import torch
from common import Row, parser, publish
from lassonet import LassoNetClassifier, LassoNetRegressor
from sklearn.datasets import load_breast_cancer, make_friedman1
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler, scale

from skprune import PrunedFeatureSelector

MNIST = Path(__file__).resolve().parents[1] / "../shared/data/mnist.npz"


class Problem(NamedTuple):
    """A data set, how many features to select of it, and which matter if that is known."""

    X: np.ndarray
    y: np.ndarray
    n_select: int
    relevant: list[int] | None
    regression: bool
    test_size: float | int = 0.5


def friedman1(seed: int) -> Problem:
    X, y = make_friedman1(1000, n_features=50, noise=1.0, random_state=seed)
    return Problem(X, y, 5, [0, 1, 2, 3, 4], True)


def xor(seed: int) -> Problem:
    """Two products of two features each, of which only the sum's sign is seen."""
    X = np.random.default_rng(seed).normal(size=(800, 30))
    y = (X[:, 0] * X[:, 1] + X[:, 2] * X[:, 3] > 0).astype(int)
    return Problem(X, y, 4, [0, 1, 2, 3], False)


def interactions(seed: int) -> Problem:
    """Products and a square, none of which is correlated with a feature."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(1000, 40))
    y = X[:, 0] * X[:, 1] + X[:, 2] * X[:, 3] + (X[:, 4] ** 2 - 1) / 2**0.5
    return Problem(X, y + 0.3 * rng.normal(size=1000), 5, [0, 1, 2, 3, 4], True)


def breast_cancer(seed: int) -> Problem:
    X, y = load_breast_cancer(return_X_y=True)
    return Problem(X, y, 5, None, False)


def mnist(seed: int, path: Path, n_rows: int) -> Problem:
    with np.load(path) as data:
        X, y = data["X_train"], data["y_train"]
    rows = np.random.default_rng(seed).choice(len(X), n_rows + 4000, replace=False)
    return Problem(X[rows] / 255.0, y[rows].astype(int), 50, None, False, 4000)


# What else the default strategy was chosen by, with other seeds.
def nested(seed: int) -> Problem:
    X = np.random.default_rng(seed).normal(size=(1200, 40))
    y = (np.sin(2 * X[:, 0]) * X[:, 1] + X[:, 2] * (X[:, 3] > 0) > 0).astype(int)
    return Problem(X, y, 4, [0, 1, 2, 3], False)


def few_rows(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 100))
    y = X[:, :6] @ np.array([2, -2, 1.5, 1, -1, 1]) + rng.normal(size=300)
    return Problem(X, y, 6, [*range(6)], True)


def pruned(problem: Problem, seed: int, **params) -> Callable:
    kind = "regressor" if problem.regression else "classifier"
    selector = PrunedFeatureSelector(
        kind, n_features_to_select=problem.n_select, random_state=seed
    ).set_params(**params)
    return lambda X, y: selector.fit(X.astype(np.float32), y).get_support(indices=True)


def lassonet(problem: Problem, seed: int) -> Callable:
    def select(X: np.ndarray, y: np.ndarray) -> np.ndarray:
        kind = LassoNetRegressor if problem.regression else LassoNetClassifier
        model = kind(verbose=0, random_state=seed, torch_seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, scale(y) if problem.regression else y)
        return np.argsort(-model.feature_importances_.numpy(), kind="stable")[: problem.n_select]

    return select


def forest(problem: Problem, seed: int) -> Callable:
    kind = RandomForestRegressor if problem.regression else RandomForestClassifier
    model = kind(random_state=seed)
    return lambda X, y: np.argsort(-model.fit(X, y).feature_importances_)[: problem.n_select]


SELECTORS: dict[str, Callable] = {
    "skprune": pruned,
    "LassoNet": lassonet,
    "random forest": forest,
}


def judge(problem: Problem, seed: int, selectors: dict[str, Callable]) -> dict[str, Row]:
    """Let each selector select on the same rows, in another order for each seed."""
    X, X_test, y, y_test = train_test_split(
        problem.X,
        problem.y,
        test_size=problem.test_size,
        random_state=seed,
        stratify=None if problem.regression else problem.y,
    )
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    names = list(selectors)
    found = {}
    for name in names[seed % len(names) :] + names[: seed % len(names)]:
        select = selectors[name](problem, seed)
        began = process_time()
        chosen = select(X, y)
        row: Row = {"seconds": process_time() - began}
        if problem.relevant is not None:
            truth, guess = (np.isin(np.arange(X.shape[1]), f) for f in (problem.relevant, chosen))
            row["F1"] = float(f1_score(truth, guess))
        fixed = (MLPRegressor if problem.regression else MLPClassifier)(
            early_stopping=True,
            n_iter_no_change=30,
            max_iter=500,
            learning_rate_init=3e-3,
            random_state=seed,
        )
        spread = y.std() if problem.regression else 1
        fixed.fit(X[:, chosen], y / spread)
        row["accuracy"] = float(fixed.score(X_test[:, chosen], y_test / spread))
        found[name] = row
    return found


def table(of_seeds: list[dict[str, Row]], name: str) -> list[Row]:
    rows = []
    for selector in of_seeds[0]:
        found = [one[selector] for one in of_seeds]
        row: Row = {"data": name, "selector": selector}
        if "F1" in found[0]:
            row["F1"] = mean(f["F1"] for f in found)
        row["accuracy"] = mean(f["accuracy"] for f in found)
        if len(found) > 1:
            row["std"] = float(np.std([f["accuracy"] for f in found], ddof=1))
        row["seconds"] = median(f["seconds"] for f in found)
        if "LassoNet" in of_seeds[0]:
            ratios = [one[selector]["seconds"] / one["LassoNet"]["seconds"] for one in of_seeds]
            row["time / LassoNet's"] = median(ratios)
        rows.append(row)
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options.add_argument("--problems", nargs="+", metavar="NAME", help="only these")
    options.add_argument("--mnist", type=Path, default=MNIST)
    options.add_argument("--mnist-rows", type=int, default=2000)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    problems: dict[str, Callable[[int], Problem]] = {
        "friedman1": friedman1,
        "xor": xor,
        "interactions": interactions,
        "breast_cancer": breast_cancer,
    }
    if arguments.mnist.exists():
        n_rows = 200 if arguments.quick else arguments.mnist_rows
        problems["mnist"] = lambda seed: mnist(seed, arguments.mnist, n_rows)
    seeds = arguments.seeds[:1] if arguments.quick else arguments.seeds
    rows: list[Row] = []
    for name in arguments.problems or problems:
        of_seeds = [judge(problems[name](seed), seed, SELECTORS) for seed in seeds]
        rows += table(of_seeds, name)
        publish(f"Selecting features: {name}", rows[-len(SELECTORS) :], arguments.json)


if __name__ == "__main__":
    main()
