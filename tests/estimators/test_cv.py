"""Estimators that choose on paths by cross-validation, and hold what they chose."""

import pickle
from copy import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedKFold,
)
from sklearn.utils import get_tags

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    PrunedRegressorCV,
    Strategy,
    pruning_path,
)
from skprune.metrics import macs_scorer
from skprune.strategies import FineTune
from tests.estimators.common import (
    binary_net,
    blobs,
    classifier_net,
    labels_net,
    net_for,
)
from tests.estimators.cv_common import (
    CROSS_VALIDATED,
    PLAIN,
    SPARSITIES,
    count_stages,
    data_for,
    every_kind,
    grid_of,
    net_with_weights,
)
from tests.helpers import same_state, snapshot

# The cross-validated estimators.


@every_kind
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_scores_are_those_of_a_grid_search_bit_for_bit(kind: str, structure: str) -> None:
    X, y = data_for(kind)
    strategies = ["magnitude", "random"]
    net = net_for(kind)
    grid = grid_of(kind, net, strategies=strategies, structure=structure).fit(X, y)
    search = CROSS_VALIDATED[kind](
        net,
        strategies=strategies,
        sparsities=SPARSITIES,
        structure=structure,
        cv=3,
        random_state=0,
    ).fit(X, y)
    of_the_dense_network = {f"split{i}_dense_score" for i in range(3)}
    assert search.cv_results_.keys() == (
        grid.cv_results_.keys() | of_the_dense_network | {"test_ratio"}
    )
    for i in range(3):
        np.testing.assert_array_equal(
            search.cv_results_[f"split{i}_dense_score"], search.dense_scores_["score"][i]
        )
    for key, values in grid.cv_results_.items():
        if "time" not in key and key != "params":
            np.testing.assert_array_equal(search.cv_results_[key], values, err_msg=key)
    assert search.cv_results_["params"] == grid.cv_results_["params"]
    assert search.score_path_.shape == (6, 3)
    np.testing.assert_array_equal(
        search.score_path_.mean(axis=1), search.cv_results_["mean_test_score"]
    )


def test_several_metrics_are_those_of_a_grid_search() -> None:
    X, y = blobs()
    scoring = {"loss": "neg_log_loss", "accuracy": "accuracy", "macs": macs_scorer}
    grid = grid_of("classifier", classifier_net(), scoring=scoring).fit(X, y)
    search = PrunedClassifierCV(
        classifier_net(), sparsities=SPARSITIES, cv=3, scoring=scoring, random_state=0
    ).fit(X, y)
    for metric in scoring:
        for key in (f"split1_test_{metric}", f"mean_test_{metric}", f"rank_test_{metric}"):
            np.testing.assert_array_equal(search.cv_results_[key], grid.cv_results_[key])
    np.testing.assert_array_equal(
        search.score_path_.mean(axis=1), search.cv_results_["mean_test_loss"]
    )
    assert search.dense_scores_.keys() == scoring.keys()
    assert search.dense_scores_["loss"].shape == (3,)
    assert search.best_score_ == search.cv_results_["mean_test_loss"][search.best_index_]


def test_the_results_make_a_data_frame() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(classifier_net(), sparsities=SPARSITIES, cv=3).fit(X, y)
    frame = pd.DataFrame(search.cv_results_)
    assert frame["param_sparsity"].tolist() == SPARSITIES
    assert frame["param_strategy"].tolist() == ["magnitude"] * 3


