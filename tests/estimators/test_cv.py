"""Paths of sparsities, and estimators that choose on them by cross-validation."""

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits, make_regression
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import check_scoring, make_scorer, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    PrunedRegressor,
    PrunedRegressorCV,
    Strategy,
    UnreachableSparsityError,
    pruning_path,
)
from skprune.estimators.path import branches_of
from skprune.metrics import macs_scorer, sparsity_scorer
from skprune.model_selection import mask_stability, prediction_churn, sparsest_within
from skprune.network import MLP
from skprune.strategies import Distill, FineTune
from tests.estimators.common import Perceptron, blobs, classifier_net, net_for, regressor_net
from tests.helpers import same_state, snapshot

PLAIN = {"classifier": PrunedClassifier, "regressor": PrunedRegressor}
CROSS_VALIDATED = {"classifier": PrunedClassifierCV, "regressor": PrunedRegressorCV}
SPARSITIES = [0.3, 0.6, 0.9]
SAME = Strategy()

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


# The path.


@every_kind
@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("strategy", ["magnitude", "gradual_magnitude", "random_at_init"])
def test_a_restarted_path_has_the_estimators_that_fits_give(
    kind: str, structure: str, strategy: str
) -> None:
    X, y = data_for(kind)
    plain = PLAIN[kind](
        net_for(kind, batch_size=13), structure=structure, strategy=strategy, random_state=0
    )
    path = pruning_path(plain, X, y, sparsities=SPARSITIES)
    assert [estimator.get_params(deep=False)["sparsity"] for estimator in path.estimators] == (
        SPARSITIES
    )
    for sparsity, estimator in zip(SPARSITIES, path.estimators, strict=True):
        alone = clone(plain).set_params(sparsity=sparsity).fit(X, y)
        assert same_state(snapshot(estimator.module_), snapshot(alone.module_))
        assert estimator.sparsity_ == alone.sparsity_
        assert estimator.masks_.keys() == alone.masks_.keys()
        for name in alone.masks_:
            np.testing.assert_array_equal(estimator.masks_[name], alone.masks_[name])
        np.testing.assert_array_equal(estimator.predict(X), alone.predict(X))
        # The history is that of a fit, too, and training goes on alike.
        assert (
            estimator.history_[:, ("train_loss", "stage")]
            == (alone.history_[:, ("train_loss", "stage")])
        )
        for each in (estimator, alone):
            each.partial_fit(X, y)
        assert same_state(snapshot(estimator.module_), snapshot(alone.module_))


@every_kind
def test_the_dense_network_of_a_path_is_that_of_a_fit_that_removes_nothing(kind: str) -> None:
    X, y = data_for(kind)
    plain = PLAIN[kind](net_for(kind), random_state=0)
    dense = pruning_path(plain, X, y, sparsities=SPARSITIES).dense
    alone = clone(plain).set_params(sparsity=0.0, fine_tune_epochs=0).fit(X, y)
    assert same_state(snapshot(dense.module_), snapshot(alone.module_))
    assert dense.sparsity_ == 0.0
    assert all(mask.all() for mask in dense.masks_.values())


