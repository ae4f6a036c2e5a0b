"""What every named strategy makes of small networks, held against files of an earlier state.

A change that is to change nothing else leaves these as they are. One that is to change something
says so in the changelog and writes the files anew: ``python -m tests.golden.test_golden``.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import is_regressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.preprocessing import StandardScaler

from skprune import PrunedClassifier, PrunedRegressor
from skprune.estimators.base import BasePruned
from skprune.strategies import STRATEGIES
from tests.helpers import ESTIMATORS, STRUCTURES_OF_ANY, make_data, make_net
from tests.networks import NETWORKS

GOLDEN = Path(__file__).with_name("golden.npz")
NETWORK = "conv_batch_norm"
N_ROWS = 8

# What was removed cannot come back, or only into its own group.
CASES = [
    (kind, strategy, structure)
    for kind in ESTIMATORS
    for strategy in STRATEGIES
    for structure in STRUCTURES_OF_ANY
    if STRATEGIES[strategy]().regrowth is None or structure not in ("unit", "2:4")
]
DEFAULTS = {"classifier": PrunedClassifier, "regressor": PrunedRegressor}


def fitted(kind: str, strategy: str, structure: str) -> tuple[BasePruned, np.ndarray]:
    """An estimator in double precision, whose masks do not hang on the machine's rounding."""
    example = NETWORKS[NETWORK]
    X, y = make_data(kind, example)
    torch.manual_seed(0)
    net = make_net(kind, example.build().double(), max_epochs=2)
    sparsity = None if structure == "2:4" else 0.6
    estimator = ESTIMATORS[kind](
        net,
        strategy=strategy,
        structure=structure,
        sparsity=sparsity,
        fine_tune_epochs=4,
        random_state=0,
    )
    return estimator.fit(X, y), X


def fitted_default(kind: str) -> tuple[BasePruned, np.ndarray]:
    X, y = (load_diabetes if kind == "regressor" else load_wine)(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    estimator = DEFAULTS[kind](random_state=0).set_params(estimator__max_epochs=10)
    return estimator.fit(X, y), X


def record(estimator: BasePruned, X: np.ndarray) -> dict[str, np.ndarray]:
    """Masks as bits, and predictions, of a fitted estimator."""
    predict: Any = estimator.predict if is_regressor(estimator) else estimator.predict_proba
    masks = estimator.masks_.values()
    return {
        "masks": np.packbits(np.concatenate([mask.ravel() for mask in masks])),
        "predictions": predict(X[:N_ROWS]),
    }


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


def check(name: str, found: dict[str, np.ndarray], golden: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(found["masks"], golden[f"{name}/masks"])
    np.testing.assert_allclose(
        found["predictions"], golden[f"{name}/predictions"], rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(("kind", "strategy", "structure"), CASES)
def test_masks_and_predictions_are_those_of_the_golden_files(
    kind: str, strategy: str, structure: str, golden: dict[str, np.ndarray]
) -> None:
    check(f"{kind}/{strategy}/{structure}", record(*fitted(kind, strategy, structure)), golden)


@pytest.mark.parametrize("kind", DEFAULTS)
def test_default_networks_are_those_of_the_golden_files(
    kind: str, golden: dict[str, np.ndarray]
) -> None:
    check(f"default/{kind}", record(*fitted_default(kind)), golden)


def main() -> None:
    """Write the golden files anew."""
    arrays = {}
    for case in CASES:
        for key, value in record(*fitted(*case)).items():
            arrays[f"{'/'.join(case)}/{key}"] = value
    for kind in DEFAULTS:
        for key, value in record(*fitted_default(kind)).items():
            arrays[f"default/{kind}/{key}"] = value
    np.savez_compressed(GOLDEN, **arrays)


if __name__ == "__main__":
    main()