@every_kind
@pytest.mark.parametrize("path", ["restart", "chained"])
def test_what_is_chosen_is_fitted_on_all_the_data(kind: str, path: str) -> None:
    X, y = data_for(kind)
    params = {"fine_tune_epochs": 3, "random_state": 0}
    search = CROSS_VALIDATED[kind](
        net_for(kind), sparsities=SPARSITIES, path=path, selection=lambda _: 1, cv=3, **params
    ).fit(X, y)
    plain = PLAIN[kind](net_for(kind), **params)
    wanted = SPARSITIES[:2] if path == "chained" else SPARSITIES[1:2]
    expected = pruning_path(plain, X, y, sparsities=wanted, path=path).estimators[-1]
    assert search.best_index_ == 1
    assert search.best_params_ == {"strategy": "magnitude", "sparsity": 0.6}
    assert search.strategy_ == "magnitude"
    assert search.sparsities_.tolist() == SPARSITIES
    assert same_state(snapshot(search.module_), snapshot(expected.module_))
    np.testing.assert_array_equal(search.predict(X), expected.predict(X))
    fitted = {name for name in vars(expected) if name.endswith("_")} | {"masks_", "report_"}
    assert all(hasattr(search, name) for name in fitted)
    assert search.sparsity_ == expected.sparsity_
    if kind == "classifier":
        np.testing.assert_array_equal(search.predict_proba(X), expected.predict_proba(X))


def test_a_fold_that_trains_without_a_class() -> None:
    X, y = blobs()
    order = np.argsort(y)
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=KFold(3))
    with pytest.raises(ValueError, match=r"Fold 0 trains without class 0, which has 20 rows\."):
        search.fit(X[order], y[order])
    assert not hasattr(search, "net_")
    search.set_params(cv=StratifiedKFold(3)).fit(X[order], y[order])
    labels = np.where(np.arange(len(y)) < 1, "rare", "common")
    with pytest.raises(ValueError, match=r"Fold 0 .* class 'rare', which has 1 row\."):
        search.set_params(cv=KFold(3)).fit(X, labels)


def test_a_search_speaks_of_itself() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=2)
    with pytest.raises(ValueError, match=r"PrunedClassifierCV needs samples of at least 2 classes"):
        search.fit(X, np.zeros_like(y))
    with pytest.raises(ValueError, match=r"estimator of PrunedRegressorCV must be a skorch"):
        PrunedRegressorCV(classifier_net()).fit(X, y)


def test_folds_given_as_masks() -> None:
    X, y = blobs()
    odd = np.arange(len(y)) % 2 == 1
    masks = [(odd, ~odd), ((~odd).tolist(), odd.tolist())]
    numbers = [(np.flatnonzero(train), np.flatnonzero(test)) for train, test in masks[:1]]
    numbers.append(numbers[0][::-1])
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], random_state=0)
    by_mask = clone(search).set_params(cv=masks).fit(X, y)
    by_number = clone(search).set_params(cv=numbers).fit(X, y)
    np.testing.assert_array_equal(by_mask.score_path_, by_number.score_path_)
    for key, values in by_number.stability_["magnitude"].items():
        np.testing.assert_array_equal(by_mask.stability_["magnitude"][key], values)


def test_folds_in_parallel_give_the_bits_of_serial_ones() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(classifier_net(), sparsities=SPARSITIES, cv=3, random_state=0)
    serial = clone(search).fit(X, y)
    parallel = clone(search).set_params(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(serial.score_path_, parallel.score_path_)
    assert same_state(snapshot(serial.module_), snapshot(parallel.module_))
    for name, values in serial.stability_["magnitude"].items():
        np.testing.assert_array_equal(values, parallel.stability_["magnitude"][name])


def test_the_global_generators_stay_untouched() -> None:
    X, y = blobs()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=2, random_state=0).fit(X, y)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_gives_all_folds_one_seed() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=3)
    fits = [
        clone(search).set_params(random_state=np.random.RandomState(0)).fit(X, y) for _ in range(2)
    ]
    np.testing.assert_array_equal(fits[0].score_path_, fits[1].score_path_)
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    same = clone(search).set_params(random_state=seed).fit(X, y)
    np.testing.assert_array_equal(fits[0].score_path_, same.score_path_)