def test_strategies_share_one_dense_training(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    strategies = ["magnitude", "random", Strategy("lamp", schedule="iterative"), "random_at_init"]
    plain = PrunedClassifier(classifier_net(), random_state=0)
    path = pruning_path(plain, X, y, sparsities=SPARSITIES, strategies=strategies)
    assert stages.count("training the dense network") == 1
    assert [estimator.strategy for estimator in path.estimators[::3]][:2] == strategies[:2]
    for estimator in path.estimators:
        alone = clone(estimator).fit(X, y)
        assert same_state(snapshot(estimator.module_), snapshot(alone.module_))


def count_stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    from skprune.training.stage import StageTrainer

    stages: list[str] = []
    train = StageTrainer.train

    def counted(self: StageTrainer, stage: Any, **options: Any) -> None:
        stages.append(stage.purpose)
        train(self, stage, **options)

    monkeypatch.setattr(StageTrainer, "train", counted)
    return stages


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_a_chained_path_goes_on_from_the_sparsity_before(structure: str) -> None:
    X, y = blobs()
    plain = PrunedClassifier(
        classifier_net(max_epochs=4), structure=structure, fine_tune_epochs=5, random_state=0
    )
    estimators, dense = pruning_path(plain, X, y, sparsities=SPARSITIES, path="chained")
    # Of 5 epochs, as large a share as a step removes of what is left: 0.3, 3/7, 3/4.
    assert [len(e.history_) for e in [dense, *estimators]] == [4, 6, 8, 12]
    for one, other in pairwise(estimators):
        for name, mask in other.masks_.items():
            assert (mask <= one.masks_[name]).all()
        assert one.history_[:, "train_loss"] == other.history_[: len(one.history_), "train_loss"]
    total = estimators[0].report_.total_before
    assert total == estimators[-1].report_.total_before
    for sparsity, estimator in zip(SPARSITIES, estimators, strict=True):
        assert estimator.sparsity_ == pytest.approx(sparsity, abs=0.04)
        before = snapshot(estimator.module_)
        estimator.partial_fit(X, y)
        assert not same_state(before, snapshot(estimator.module_))


def test_a_chain_of_one_is_a_fit_with_a_share_of_the_epochs() -> None:
    X, y = blobs()
    plain = PrunedClassifier(classifier_net(), fine_tune_epochs=5, random_state=0)
    (chained,) = pruning_path(plain, X, y, sparsities=[0.6], path="chained").estimators
    alone = clone(plain).set_params(sparsity=0.6, fine_tune_epochs=3).fit(X, y)
    assert same_state(snapshot(chained.module_), snapshot(alone.module_))


# How many epochs each network has had, of 4 of training and 5 of fine-tuning. Of the latter it is a
# share, as above, unless each step throws away what was learned before.
@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy(start="init"), [4 + 2, 4 + 2 + 2, 4 + 2 + 2 + 4]),
        (Strategy(recovery="rewind"), [4 + 5, 4 + 5 + 5, 4 + 5 + 5 + 5]),
        (Strategy(recovery="rewind", start="init"), [9, 9 + 9, 9 + 9 + 9]),
    ],
)
def test_a_chain_from_early_weights_trains_them_in_full(
    strategy: Strategy, expected: list[int]
) -> None:
    X, y = blobs()
    plain = PrunedClassifier(
        classifier_net(max_epochs=4), strategy=strategy, fine_tune_epochs=5, random_state=0
    )
    path = pruning_path(plain, X, y, sparsities=SPARSITIES, path="chained")
    assert [len(estimator.history_) for estimator in path.estimators] == expected
    search = PrunedClassifierCV(
        classifier_net(max_epochs=4),
        strategies=strategy,
        sparsities=SPARSITIES,
        path="chained",
        fine_tune_epochs=5,
        selection=lambda _: 2,
        cv=2,
        random_state=0,
    ).fit(X, y)
    assert same_state(snapshot(search.module_), snapshot(path.estimators[-1].module_))


def test_a_chain_that_rewinds_begins_with_the_fit() -> None:
    X, y = blobs()
    plain = PrunedClassifier(classifier_net(), strategy=Strategy(recovery="rewind"), random_state=0)
    path = pruning_path(plain, X, y, sparsities=SPARSITIES, path="chained")
    alone = clone(plain).set_params(sparsity=SPARSITIES[0]).fit(X, y)
    assert same_state(snapshot(path.estimators[0].module_), snapshot(alone.module_))


# A net with weights of its own.


def net_with_weights(kind: str, came: str) -> tuple[Any, np.ndarray, np.ndarray]:
    X, y = data_for(kind)
    X = X.astype(np.float32)
    n_outputs = 3 if kind == "classifier" else 1
    net = net_for(kind, module__n_features=X.shape[1], module__n_outputs=n_outputs)
    if came == "initialized":
        return net.initialize(), X, y
    net.fit(X, y if kind == "classifier" else y.reshape(-1, 1))
    return FrozenEstimator(net) if came == "frozen" else net, X, y


