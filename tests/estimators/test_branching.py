"""Paths whose steps are gone once, and off which each sparsity branches."""

from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import check_cv

from skprune import PrunedClassifier, Strategy, pruning_path
from skprune.strategies import Cubic, Distill, Iterative, Rewind, Schedule
from skprune.strategies.importance import Magnitude
from skprune.strategies.schedule import Step
from tests.estimators.common import blobs, classifier_net, net_for
from tests.estimators.cv_common import (
    CROSS_VALIDATED,
    PLAIN,
    count_stages,
    data_for,
    every_kind,
)
from tests.helpers import same_state, snapshot

SPARSITIES = [0.3, 0.6, 0.9]


class ByHand(Schedule):
    """The steps that a test writes down."""

    def __init__(self, laid_out: Any) -> None:
        self.laid_out = laid_out

    def steps(self, sparsity: float, epochs: int) -> list[Step]:
        assert sum(e for _, e in self.laid_out) == epochs
        return [Step(*step) for step in self.laid_out]


# Of 12 epochs, Iterative(3, end=0.75) to 0.9 trains 4 (of 9) after each of the first two steps, at
# sparsities of 0.536 and 0.785, and the rest after the last. A step to 0.3 comes before these, one
# to 0.6 between them.
FIRST, SECOND = 1 - 0.1 ** (1 / 3), 1 - 0.1 ** (2 / 3)
BY_HAND = {
    0.3: [(0.3, 12)],
    0.6: [(0.3, 0), (FIRST, 4), (0.6, 8)],
    0.9: [(0.3, 0), (FIRST, 4), (0.6, 0), (SECOND, 5), (0.9, 3)],
}


def equal_fits(one: Any, other: Any, X: Any) -> None:
    assert same_state(snapshot(one.module_), snapshot(other.module_))
    assert one.sparsity_ == other.sparsity_
    for name, mask in one.masks_.items():
        np.testing.assert_array_equal(mask, other.masks_[name])
    assert one.history_[:, "train_loss"] == other.history_[:, "train_loss"]
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


@pytest.mark.parametrize(
    ("kind", "structure", "parts"),
    [
        ("classifier", "weight", {"importance": "obs", "allocation": "global"}),
        ("classifier", "unit", {}),
        ("classifier", "weight", {"importance": "random"}),
        ("regressor", "unit", {"recovery": Distill(alpha=0.5)}),
        ("regressor", "weight", {"start": "init"}),
    ],
)
def test_a_branch_is_a_fit_whose_schedule_has_the_steps_of_the_walk(
    kind: str, structure: str, parts: dict[str, Any]
) -> None:
    X, y = data_for(kind)
    at_init = parts.get("start") == "init"
    net = net_for(kind, batch_size=13, max_epochs=4)
    params = {"structure": structure, "random_state": 0, "fine_tune_epochs": 8 if at_init else 12}
    plain = PLAIN[kind](net, strategy=Strategy(schedule=Iterative(3, end=0.75), **parts), **params)
    path = pruning_path(plain, X, y, sparsities=SPARSITIES, path="branch")
    for sparsity, estimator in zip(SPARSITIES, path.estimators, strict=True):
        strategy = Strategy(schedule=ByHand(BY_HAND[sparsity]), **parts)
        alone = PLAIN[kind](net, strategy=strategy, sparsity=sparsity, **params).fit(X, y)
        equal_fits(estimator, alone, X)
        estimator.partial_fit(X, y)
        alone.partial_fit(X, y)
        equal_fits(estimator, alone, X)


def test_steps_that_begin_with_early_weights_branch_off_for_one_round() -> None:
    X, y = blobs()
    params = {"random_state": 0, "fine_tune_epochs": 12}
    strategy = Strategy(schedule=Iterative(3, end=0.75), recovery=Rewind())
    plain = PrunedClassifier(classifier_net(max_epochs=4), strategy=strategy, **params)
    path = pruning_path(plain, X, y, sparsities=SPARSITIES, path="branch")
    rounds = {
        0.3: [(0.3, 3)],
        0.6: [(0.3, 0), (FIRST, 4), (0.6, 3)],
        0.9: [(0.3, 0), (FIRST, 4), (0.6, 0), (SECOND, 5), (0.9, 3)],
    }
    for sparsity, estimator in zip(SPARSITIES, path.estimators, strict=True):
        steps = rounds[sparsity]
        params["fine_tune_epochs"] = sum(epochs for _, epochs in steps)
        strategy = Strategy(schedule=ByHand(steps), recovery=Rewind())
        alone = PrunedClassifier(
            classifier_net(max_epochs=4), strategy=strategy, sparsity=sparsity, **params
        ).fit(X, y)
        equal_fits(estimator, alone, X)