def test_memory_serves_a_search_and_its_refit(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(), sparsities=SPARSITIES, cv=3, random_state=0, memory=str(tmp_path)
    )
    without = clone(search).set_params(memory=None).fit(X, y)
    stages = count_stages(monkeypatch)
    cold, cold_stages = clone(search).fit(X, y), list(stages)
    stages.clear()
    warm = clone(search).fit(X, y)
    assert cold_stages.count("training the dense network") == 4
    assert stages.count("training the dense network") == 0
    for fitted in (cold, warm):
        np.testing.assert_array_equal(fitted.score_path_, without.score_path_)
        assert same_state(snapshot(fitted.module_), snapshot(without.module_))


def test_groups_and_weights() -> None:
    X, y = blobs()
    groups = np.repeat(np.arange(12), 5)
    weights = np.linspace(0.1, 1.0, len(y))
    search = PrunedClassifierCV(
        classifier_net(), sparsities=[0.5], cv=GroupKFold(3), random_state=0
    ).fit(X, y, sample_weight=weights, groups=groups)
    plain = PrunedClassifier(classifier_net(), sparsity=0.5, random_state=0)
    for number, (train, test) in enumerate(GroupKFold(3).split(X, y, groups)):
        alone = clone(plain).fit(X[train], y[train], sample_weight=weights[train])
        assert search.score_path_[0, number] == alone.score(
            X[test], y[test], sample_weight=weights[test]
        )
    with pytest.raises(ValueError, match="groups"):
        clone(search).fit(X, y)


# As an estimator.


@every_kind
def test_a_fitted_search_survives(kind: str) -> None:
    X, y = data_for(kind)
    search = CROSS_VALIDATED[kind](net_for(kind), sparsities=[0.5], cv=2, random_state=0).fit(X, y)
    loaded = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(loaded.predict(X), search.predict(X))
    np.testing.assert_array_equal(loaded.score_path_, search.score_path_)
    assert clone(search).get_params().keys() == search.get_params().keys()
    assert not hasattr(clone(search), "net_")


@every_kind
def test_a_search_is_not_trained_on(kind: str) -> None:
    search = CROSS_VALIDATED[kind]()
    assert not hasattr(search, "partial_fit")
    with pytest.raises(NotFittedError, match=f"This {type(search).__name__} instance is not"):
        search.predict(data_for(kind)[0])


@every_kind
def test_a_search_holds_a_plain_estimator(kind: str) -> None:
    X, y = data_for(kind)
    assert not issubclass(CROSS_VALIDATED[kind], PLAIN[kind])
    search = CROSS_VALIDATED[kind](net_for(kind), sparsities=SPARSITIES, cv=2, random_state=0).fit(
        X, y
    )
    plain = search.best_estimator_
    assert type(plain) is PLAIN[kind]
    assert plain.sparsity == search.best_params_["sparsity"]
    # It is what a fit of its own gives, and no parameter of it is one of the search.
    assert same_state(snapshot(clone(plain).fit(X, y).module_), snapshot(plain.module_))
    assert plain.estimator is not search.estimator
    # Training goes on with it, and the search shows what it has become.
    before = snapshot(search.module_)
    plain.partial_fit(X, y)
    assert not same_state(before, snapshot(search.module_))
    np.testing.assert_array_equal(search.predict(X), plain.predict(X))
    assert search.score(X, y) == plain.score(X, y)


OF_THE_NETWORK = [
    "net_",
    "module_",
    "masks_",
    "sparsity_",
    "report_",
    "removals_",
    "history_",
    "n_features_in_",
    "feature_names_in_",
]