how_it_came = pytest.mark.parametrize("came", ["trained", "initialized", "frozen"])


@every_kind
@how_it_came
@pytest.mark.parametrize("path", ["restart", "chained"])
def test_a_path_prunes_the_weights_that_a_net_came_with(
    kind: str, came: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, X, y = net_with_weights(kind, came)
    params = {"fine_tune_epochs": 4, "random_state": 0}
    alone = [PLAIN[kind](net, sparsity=s, **params).fit(X, y) for s in SPARSITIES]
    stages = count_stages(monkeypatch)
    found = pruning_path(PLAIN[kind](net, **params), X, y, sparsities=SPARSITIES, path=path)
    assert "training the dense network" not in stages
    own = {name: weight.detach() for name, weight in net.module_.named_parameters()}
    for name, weight in found.dense.module_.named_parameters():
        torch.testing.assert_close(weight, own[name], rtol=0, atol=0)
    if path == "restart":
        for one, other in zip(found.estimators, alone, strict=True):
            assert same_state(snapshot(one.module_), snapshot(other.module_))


@every_kind
@how_it_came
def test_a_search_prunes_the_weights_that_a_net_came_with(kind: str, came: str) -> None:
    net, X, y = net_with_weights(kind, came)
    params = {"fine_tune_epochs": 4, "random_state": 0}
    folds = list(KFold(3, shuffle=True, random_state=0).split(X))
    search = CROSS_VALIDATED[kind](
        net, sparsities=SPARSITIES, selection=lambda _: 1, cv=folds, **params
    ).fit(X, y)
    for row, sparsity in enumerate(SPARSITIES):
        for column, (train, test) in enumerate(folds):
            alone = PLAIN[kind](net, sparsity=sparsity, **params).fit(X[train], y[train])
            assert search.score_path_[row, column] == alone.score(X[test], y[test])
    alone = PLAIN[kind](net, sparsity=SPARSITIES[1], **params).fit(X, y)
    assert same_state(snapshot(search.module_), snapshot(alone.module_))


def test_a_trained_net_cannot_be_pruned_before_training() -> None:
    net, X, y = net_with_weights("classifier", "trained")
    with pytest.raises(ValueError, match="start='init' prunes a network before it is trained"):
        pruning_path(PrunedClassifier(net), X, y, strategies=["magnitude", "snip"])


@pytest.mark.parametrize("came", ["trained", "not fitted"])
def test_the_estimators_of_a_path_are_set_one_by_one(came: str) -> None:
    net, X, y = net_with_weights("classifier", "trained")
    net = net if came == "trained" else clone(net)
    plain = PrunedClassifier(net, strategy=Strategy(), random_state=0)
    (first, second), dense = pruning_path(plain, X, y, sparsities=[0.5, 0.8])
    first.set_params(estimator__lr=0.7, strategy__importance="random")
    for other in (dense, second, plain):
        assert other.estimator.lr == 0.02
        assert other.strategy.importance == "magnitude"


def test_a_generator_is_the_same_for_each_estimator_of_a_path() -> None:
    X, y = blobs()
    plain = PrunedClassifier(classifier_net(), random_state=np.random.RandomState(0))
    path = pruning_path(plain, X, y, sparsities=[0.5, 0.8])
    for estimator in path.estimators:
        alone = clone(estimator).fit(X, y)
        assert same_state(snapshot(estimator.module_), snapshot(alone.module_))
    assert plain.random_state.randint(1000) == np.random.RandomState(0).randint(1000)


class Interrupts(Perceptron):
    """As if Ctrl-C was pressed in the first training step."""

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise KeyboardInterrupt
        return super().forward(X)


def test_ctrl_c_ends_a_path_and_a_search() -> None:
    X, y = blobs()
    with pytest.raises(KeyboardInterrupt, match="Interrupted while training the dense network"):
        pruning_path(PrunedClassifier(classifier_net(Interrupts)), X, y)
    search = PrunedClassifierCV(classifier_net(Interrupts), cv=2)
    with pytest.raises(KeyboardInterrupt, match="Interrupted while training the dense network"):
        search.fit(X, y)
    assert not hasattr(search, "net_")


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
    plain = PrunedClassifier(classifier_net(module__hidden=1), structure="unit")
    with pytest.raises(ValueError, match="no 8 sparsities between 0 and 0 that differ"):
        pruning_path(plain, X, y)


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
    assert search.cv_results_.keys() == grid.cv_results_.keys()
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


def results_of(means: list[float], spread: float = 0.01) -> dict[str, Any]:
    mean = np.array(means)
    return {
        "split0_test_score": mean - spread,
        "split1_test_score": mean + spread,
        "mean_test_score": mean,
        "param_sparsity": np.ma.array([0.5, 0.8, 0.9, 0.5, 0.8, 0.9]),
        "params": [{"strategy": s, "sparsity": p} for s in ("a", "b") for p in (0.5, 0.8, 0.9)],
    }


def choose(selection: Any, means: list[float], **options: Any) -> int:
    return PrunedClassifierCV(selection=selection)._choose(results_of(means, **options), "score")


def test_the_choice() -> None:
    nan = float("nan")
    assert choose("best", [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]) == 0
    # Of equally good ones, the sparsest.
    assert choose("best", [0.9, 0.9, 0.7, 0.6, 0.5, 0.4]) == 1
    # The standard error is that of the best: spread / sqrt(2) * sqrt(2) / sqrt(1) = spread.
    assert choose("one_std_err", [0.9, 0.895, 0.7, 0.6, 0.893, 0.4]) == 1
    assert choose("one_std_err", [0.9, 0.88, 0.7, 0.6, 0.893, 0.4]) == 4
    assert choose("one_std_err", [0.9, 0.88, 0.7, 0.6, 0.88, 0.4]) == 0
    with pytest.warns(UserWarning, match=r"NaN for 1 of 6 candidates, such as sparsity=0.5"):
        assert choose("best", [nan, 0.8, 0.7, 0.6, 0.5, 0.4]) == 1
    with pytest.raises(ValueError, match="'score' is NaN at every sparsity"):
        choose("best", [nan] * 6)
    for wrong in (6, -1, 0.5, None):
        with pytest.raises(ValueError, match="selection must return the index of one of 6"):
            choose(lambda _, wrong=wrong: wrong, [0.9] * 6)


def test_a_rule_of_the_refit_kind_chooses() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(),
        sparsities=SPARSITIES,
        cv=3,
        scoring={"accuracy": "accuracy", "sparsity": sparsity_scorer},
        selection=sparsest_within("accuracy", tolerance=1.0, cost="sparsity"),
    ).fit(X, y)
    assert search.best_index_ == 2
    with pytest.raises(ValueError, match=r"no metric 'acuracy'\. Did you mean 'accuracy'"):
        clone(search).set_params(selection=sparsest_within("acuracy", cost="sparsity")).fit(X, y)


