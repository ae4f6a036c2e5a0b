"""Choosing by one standard error: what it keeps of the score, and what it removes.

On each data set the default estimator is judged by 5 outer folds: the dense network, and
`PrunedClassifierCV` or `PrunedRegressorCV` with its defaults, which chooses on the training part
alone. The score (accuracy, or R2) is kept if its mean is at most one standard error of the dense
network's below the dense network's. With --openml, more data sets come from openml.org.
"""

import numpy as np
from common import Row, parser, publish
from sklearn import datasets
from sklearn.base import is_classifier
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import PrunedClassifier, PrunedClassifierCV, PrunedRegressor, PrunedRegressorCV
from skprune.metrics import compression_scorer, sparsity_scorer

Data = tuple[np.ndarray, np.ndarray]

CLASSIFICATION = {
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "breast_cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "moons": lambda: datasets.make_moons(1000, noise=0.3, random_state=0),
    "circles": lambda: datasets.make_circles(1000, noise=0.1, factor=0.6, random_state=0),
    "informative": lambda: datasets.make_classification(
        1000, 20, n_informative=8, n_classes=4, random_state=0
    ),
    "hastie": lambda: datasets.make_hastie_10_2(2000, random_state=0),
    "quantiles": lambda: datasets.make_gaussian_quantiles(
        n_samples=1000, n_features=5, n_classes=3, random_state=0
    ),
}
REGRESSION = {
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "friedman1": lambda: datasets.make_friedman1(1000, noise=1.0, random_state=0),
    "friedman2": lambda: datasets.make_friedman2(1000, noise=100.0, random_state=0),
}
OPENML = ["blood-transfusion-service-center", "phoneme", "vehicle", "steel-plates-fault"]


def score(name: str, X: np.ndarray, y: np.ndarray, n_jobs: int, quick: bool) -> Row:
    if name in REGRESSION:
        dense = PrunedRegressor(sparsity=0.0, fine_tune_epochs=0, random_state=0)
        search = PrunedRegressorCV(random_state=0)
        outer = KFold(5, shuffle=True, random_state=0)
    else:
        dense = PrunedClassifier(sparsity=0.0, fine_tune_epochs=0, random_state=0)
        search = PrunedClassifierCV(random_state=0)
        outer = StratifiedKFold(5, shuffle=True, random_state=0)
    if quick:
        dense.set_params(estimator__max_epochs=2)
        search.set_params(estimator__max_epochs=2, sparsities=2, cv=2)
    scoring = {"sparsity": sparsity_scorer, "compression": compression_scorer}
    scoring["score"] = "accuracy" if is_classifier(dense) else "r2"
    results = {
        which: cross_validate(
            make_pipeline(StandardScaler(), estimator),
            X,
            y,
            cv=outer,
            scoring=scoring,
            n_jobs=n_jobs,
        )
        for which, estimator in {"dense": dense, "chosen": search}.items()
    }
    before, after = (results[which]["test_score"] for which in ("dense", "chosen"))
    error = before.std(ddof=1) / np.sqrt(len(before))
    return {
        "data": name,
        "rows": len(X),
        "dense": float(before.mean()),
        "standard error": float(error),
        "chosen": float(after.mean()),
        "kept": bool(after.mean() >= before.mean() - error),
        "sparsity": float(np.median(results["chosen"]["test_sparsity"])),
        "compression": float(np.median(results["chosen"]["test_compression"])),
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--openml", action="store_true", help="fetch more data sets")
    options.add_argument("--n-jobs", type=int, default=2, help="outer folds at a time")
    arguments = options.parse_args()
    rows = [
        score(name, *load(), arguments.n_jobs, arguments.quick)
        for name, load in {**CLASSIFICATION, **REGRESSION}.items()
    ]
    if arguments.openml:
        for name in OPENML:
            X, y = datasets.fetch_openml(name, version=1, as_frame=False, return_X_y=True)
            rows.append(score(name, X, y, arguments.n_jobs, arguments.quick))
    publish("One standard error", rows, arguments.json)
    kept = sum(row["kept"] for row in rows)
    compression = np.median([row["compression"] for row in rows])
    print(f"\nkept on {kept} of {len(rows)}; median compression {compression:.1f}")


if __name__ == "__main__":
    main()
