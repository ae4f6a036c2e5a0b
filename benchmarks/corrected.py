"""Honest scores: does the interval of `best_score_corrected_` cover the truth?

On generated problems, classification and regression by turns, small networks are pruned and chosen
by cross-validation. The truth is the score of what was chosen and fitted on all the data, on 20,000
new rows. A column each for how often the 90 % interval covers it, for the mean error of
`best_score_corrected_`, and for that of `best_score_`.
"""

import warnings

import numpy as np
import torch
from common import Row, parser, publish
from sklearn.datasets import make_classification, make_regression

from skprune import PrunedClassifierCV, PrunedRegressorCV
from skprune.training.nets import default_classifier_net, default_regressor_net

N_NEW = 20_000
SPARSITIES = [0.3, 0.5, 0.7, 0.8, 0.9]


def problem(seed: int) -> tuple[bool, np.ndarray, np.ndarray, int]:
    """Rows of a random problem, those to learn from first."""
    rng = np.random.default_rng(seed)
    n_rows, n_features = int(rng.integers(100, 300)), int(rng.integers(6, 15))
    n_informative = int(rng.integers(3, n_features - 2))
    total, regression = n_rows + N_NEW, seed % 2 == 1
    if regression:
        X, y = make_regression(
            total, n_features, n_informative=n_informative, noise=rng.uniform(20, 150),
            random_state=seed,
        )  # fmt: skip
        return True, X, (y - y.mean()) / y.std(), n_rows
    X, y = make_classification(
        total, n_features, n_informative=n_informative, n_redundant=1,
        n_classes=int(rng.integers(2, 4)), n_clusters_per_class=1,
        class_sep=rng.uniform(0.3, 1.2), random_state=seed,
    )  # fmt: skip
    return False, X, y, n_rows


def judge(seed: int, selection: str) -> dict[str, float]:
    regression, X, y, n = problem(seed)
    net = default_regressor_net() if regression else default_classifier_net()
    net.set_params(max_epochs=30, batch_size=50, module__hidden_layer_sizes=(16,), lr=0.01)
    search = (PrunedRegressorCV if regression else PrunedClassifierCV)(
        net, sparsities=SPARSITIES, selection=selection, random_state=seed
    )
    search.fit(X[:n], y[:n])
    truth = search.score(X[n:], y[n:])
    lower, upper = search.best_score_interval_
    return {
        "regression": regression,
        "covered": lower <= truth <= upper,
        "below": truth < lower,
        "corrected": search.best_score_corrected_ - truth,
        "best": search.best_score_ - truth,
        "width": upper - lower,
    }


def row(name: str, found: list[dict[str, float]]) -> Row:
    return {
        "problems": name,
        "number": len(found),
        "covered": float(np.mean([f["covered"] for f in found])),
        "truth below": float(np.mean([f["below"] for f in found])),
        "mean error, corrected": float(np.mean([f["corrected"] for f in found])),
        "mean error, best_score_": float(np.mean([f["best"] for f in found])),
        "median width": float(np.median([f["width"] for f in found])),
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--problems", type=int, default=200, help="default: %(default)s")
    options.add_argument("--selection", default="best", help="default: %(default)s")
    arguments = options.parse_args()
    n_problems = 4 if arguments.quick else arguments.problems
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of problems where no network is good
        found = [judge(seed, arguments.selection) for seed in range(n_problems)]
    rows = [
        row("all", found),
        row("classification", [f for f in found if not f["regression"]]),
        row("regression", [f for f in found if f["regression"]]),
    ]
    publish(f"Corrected scores, selection={arguments.selection!r}", rows, arguments.json)


if __name__ == "__main__":
    main()