def never(estimator: Any, X: Any, y: Any) -> float:
    return float("nan")


def test_the_metric_of_a_rule_decides() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(),
        sparsities=SPARSITIES,
        cv=3,
        scoring={"never": never, "accuracy": "accuracy"},
        selection=sparsest_within("accuracy", tolerance=1.0, cost="sparsity"),
        random_state=0,
    ).fit(X, y)
    assert search.best_index_ == 2
    assert search.metric_ == "accuracy"
    assert search.best_score_ == search.cv_results_["mean_test_accuracy"][2]
    np.testing.assert_array_equal(
        search.score_path_.mean(axis=1), search.cv_results_["mean_test_accuracy"]
    )
    # Another function may look at what it likes; the scores are then those of the first metric.
    search.set_params(selection=lambda results: int(np.argmax(results["mean_test_accuracy"])))
    search.fit(X, y)
    assert search.best_index_ == np.argmax(search.cv_results_["mean_test_accuracy"])
    assert search.metric_ == "never"
    assert np.isnan(search.best_score_)
    with pytest.raises(ValueError, match="'never' is NaN at every sparsity"):
        search.set_params(selection="best").fit(X, y)


def test_a_set_of_metrics() -> None:
    X, y = blobs()
    params = {"sparsities": SPARSITIES, "cv": 3, "random_state": 0}
    names = ["neg_log_loss", "accuracy", "f1_macro"]
    search = PrunedClassifierCV(classifier_net(), scoring=set(names), **params).fit(X, y)
    listed = PrunedClassifierCV(classifier_net(), scoring=sorted(names), **params).fit(X, y)
    assert search.metric_ == listed.metric_ == "accuracy"
    assert search.best_index_ == listed.best_index_
    assert list(search.dense_scores_) == sorted(names)


