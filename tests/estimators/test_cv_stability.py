"""What the folds of a cross-validation tell of the stability of pruning."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    ShuffleSplit,
    StratifiedKFold,
)

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    PrunedRegressorCV,
    Strategy,
    pruning_path,
)
from skprune.model_selection import mask_stability, prediction_churn
from skprune.network import MLP
from skprune.strategies import Distill
from tests.estimators.common import (
    blobs,
    classifier_net,
    regressor_net,
)
from tests.estimators.cv_common import (
    SPARSITIES,
    data_for,
)
from tests.helpers import same_state, snapshot

# Stability.


def test_the_stability_is_that_of_the_folds() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(max_epochs=2), sparsities=SPARSITIES, cv=3, random_state=0
    ).fit(X, y)
    found = search.stability_["magnitude"]
    splits = list(StratifiedKFold(3).split(X, y))
    plain = PrunedClassifier(classifier_net(max_epochs=2), random_state=0)
    paths = [pruning_path(plain, X[train], y[train], sparsities=SPARSITIES) for train, _ in splits]
    for number in range(3):
        fitted = [path.estimators[number] for path in paths]
        expected = mask_stability([e.masks_ for e in fitted])
        assert found["mask"][number] == pytest.approx(expected.stability)
        assert found["mask_lower"][number] == pytest.approx(expected.lower)
        assert found["mask_upper"][number] == pytest.approx(expected.upper)
        changed = [
            (path.dense.predict(X[test]) != e.predict(X[test]))
            for path, e, (_, test) in zip(paths, fitted, splits, strict=True)
        ]
        assert found["churn"][number] == pytest.approx(np.concatenate(changed).mean())
        everywhere = [e.predict(X) for e in fitted]
        between = [
            prediction_churn(everywhere[i], everywhere[j]) for i, j in ((0, 1), (0, 2), (1, 2))
        ]
        assert found["churn_between_folds"][number] == pytest.approx(np.mean(between))
        for label in range(3):
            before = after = rows = 0
            for path, e, (_, test) in zip(paths, fitted, splits, strict=True):
                mine = test[y[test] == label]
                before += (path.dense.predict(X[mine]) == label).sum()
                after += (e.predict(X[mine]) == label).sum()
                rows += len(mine)
            change = (after - before) / rows
            assert found["recall_change"][number, label] == pytest.approx(change)


def test_there_is_no_stability_of_one_fold_or_of_whole_networks() -> None:
    X, y = blobs()
    one = PrunedClassifierCV(
        classifier_net(), sparsities=[0.5], cv=ShuffleSplit(1, random_state=0), random_state=0
    ).fit(X, y)
    assert np.isnan(one.stability_["magnitude"]["mask"]).all()
    assert np.isnan(one.stability_["magnitude"]["churn_between_folds"]).all()
    whole = PrunedClassifierCV(classifier_net(), sparsities=[0.0, 0.5], cv=2, random_state=0).fit(
        X, y
    )
    assert np.isnan(whole.stability_["magnitude"]["mask"]).tolist() == [True, False]


def test_a_regressor_has_the_stability_of_its_masks() -> None:
    X, y = data_for("regressor")
    search = PrunedRegressorCV(regressor_net(), sparsities=SPARSITIES, cv=3).fit(X, y)
    assert search.stability_["magnitude"].keys() == {"sparsity", "mask", "mask_lower", "mask_upper"}


def test_strategies_with_sparsities_of_their_own() -> None:
    X, y = blobs()
    net = classifier_net(MLP, module__hidden_layer_sizes=(20, 3), max_epochs=1)
    some = Strategy(allocation={"hidden0": None})  # leaves three units to choose from
    search = PrunedClassifierCV(
        net, strategies=["magnitude", some], sparsities=3, structure="unit", cv=2, random_state=0
    ).fit(X, y)
    one, other = search.stability_.values()
    assert one["sparsity"].tolist() != other["sparsity"].tolist()
    results = search.cv_results_
    assert [*one["sparsity"], *other["sparsity"]] == results["param_sparsity"].tolist()
    assert search.sparsities_.tolist() == sorted({*one["sparsity"], *other["sparsity"]})
    for found in (one, other):
        assert {len(values) for values in found.values()} == {3}


def test_strategies_that_look_the_same() -> None:
    X, y = blobs()
    teachers = [LogisticRegression().fit(X, labels) for labels in (y, (y + 1) % 3)]
    good, bad = (Strategy(recovery=Distill(teacher, alpha=1.0)) for teacher in teachers)
    assert repr(good) == repr(bad)
    params = {"sparsities": SPARSITIES, "fine_tune_epochs": 10, "cv": 3, "random_state": 0}
    for strategies in ([bad, good], [good, bad]):
        search = PrunedClassifierCV(
            classifier_net(), strategies=strategies, selection="best", **params
        ).fit(X, y)
        assert search.strategy_ is good
        assert list(search.stability_) == [f"{good!r}", f"{good!r} (2)"]
        # What is fitted learns from the teacher that was chosen.
        alone = PrunedClassifier(
            classifier_net(),
            strategy=good,
            sparsity=search.best_params_["sparsity"],
            fine_tune_epochs=10,
            random_state=0,
        ).fit(X, y)
        assert same_state(snapshot(search.module_), snapshot(alone.module_))
