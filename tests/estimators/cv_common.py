"""What the tests of paths and of cross-validated estimators share."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_regression
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    PrunedRegressor,
    PrunedRegressorCV,
)
from tests.estimators.common import (
    blobs,
    net_for,
)

PLAIN = {"classifier": PrunedClassifier, "regressor": PrunedRegressor}
CROSS_VALIDATED = {"classifier": PrunedClassifierCV, "regressor": PrunedRegressorCV}
SPARSITIES = [0.3, 0.6, 0.9]

every_kind = pytest.mark.parametrize("kind", PLAIN)


def data_for(kind: str) -> tuple[np.ndarray, np.ndarray]:
    if kind == "classifier":
        return blobs()
    X, y = make_regression(60, 5, n_informative=3, noise=5.0, random_state=0)
    return X.astype(np.float32), (y / y.std()).astype(np.float32)


def grid_of(kind: str, net: Any, **params: Any) -> GridSearchCV:
    strategies = params.pop("strategies", ["magnitude"])
    scoring = params.pop("scoring", None)
    return GridSearchCV(
        PLAIN[kind](net, random_state=0, **params),
        [{"strategy": [strategy], "sparsity": SPARSITIES} for strategy in strategies],
        cv=3,
        scoring=scoring,
        refit=False,
    )


def count_stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    from skprune.training.stage import StageTrainer

    stages: list[str] = []
    train = StageTrainer.train

    def counted(self: StageTrainer, stage: Any, **options: Any) -> None:
        stages.append(stage.purpose)
        train(self, stage, **options)

    monkeypatch.setattr(StageTrainer, "train", counted)
    return stages


def net_with_weights(kind: str, came: str) -> tuple[Any, np.ndarray, np.ndarray]:
    X, y = data_for(kind)
    X = X.astype(np.float32)
    n_outputs = 3 if kind == "classifier" else 1
    net = net_for(kind, module__n_features=X.shape[1], module__n_outputs=n_outputs)
    if came == "initialized":
        return net.initialize(), X, y
    net.fit(X, y if kind == "classifier" else y.reshape(-1, 1))
    return FrozenEstimator(net) if came == "frozen" else net, X, y