@pytest.mark.parametrize("wrong", [None, "good", np.array([0.5, 0.6]), {"a": "good"}])
def test_a_scorer_that_returns_no_number(wrong: Any) -> None:
    X, y = blobs()
    calls = []

    def score(estimator: Any, X: Any, y: Any) -> Any:
        calls.append(estimator)
        return wrong

    search = PrunedClassifierCV(classifier_net(), sparsities=SPARSITIES, cv=3, scoring=score)
    metric = "a" if isinstance(wrong, dict) else "score"
    with pytest.raises(ValueError, match=rf"must return a number; for '{metric}' it returned"):
        search.fit(X, y)
    assert len(calls) == 1  # the dense network of the first fold


def test_a_scorer_that_returns_an_array_of_one() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(), sparsities=[0.5], cv=2, scoring=lambda *_: np.array(0.5, np.float32)
    ).fit(X, y)
    assert search.best_score_ == 0.5


def nan_above(limit: float) -> Any:
    def score(estimator: Any, X: Any, y: Any) -> float:
        return float("nan") if estimator.sparsity_ > limit else float(estimator.score(X, y))

    return score


def test_a_score_that_is_nan_for_one_sparsity() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(
        classifier_net(), sparsities=SPARSITIES, cv=3, scoring=nan_above(0.8), random_state=0
    )
    with pytest.warns(UserWarning, match=r"sparsity=0.9, strategy='magnitude'"):
        search.fit(X, y)
    assert search.best_index_ in (0, 1)
    assert search.cv_results_["rank_test_score"][2] == 3
    with pytest.raises(ValueError, match="NaN at every sparsity"):
        clone(search).set_params(scoring=nan_above(0.0)).fit(X, y)


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


# Weights in the scores, and other metadata.


def weighted_accuracy(y: Any, predicted: Any, sample_weight: Any = None) -> float:
    return float(np.average(y == predicted, weights=sample_weight))


@every_kind
def test_weights_count_in_the_scores_as_they_do_in_a_grid_search(kind: str) -> None:
    X, y = data_for(kind)
    weights = np.linspace(0.1, 3.0, len(y)) ** 2
    grid = grid_of(kind, net_for(kind)).fit(X, y, sample_weight=weights)
    search = CROSS_VALIDATED[kind](net_for(kind), sparsities=SPARSITIES, cv=3, random_state=0)
    search.fit(X, y, sample_weight=weights)
    for number in range(3):
        key = f"split{number}_test_score"
        np.testing.assert_array_equal(search.cv_results_[key], grid.cv_results_[key])


