"""Paths of sparsities from one dense training."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import (
    KFold,
)

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    Strategy,
    pruning_path,
)
from tests.estimators.common import (
    Perceptron,
    blobs,
    classifier_net,
    net_for,
)
from tests.estimators.cv_common import (
    CROSS_VALIDATED,
    PLAIN,
    SPARSITIES,
    count_stages,
    data_for,
    every_kind,
    net_with_weights,
)
from tests.helpers import same_state, snapshot

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
