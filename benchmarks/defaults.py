"""Accuracy: the default estimators, dense and pruned, against scikit-learn's own networks.

5-fold cross-validation on scaled data, the means over seeds and folds: accuracy, or R2 for
diabetes. `MLPClassifier` and `MLPRegressor` have the same hidden layer of 100 units. The second
table compares allocations and schedules at 90 % of the weights, where choices begin to matter.
"""

import warnings

import numpy as np
import torch
from common import Row, parser, publish
from sklearn.base import BaseEstimator, is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import PrunedClassifier, PrunedRegressor, Strategy

DATA = {
    "digits": load_digits,
    "breast_cancer": load_breast_cancer,
    "wine": load_wine,
    "diabetes": load_diabetes,
}
FOLDS = KFold(5, shuffle=True, random_state=0)
STRATEGIES = {
    "one shot, ERK": Strategy(),
    "one shot, uniform": Strategy(allocation="uniform"),
    "one shot, global": Strategy(allocation="global"),
    "one shot, LAMP global": Strategy(importance="lamp", allocation="global"),
    "one shot, random ERK": Strategy(importance="random"),
    "cubic, ERK": Strategy(schedule="cubic"),
}


def score(estimator: BaseEstimator, name: str, seeds: int) -> float:
    X, y = DATA[name](return_X_y=True)
    model = make_pipeline(StandardScaler(), estimator)
    key = f"{estimator.__class__.__name__.lower()}__random_state"
    return float(
        np.mean(
            [cross_val_score(model.set_params(**{key: s}), X, y, cv=FOLDS) for s in range(seeds)]
        )
    )


def against_scikit_learn(seeds: int, names: list[str]) -> list[Row]:
    rows = []
    for name in names:
        pruned = PrunedRegressor if name == "diabetes" else PrunedClassifier
        theirs = MLPRegressor() if name == "diabetes" else MLPClassifier()
        models = {
            "scikit-learn": theirs,
            "dense": pruned(sparsity=0.0, fine_tune_epochs=0),
            "weights 0.8": pruned(),
            "weights 0.9": pruned(sparsity=0.9),
            "units 0.8": pruned(structure="unit"),
            "units 0.9": pruned(structure="unit", sparsity=0.9),
        }
        assert is_classifier(theirs) == is_classifier(models["dense"])
        rows.append({"data": name, **{k: score(m, name, seeds) for k, m in models.items()}})
    return rows


def strategies(seeds: int, names: list[str]) -> list[Row]:
    rows = []
    for label, strategy in STRATEGIES.items():
        row: Row = {"90 % of the weights": label}
        for name in names:
            pruned = PrunedRegressor if name == "diabetes" else PrunedClassifier
            row[name] = score(pruned(strategy=strategy, sparsity=0.9), name, seeds)
        rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=3, help="default: %(default)s")
    args = options.parse_args(arguments)
    names = list(DATA)
    if args.quick:
        args.seeds, names = 1, ["wine"]
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        publish("Default estimators", against_scikit_learn(args.seeds, names), args.json)
        publish("Strategies", strategies(args.seeds, names), args.json)


if __name__ == "__main__":
    main()