@pytest.mark.parametrize("in_loss", [True, False])
def test_a_scorer_that_asks_for_weights_gets_those_of_the_test_rows(in_loss: bool) -> None:
    X, y = blobs()
    weights = np.linspace(0.1, 3.0, len(y)) ** 2
    groups = np.repeat(np.arange(12), 5)
    with config_context(enable_metadata_routing=True):
        scorer = make_scorer(weighted_accuracy).set_score_request(sample_weight=True)
        search = PrunedClassifierCV(
            classifier_net(),
            sparsities=[0.5],
            cv=GroupKFold(3),
            scoring={"plain": "accuracy", "weighted": scorer},
            random_state=0,
        )
        search.set_params(scoring={"weighted": scorer}).set_fit_request(sample_weight=in_loss)
        search.fit(X, y, sample_weight=weights, groups=groups)
        score = search.score(X, y, sample_weight=weights)
    assert score == weighted_accuracy(y, search.predict(X), weights)
    plain = PrunedClassifier(classifier_net(), sparsity=0.5, random_state=0)
    for number, (train, test) in enumerate(GroupKFold(3).split(X, y, groups)):
        own = weights[train] if in_loss else None
        alone = clone(plain).fit(X[train], y[train], sample_weight=own)
        expected = weighted_accuracy(y[test], alone.predict(X[test]), weights[test])
        assert search.score_path_[0, number] == expected


def scaled(y: Any, predicted: Any, factors: Any = None) -> float:
    return float(np.mean((y == predicted) * factors))


def test_a_scorer_gets_what_else_it_asks_for() -> None:
    X, y = blobs()
    factors = np.arange(len(y), dtype=float)
    with config_context(enable_metadata_routing=True):
        scorer = make_scorer(scaled).set_score_request(factors=True)
        search = PrunedClassifierCV(
            classifier_net(), sparsities=[0.5], cv=2, scoring=scorer, random_state=0
        ).fit(X, y, factors=factors)
        assert search.score(X, y, factors=factors) == scaled(y, search.predict(X), factors)
    for number, (train, test) in enumerate(StratifiedKFold(2).split(X, y)):
        alone = PrunedClassifier(classifier_net(), sparsity=0.5, random_state=0)
        predicted = alone.fit(X[train], y[train]).predict(X[test])
        assert search.score_path_[0, number] == scaled(y[test], predicted, factors[test])


def test_metadata_that_nobody_asks_for_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=2, scoring="accuracy")
    with pytest.raises(ValueError, match="only supported if enable_metadata_routing=True"):
        search.fit(X, y, factors=y)
    with config_context(enable_metadata_routing=True):
        for params in ({"factors": y}, {"groups": y}):
            with pytest.raises(TypeError, match=r"unexpected argument\(s\) {'(factors|groups)'}"):
                search.fit(X, y, **params)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            search.fit(X, y, sample_weight=np.ones(len(y)))
    assert stages == []


def test_groups_and_weights_are_routed_through_a_cross_validation() -> None:
    X, y = blobs()[0], np.tile(np.arange(3), 20)  # each group has all classes
    metadata = {
        "sample_weight": np.linspace(0.1, 3.0, len(y)),
        "groups": np.repeat(np.arange(12), 5),
    }
    with config_context(enable_metadata_routing=True):
        search = PrunedClassifierCV(
            classifier_net(), sparsities=[0.5], cv=GroupKFold(2), random_state=0
        )
        search.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        found = cross_validate(search, X, y, cv=GroupKFold(2), params=metadata)["test_score"]
        for number, (train, test) in enumerate(GroupKFold(2).split(X, y, metadata["groups"])):
            of_train, of_test = (
                {name: values[rows] for name, values in metadata.items()} for rows in (train, test)
            )
            alone = clone(search).fit(X[train], y[train], **of_train)
            weights = of_test["sample_weight"]
            assert found[number] == alone.score(X[test], y[test], sample_weight=weights)


# What a fitted search scores by.


