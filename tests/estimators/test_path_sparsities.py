"""Which sparsities a path has, and those that it cannot have."""

from typing import Any

import numpy as np
import pytest

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    Strategy,
    Target,
    UnreachableSparsityError,
    pruning_path,
)
from skprune.estimators.path import branches_of
from tests.estimators.common import (
    blobs,
    classifier_net,
)
from tests.estimators.cv_common import (
    count_stages,
)

SAME = Strategy()


# How many sparsities there are.


def test_a_number_of_sparsities_is_spread_by_density() -> None:
    X, y = blobs()
    plain = PrunedClassifier(classifier_net(module__hidden=64, max_epochs=0), fine_tune_epochs=0)
    path = pruning_path(plain, X, y, sparsities=5)
    densities = np.array([1 - estimator.sparsity for estimator in path.estimators])
    np.testing.assert_allclose(densities[[0, -1]], [0.5, 0.02], atol=1e-6)
    ratios = densities[1:] / densities[:-1]
    np.testing.assert_allclose(ratios, 0.04 ** (1 / 4), rtol=0.02)  # to two digits
    assert len(pruning_path(plain, X, y, sparsities=1).estimators) == 1


def test_a_number_of_sparsities_stays_within_what_can_be_reached() -> None:
    X, y = blobs()
    plain = PrunedClassifier(
        classifier_net(module__hidden=8, max_epochs=0), structure="unit", fine_tune_epochs=0
    )
    path = pruning_path(plain, X, y, sparsities=4)
    assert path.estimators[-1].sparsity == pytest.approx(1 - 1 / 8)
    assert path.estimators[-1].module_.hidden.out_features == 1


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("hidden", [2, 3, 64])
@pytest.mark.parametrize("n_sparsities", [1, 2, 8, 150, 500])
def test_a_number_stands_for_so_many_sparsities(
    structure: str, hidden: int, n_sparsities: int
) -> None:
    X, y = blobs()
    plain = PrunedClassifier(classifier_net(module__hidden=hidden), structure=structure)
    (branch,) = branches_of(plain, X, y, None, "magnitude", n_sparsities)
    assert len(set(branch.sparsities)) == n_sparsities
    assert branch.sparsities == sorted(branch.sparsities)
    largest = 1 - 1 / hidden if structure == "unit" else 1 - 2 / (hidden * (4 + 3))
    assert branch.sparsities[-1] == pytest.approx(min(0.98, largest), abs=0.005)  # two digits
    densities = 1 - np.array(branch.sparsities)
    if n_sparsities > 2:  # evenly by ratio, but for the rounding to a few digits
        ratios = densities[1:] / densities[:-1]
        np.testing.assert_allclose(ratios, np.median(ratios), atol=0.05)


def test_more_sparsities_than_there_are() -> None:
    X, y = blobs()
    plain = PrunedClassifier(classifier_net(), structure="feature")
    with pytest.raises(ValueError, match="no 8 sparsities between 0 and 0 that differ"):
        pruning_path(plain, X[:, :1], y)


def test_a_structure_that_fixes_the_sparsity_has_a_path_of_one() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(classifier_net(), structure="2:4", cv=2, random_state=0).fit(X, y)
    assert search.sparsities_.tolist() == [0.5]
    assert search.sparsity_ == 0.5


def test_the_estimator_of_a_path_stays_as_it_is() -> None:
    X, y = blobs()
    plain = PrunedClassifier(classifier_net(), random_state=0)
    before = repr(plain)
    pruning_path(plain, X, y, sparsities=[0.5])
    assert repr(plain) == before
    assert not hasattr(plain, "net_")
    assert not hasattr(plain, "n_features_in_")


BAD_SPARSITIES = {
    "above": ([0.5, 1.0], r"sparsities must be in \[0, 1\); number 1 is 1.0"),
    "below": ([-0.1], r"number 0 is -0.1"),
    "nan": ([float("nan")], "number 0 is nan"),
    "twice": ([0.5, 0.8, 0.5], "sparsities has 0.5 twice"),
    "none": ([], "a list of one or more"),
    "words": (["half"], "number 0 is 'half'"),
    "targets": ([Target(at_most=9, budget="macs")], "fractions of the budget, which is set on the"),
    "nested": ([[0.5]], "a list of one or more"),
    "yes": (True, "a number of them, or a list of one or more; got True"),
    "zero": (0, "must be 1 or more|must be an int in the range"),
}


@pytest.mark.parametrize(("sparsities", "message"), BAD_SPARSITIES.values(), ids=BAD_SPARSITIES)
def test_bad_sparsities(sparsities: Any, message: str) -> None:
    X, y = blobs()
    with pytest.raises(ValueError, match=message):
        pruning_path(PrunedClassifier(), X, y, sparsities=sparsities)
    with pytest.raises(ValueError, match=message):
        PrunedClassifierCV(sparsities=sparsities).fit(X, y)


def test_what_cannot_be_reached_is_found_before_any_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5, 0.9999], cv=3)
    with pytest.raises(UnreachableSparsityError, match="largest reachable sparsity"):
        search.fit(X, y)
    assert stages == []
    assert not hasattr(search, "n_features_in_")


@pytest.mark.parametrize(
    ("start", "path"), [("trained", "restart"), ("trained", "chained"), ("init", "chained")]
)
def test_what_has_no_training_to_regrow_in_is_found_before_any(
    start: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    strategy = Strategy(start=start, regrowth="set")
    plain = PrunedClassifier(classifier_net(), strategy=strategy, fine_tune_epochs=0)
    with pytest.raises(ValueError, match=r"regrowth=SET\(\) lets"):
        pruning_path(plain, X, y, sparsities=[0.5, 0.8], path=path)
    assert stages == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"path": "chain"}, "path"),
        ({"strategies": []}, "strategies is empty"),
        ({"strategies": ["magnitud"]}, "Did you mean 'magnitude'"),
        ({"strategies": ["random", "random"]}, "strategies has random twice"),
        ({"selection": "better"}, "selection"),
        ({"structure": "units"}, "Did you mean 'unit'"),
        ({"strategies": [SAME, SAME]}, r"strategies has Strategy\(\) twice"),
        ({"scoring": "acuracy"}, "scoring"),
    ],
)
def test_bad_parameters(params: dict[str, Any], message: str) -> None:
    X, y = blobs()
    with pytest.raises(ValueError, match=message):
        PrunedClassifierCV(classifier_net(), cv=3, **params).fit(X, y)