def test_where_the_schedule_has_a_step_at_each_sparsity_the_last_is_that_of_a_fit() -> None:
    X, y = blobs()
    plain = PrunedClassifier(
        classifier_net(), strategy=Strategy(schedule=Iterative(3)), random_state=0
    )
    sparsities = [step.sparsity for step in Iterative(3).steps(0.875, 3)]
    path = pruning_path(plain, X, y, sparsities=sparsities, path="branch")
    equal_fits(path.estimators[-1], plain.set_params(sparsity=0.875).fit(X, y), X)


def test_sparsities_that_leave_as_much_as_each_other() -> None:
    X, y = blobs()
    plain = PrunedClassifier(
        classifier_net(max_epochs=2),
        strategy=Strategy(schedule=Iterative(2)),
        fine_tune_epochs=5,
        random_state=0,
    )
    # Of 112 weights 35.4 and 35.3 are 35, and so are the 31.6 % of a step on the way to 0.9.
    path = pruning_path(plain, X, y, sparsities=[0.684, 0.685, 0.9], path="branch")
    one, other, last = path.estimators
    equal_fits(last, plain.set_params(sparsity=0.9).fit(X, y), X)
    assert one.sparsity_ == other.sparsity_
    for name, mask in one.masks_.items():
        np.testing.assert_array_equal(mask, other.masks_[name])
    assert [len(each.history_) for each in path.estimators] == [2 + 5, 2 + 5, 2 + 5]


@pytest.mark.parametrize(
    "strategy",
    ["magnitude", "admm", "movement", "splicing", Strategy(schedule="cubic", regrowth="rigl")],
)
def test_what_has_no_steps_to_share_restarts(strategy: Any) -> None:
    X, y = blobs()
    plain = PrunedClassifier(classifier_net(), strategy=strategy, random_state=0)
    branched = pruning_path(plain, X, y, sparsities=SPARSITIES, path="branch")
    restarted = pruning_path(plain, X, y, sparsities=SPARSITIES, path="restart")
    for one, other in zip(branched.estimators, restarted.estimators, strict=True):
        equal_fits(one, other, X)


def test_a_branching_path_costs_one_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    scored: list[int] = []
    score = Magnitude.score

    def counted(self: Any, context: Any) -> Any:
        scored.append(context.elements.n_kept)
        return score(self, context)

    monkeypatch.setattr(Magnitude, "score", counted)
    plain = PrunedClassifier(
        classifier_net(max_epochs=2),
        strategy=Strategy(schedule=Iterative(10)),
        fine_tune_epochs=10,
        random_state=0,
    )
    stages = count_stages(monkeypatch)
    pruning_path(plain, X, y, sparsities=SPARSITIES, path="branch")
    assert stages.count("training the dense network") == 1
    # Ten steps to the last sparsity, the fourth of which leaves as much as 0.6, and one to 0.3.
    assert len(scored) == 11
    assert sorted(scored, reverse=True) == scored
    scored.clear()
    pruning_path(plain, X, y, sparsities=SPARSITIES, path="restart")
    assert len(scored) == 30


@every_kind
def test_what_is_chosen_on_a_branch_is_fitted_by_the_same_walk(kind: str) -> None:
    X, y = data_for(kind)
    strategy = Strategy(schedule=Cubic(4))
    params = {"fine_tune_epochs": 6, "random_state": 0}
    search = CROSS_VALIDATED[kind](
        net_for(kind),
        strategies=["random", strategy],
        sparsities=SPARSITIES,
        path="branch",
        selection=lambda _: 4,
        cv=2,
        **params,
    ).fit(X, y)
    path = pruning_path(
        PLAIN[kind](net_for(kind), strategy=strategy, **params),
        X,
        y,
        sparsities=SPARSITIES,
        path="branch",
    )
    assert search.best_params_ == {"strategy": strategy, "sparsity": 0.6}
    equal_fits(search.best_estimator_, path.estimators[1], X)
    train, test = next(check_cv(2, y, classifier=kind == "classifier").split(X, y))
    fold = pruning_path(
        PLAIN[kind](net_for(kind), strategy=strategy, **params),
        X[train],
        y[train],
        sparsities=SPARSITIES,
        path="branch",
    )
    scores = [estimator.score(X[test], y[test]) for estimator in fold.estimators]
    np.testing.assert_array_equal(search.score_path_[3:, 0], scores)