def score_and_macs(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    return {"macs": macs_scorer(estimator), "score": estimator.score(X, y)}


@pytest.mark.parametrize("scoring", [None, "roc_auc", "neg_log_loss", score_and_macs])
@pytest.mark.parametrize("selection", ["best", sparsest_within("score", cost="sparsity")])
def test_a_search_scores_by_what_chose(scoring: Any, selection: Any) -> None:
    X, y = blobs(n_classes=2)
    search = PrunedClassifierCV(
        classifier_net(max_epochs=1),
        sparsities=[0.5, 0.8],
        cv=2,
        scoring=scoring,
        selection=selection,
        random_state=0,
    ).fit(X, y)
    alone = PrunedClassifier(
        classifier_net(max_epochs=1), sparsity=search.best_params_["sparsity"], random_state=0
    ).fit(X, y)
    if scoring is score_and_macs:
        expected = score_and_macs(alone, X, y)[search.metric_]
    else:
        expected = check_scoring(alone, scoring)(alone, X, y)
    assert search.score(X, y) == expected
    assert pickle.loads(pickle.dumps(search)).score(X, y) == expected


def test_the_metric_that_decided_scores() -> None:
    X, y = data_for("regressor")
    search = PrunedRegressorCV(
        regressor_net(),
        sparsities=[0.5],
        cv=2,
        scoring=["neg_mean_squared_error", "r2"],
        selection=sparsest_within("r2", cost="sparsity"),
        random_state=0,
    ).fit(X, y)
    weights = np.linspace(0.1, 3.0, len(y))
    predicted = search.predict(X)
    assert search.score(X, y) == r2_score(y, predicted)
    assert search.score(X, y, sample_weight=weights) == (
        r2_score(y, predicted, sample_weight=weights)
    )
    search.set_params(selection="best", scoring="neg_max_error").fit(X, y)
    with pytest.raises(ValueError, match="scoring='neg_max_error' takes no sample_weight"):
        search.score(X, y, sample_weight=weights)


def test_a_metric_to_go_by_that_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    search = PrunedClassifierCV(
        classifier_net(), scoring=["accuracy", "f1_macro"], selection=sparsest_within("acuracy")
    )
    with pytest.raises(ValueError, match=r"no metric 'acuracy'\. Did you mean 'accuracy'"):
        search.fit(X, y)
    assert stages == []


def test_a_cost_that_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    search = PrunedClassifierCV(
        classifier_net(), scoring=["accuracy", "f1_macro"], selection=sparsest_within("accuracy")
    )
    with pytest.raises(ValueError, match="cost='macs', which scoring does not measure"):
        search.fit(X, y)
    assert stages == []


def test_a_fold_whose_test_rows_weigh_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    stages = count_stages(monkeypatch)
    weights = np.ones(len(y))
    weights[: len(y) // 3] = 0
    search = PrunedClassifierCV(classifier_net(), cv=KFold(3), random_state=0)
    with pytest.raises(ValueError, match="Fold 0 has no test row with a weight"):
        search.fit(X, y, sample_weight=weights)
    assert stages == []


def test_a_mapping_of_inputs() -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = torch.nn.Linear(2, 8)
            self.output = torch.nn.Linear(8, 3)

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return self.output(self.hidden(left + right).relu())

    X, y = blobs()
    search = PrunedClassifierCV(classifier_net(Two), sparsities=[0.5], cv=3, random_state=0)
    search.fit({"left": X[:, :2], "right": X[:, :2]}, y)
    assert search.predict({"left": X[:, :2], "right": X[:, :2]}).shape == y.shape


def test_text_labels_in_a_frame_and_a_pipeline() -> None:
    X, y = blobs()
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    labels = np.array(["low", "mid", "top"])[y]
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5, 0.8], cv=3, random_state=0)
    search.fit(frame, labels)
    assert search.classes_.tolist() == ["low", "mid", "top"]
    assert search.feature_names_in_.tolist() == list(frame)
    assert search.stability_["magnitude"]["recall_change"].shape == (2, 3)
    scores = cross_val_score(make_pipeline(StandardScaler(), clone(search)), frame, labels, cv=3)
    assert scores.shape == (3,)


def test_a_second_fit_forgets_the_first() -> None:
    X, y = blobs()
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=2, random_state=0)
    search.fit(pd.DataFrame(X, columns=list("abcd")), y)
    assert search.feature_names_in_.tolist() == list("abcd")
    search.fit(X, y)
    assert not hasattr(search, "feature_names_in_")


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
    with pytest.raises(NotFittedError):
        search.predict(data_for(kind)[0])


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
