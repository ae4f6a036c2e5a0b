"""``kept_`` says which elements stayed, as the masks, the removals and the sparsity do."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from skprune import PrunedClassifierCV, PrunedRegressor, Strategy, pruning_path
from skprune.strategies import Explicit
from skprune.structures import NM, Block
from tests.estimators.common import Perceptron, blobs, classifier_net, data_for, regressor_net
from tests.helpers import STRUCTURES_OF_ANY
from tests.training.common import pruned

X, Y = blobs()
LAYERS = ["hidden", "output"]


def fitted(structure: Any, **params: Any) -> Any:
    net = classifier_net(Perceptron, module__hidden=12, max_epochs=2)
    return pruned(net, structure=structure, **{"sparsity": 0.5, **params}).fit(X, Y)


def counted(estimator: Any) -> float:
    """The fraction of the elements that is gone, by what stayed."""
    kept = np.concatenate(list(estimator.kept_.values()))
    return 1 - kept.mean()


@pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
def test_it_agrees_with_the_sparsity(structure: str) -> None:
    estimator = fitted(structure, sparsity=None if structure == "2:4" else 0.5)
    for kept in estimator.kept_.values():
        assert kept.dtype == bool
        assert kept.ndim == 1
    assert counted(estimator) == pytest.approx(estimator.sparsity_, abs=1e-12)
    assert 0 < estimator.sparsity_ < 1


def test_weights_are_those_of_the_masks() -> None:
    estimator = fitted("weight")
    assert list(estimator.kept_) == LAYERS
    for layer, kept in estimator.kept_.items():
        np.testing.assert_array_equal(kept, estimator.masks_[f"{layer}.weight"].ravel())


def test_weights_of_groups_are_those_of_the_masks() -> None:
    estimator = fitted(NM(1, 2), sparsity=None)
    for layer, kept in estimator.kept_.items():
        np.testing.assert_array_equal(kept, estimator.masks_[f"{layer}.weight"].ravel())
    assert (estimator.kept_["hidden"].reshape(-1, 2).sum(1) == 1).all()


def test_units_are_those_that_were_not_removed() -> None:
    estimator = fitted("unit")
    assert list(estimator.kept_) == ["hidden"]
    kept = estimator.kept_["hidden"]
    assert kept.shape == (12,)
    np.testing.assert_array_equal(kept, estimator.masks_["hidden.weight"].all(axis=1))
    np.testing.assert_array_equal(kept, estimator.masks_["output.weight"].all(axis=0))
    assert kept.sum() == estimator.module_.hidden.out_features == 6
    fresh = estimator.removals_.replay(Perceptron(4, 3, hidden=12))
    assert fresh.hidden.out_features == kept.sum()


def test_features_are_those_that_are_read() -> None:
    estimator = fitted("feature")
    (kept,) = estimator.kept_.values()
    np.testing.assert_array_equal(kept, estimator.masks_["hidden.weight"].all(axis=0))
    np.testing.assert_array_equal(kept, estimator.feature_importances_ > 0)
    assert kept.sum() == 2


def test_blocks_are_those_that_are_not_zero() -> None:
    estimator = fitted(Block((3, 2)))
    blocks = estimator.masks_["hidden.weight"].reshape(4, 3, 2, 2).all(axis=(1, 3))
    np.testing.assert_array_equal(estimator.kept_["hidden"], blocks.ravel())


def test_layers_that_are_left_alone_are_not_there() -> None:
    assert list(fitted("weight", protect=["output"]).kept_) == ["hidden"]
    strategy = Strategy(allocation=Explicit({"output": 0.5}))
    net = classifier_net(max_epochs=1)
    named = pruned(net).set_params(strategy=strategy, sparsity=None, fine_tune_epochs=1)
    assert list(named.fit(X, Y).kept_) == ["output"]


def test_nothing_is_gone_at_sparsity_zero() -> None:
    assert all(kept.all() for kept in fitted("weight", sparsity=0.0).kept_.values())


@pytest.mark.parametrize("path", ["restart", "chained"])
def test_each_point_of_a_path_has_its_own(path: str) -> None:
    net = classifier_net(max_epochs=2)
    found = pruning_path(pruned(net), X, Y, sparsities=[0.25, 0.5, 0.75], path=path)
    for estimator in [found.dense, *found.estimators]:
        assert counted(estimator) == pytest.approx(estimator.sparsity_, abs=1e-12)
        for layer, kept in estimator.kept_.items():
            np.testing.assert_array_equal(kept, estimator.masks_[f"{layer}.weight"].ravel())
    first, second = found.estimators[:2]
    first.kept_["hidden"][:] = False
    assert second.kept_["hidden"].any()


def fits() -> list[BaseEstimator]:
    search = PrunedClassifierCV(classifier_net(max_epochs=1), sparsities=[0.5], cv=2)
    regressor = PrunedRegressor(regressor_net(max_epochs=1), sparsity=0.5)
    return [search.fit(X, Y), regressor.fit(*data_for("regressor"))]


def test_every_estimator_has_it_and_keeps_it() -> None:
    for estimator in fits():
        assert list(estimator.kept_) == LAYERS
        restored = pickle.loads(pickle.dumps(estimator))
        for layer, kept in estimator.kept_.items():
            np.testing.assert_array_equal(restored.kept_[layer], kept)
            np.testing.assert_array_equal(kept, estimator.masks_[f"{layer}.weight"].ravel())


def test_training_on_does_not_change_it() -> None:
    estimator = fitted("weight")
    before = {layer: kept.copy() for layer, kept in estimator.kept_.items()}
    estimator.partial_fit(X, Y)
    for layer, kept in estimator.kept_.items():
        np.testing.assert_array_equal(kept, before[layer])