@every_kind
@pytest.mark.parametrize("copied", [lambda s: s, lambda s: pickle.loads(pickle.dumps(s)), copy])
def test_what_concerns_the_network_is_that_of_the_plain_estimator(kind: str, copied: Any) -> None:
    X, y = data_for(kind)
    search = CROSS_VALIDATED[kind](
        net_for(kind), sparsities=[0.5], structure="feature", cv=2, random_state=0
    )
    names = [*OF_THE_NETWORK, "feature_importances_"]
    names += ["classes_"] if kind == "classifier" else []
    for name in names:
        with pytest.raises(AttributeError, match=f"CV' has no '{name}' before it is fitted"):
            getattr(search, name)
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    search = copied(search.fit(frame, y))
    for name in names:
        own, of_plain = getattr(search, name), getattr(search.best_estimator_, name)
        if name == "feature_importances_":  # computed each time
            np.testing.assert_array_equal(own, of_plain)
        else:
            assert own is of_plain or own == of_plain, name
    assert hasattr(search, "classes_") == (kind == "classifier")
    assert not set(names) & vars(search).keys()
    with pytest.raises(AttributeError, match=r"CV' has no 'feature_importances_': it is for"):
        clone(search).set_params(structure="weight").fit(X, y).feature_importances_  # noqa: B018


@every_kind
def test_what_is_wrong_with_inputs_is_told_in_the_name_of_the_search(kind: str) -> None:
    X, y = data_for(kind)
    search = CROSS_VALIDATED[kind](net_for(kind), sparsities=[0.5], cv=2, random_state=0)
    name = type(search).__name__
    with pytest.raises(ValueError, match=rf"X contains NaN.\n{name} does not accept"):
        search.fit(X * np.nan, y)
    search.fit(pd.DataFrame(X), y)
    methods = [search.predict]
    methods += [search.predict_proba, search.predict_log_proba] if kind == "classifier" else []
    for predict in methods:
        with pytest.raises(ValueError, match=f"X has 2 features, but {name} is expecting"):
            predict(X[:, :2])
        with pytest.raises(ValueError, match=rf"X contains NaN.\n{name} does not accept"):
            predict(X * np.nan)
    assert type(search.best_estimator_) is PLAIN[kind]


@every_kind
def test_a_search_of_a_fitted_net_survives(kind: str) -> None:
    net, X, y = net_with_weights(kind, "trained")
    search = CROSS_VALIDATED[kind](net, sparsities=[0.5], cv=2, random_state=0).fit(X, y)
    loaded = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(loaded.predict(X), search.predict(X))
    assert same_state(snapshot(loaded.estimator.module_), snapshot(net.module_))
    assert repr(loaded) == repr(search)


@every_kind
def test_a_search_can_do_what_the_estimator_can_that_it_fits(kind: str) -> None:
    nets = [None, net_for(kind)]
    nets += [binary_net(), labels_net()] if kind == "classifier" else []
    for net in nets:
        own, of_plain = get_tags(CROSS_VALIDATED[kind](net)), get_tags(PLAIN[kind](net))
        assert own == of_plain
        assert own.estimator_type == kind


def test_parameters_of_the_net_and_of_strategies_can_be_searched() -> None:
    search = PrunedClassifierCV().set_params(estimator__lr=0.5)
    assert search.estimator.lr == 0.5
    tuned = PrunedClassifierCV(strategies=[Strategy(recovery=FineTune(lr=0.1)), "random"])
    X, y = blobs()
    tuned.set_params(estimator=classifier_net(), sparsities=[0.5], cv=2, random_state=0).fit(X, y)
    assert list(tuned.stability_) == ["Strategy(recovery=FineTune(lr=0.1))", "random"]


@every_kind
def test_a_failed_fit_leaves_no_trace(kind: str) -> None:
    X, y = data_for(kind)
    search = CROSS_VALIDATED[kind](net_for(kind), sparsities=[0.5], cv=2, random_state=0).fit(X, y)
    before = dict(vars(search))
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        search.fit(bad, y)
    assert vars(search).keys() == before.keys()
    assert all(vars(search)[name] is before[name] for name in before)


@pytest.mark.slow
def test_one_standard_error_prunes_digits_and_keeps_the_score() -> None:
    X, y = load_digits(return_X_y=True)
    search = PrunedClassifierCV(random_state=0, cv=3).fit(X / 16, y)
    dense = search.dense_scores_["score"]
    assert search.sparsity_ >= 0.8
    assert search.best_score_ >= dense.mean() - 2 * dense.std(ddof=1) / np.sqrt(3)
