"""Targets: what they mean, what they refuse, and what is left when they are met."""

import pickle
from copy import deepcopy
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from skprune import (
    PrunedClassifier,
    PrunedClassifierCV,
    PrunedRegressor,
    Strategy,
    Target,
    UnreachableSparsityError,
    pruning_path,
)
from skprune.network.network import Network
from skprune.pruning.choice import _last
from skprune.pruning.target import Goal, resolve_target
from skprune.strategies.target import target_for
from skprune.structures import NM, STRUCTURES, Block, Elements, Unit
from tests.helpers import fit_untrained, forward, make_data, make_net
from tests.networks import NETWORKS, Perceptron

# Of the perceptron: 48 + 64 + 24 weights, and 8 + 8 + 3 biases.
WEIGHTS, PARAMETERS = 136, 155


def elements_of(network: str, structure: str = "weight", protected: Any = ()) -> Elements:
    example = NETWORKS[network]
    inputs = torch.from_numpy(example.inputs(8))
    return STRUCTURES[structure]().elements(Network(example.build(), inputs, forward), protected)


def goal_for(elements: Elements, target: Target, **strategy: Any) -> Goal:
    return resolve_target(elements, Strategy(**strategy).resolved(), target)


def fit(target: Any, kind: str = "PrunedClassifier", network: str = "mlp", **params: Any) -> Any:
    example = NETWORKS[network]
    return fit_untrained(kind, example.build(), example, sparsity=target, **params)


# The object.


def test_a_target_is_a_component() -> None:
    target = Target(at_most=100, budget="macs")
    assert repr(target) == "Target(at_most=100, budget='macs')"
    assert repr(Target(0.5)) == "Target(sparsity=0.5)"
    for copy in (clone(target), deepcopy(target), pickle.loads(pickle.dumps(target))):
        assert copy is not target
        assert copy.get_params() == {"sparsity": None, "at_most": 100, "budget": "macs"}


def test_a_target_is_set_from_outside() -> None:
    estimator = PrunedClassifier(sparsity=Target(at_most=100, budget="macs"))
    assert estimator.get_params()["sparsity__budget"] == "macs"
    assert clone(estimator).set_params(sparsity__at_most=50).sparsity.at_most == 50
    assert estimator.sparsity.at_most == 100
    assert estimator.set_params(sparsity=0.5).get_params()["sparsity"] == 0.5


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target(), r"either how much goes, .* got Target\(\)"),
        (Target(0.5, at_most=3), r"either how much goes, .* got Target\(at_most=3, sparsity=0.5\)"),
        (Target(1.0), r"'sparsity' parameter of Target must be .* Got 1.0"),
        (Target(at_most=0), r"'at_most' parameter of Target must be .* Got 0"),
        (Target(0.5, budget="flops"), r"'budget' parameter of Target must be .* Got 'flops'"),
    ],
    ids=repr,
)
def test_a_target_says_one_thing(target: Target, message: str) -> None:
    for refuse in (target.validated, lambda: fit(target)):
        with pytest.raises(ValueError, match=message):
            refuse()


def test_the_budget_is_given_once() -> None:
    with pytest.raises(ValueError, match=r"given twice: budget='macs', and sparsity=Target\("):
        fit(Target(0.5, budget="macs"), budget="macs")
    with pytest.raises(ValueError, match=r"With sparsity=None nothing is to be met in bytes"):
        fit(None, budget="bytes", strategy=Strategy(regularizer="l1"))
    with pytest.raises(ValueError, match=r"'budget' parameter of Pruned.* Got 'units'"):
        fit(0.5, budget="units")
    assert target_for(None, "elements") is None
    assert target_for(0.5, "macs").get_params() == {
        "sparsity": 0.5,
        "at_most": None,
        "budget": "macs",
    }


# What it means.


@pytest.mark.parametrize("budget", ["weights", "parameters", "macs", "bytes"])
@pytest.mark.parametrize("sparsity", [0.0, 0.29, 0.5, 0.7])
def test_a_sparsity_leaves_at_most_the_rest_of_it(budget: str, sparsity: float) -> None:
    elements = elements_of("mlp", "unit" if budget == "bytes" else "weight")
    whole = {"weights": 136, "parameters": 155, "macs": 136, "bytes": 620}[budget]
    goal = goal_for(elements, Target(sparsity, budget=budget))
    limit = floor((1 - Fraction(str(sparsity))) * whole)
    assert goal == Goal(budget, whole, limit, sparsity)


def test_a_number_is_met_in_elements_exactly() -> None:
    estimator = fit(Target(at_most=30))
    assert sum(int(mask.sum()) for mask in estimator.masks_.values()) == 30
    assert estimator.sparsity_ == 1 - 30 / WEIGHTS
    assert fit(Target(at_most=30.9)).sparsity_ == 1 - 30 / WEIGHTS


@pytest.mark.parametrize("budget", ["elements", "weights", "macs"])
def test_a_network_that_costs_less_is_kept_whole(budget: str) -> None:
    estimator = fit(Target(at_most=10_000, budget=budget))
    assert estimator.sparsity_ == 0.0
    assert all(mask.all() for mask in estimator.masks_.values())


@pytest.mark.parametrize("kind", ["PrunedClassifier", "PrunedRegressor"])
def test_parameters_and_targets_say_the_same(kind: str) -> None:
    one = fit(0.6, kind, budget="parameters")
    other = fit(Target(0.6, budget="parameters"), kind)
    third = fit(Target(at_most=PARAMETERS * 4 // 10, budget="parameters"), kind)
    for estimator in (one, other, third):
        # Each weight counts one, so it is met exactly, with the 19 biases among what is left.
        assert sum(int(mask.sum()) for mask in estimator.masks_.values()) == 62 - 19
        assert estimator.report_.total_before.parameters == PARAMETERS
        assert estimator.report_.total_after.parameters <= 62
        for name, mask in estimator.masks_.items():
            np.testing.assert_array_equal(mask, one.masks_[name])


def test_steps_are_fractions_of_the_same_quantity() -> None:
    goal = Goal("macs", 1000, 200, 0.8)
    assert [goal.limit_at(s) for s in (0.0, 0.3, 0.79999, 0.8, 0.9)] == [1000, 700, 200, 200, 200]
    # What is asked for as a number is met as one, whatever its fraction is.
    third = Goal("macs", 1000, 333, 1 - 333 / 1000)
    assert third.limit_at(third.sparsity) == 333
    assert str(goal) == "at most 200 macs"
    assert str(Goal("elements", 10, 2, 0.8)) == "0.8"


@pytest.mark.parametrize("whole", [3, 7, 136, 12_345_677, 10**12 + 1])
def test_a_fraction_that_is_computed_is_met(whole: int) -> None:
    goal = Goal("macs", whole, 0, 1.0)
    for limit in {1, 2, whole // 3, whole // 2, whole - 1}:
        assert goal.limit_at(1 - limit / whole) == limit


# What cannot be reached.


class Never(Callback):
    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        raise AssertionError("trained")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"sparsity": 0.9, "budget": "parameters"},
            r"sparsity=0\.9, budget='parameters' leaves at most 15 of the network's 155 parameters"
            r"\. What has to stay takes 22 of them, of which layer 'hidden0' alone takes 9\. "
            r"Reachable are 22 to 155 parameters, a sparsity of 0 to 0\.858064\.",
        ),
        (
            {"sparsity": Target(at_most=17, budget="macs"), "protect": ["hidden0", "output"]},
            r"Target\(at_most=17, budget='macs'\) leaves at most 17 of the network's 136 macs\. "
            r"What has to stay takes 73 of them, of which layer 'hidden0' alone takes 48\. "
            r"Reachable are 73 to 136 macs, a sparsity of 0 to 0\.463235\.",
        ),
        (
            {"sparsity": 0.1, "budget": "bytes"},
            r"at most 558 of the network's 620 bytes\. What is masked is stored as zeros.* "
            r"Use structure='unit'.* Reachable are 620 to 620 bytes",
        ),
        (
            {"sparsity": 0.2, "budget": "macs", "strategy": {"hidden0": 0.5, "hidden1": 0.5}},
            r"leaves 108 of the network's 136 macs, and the allocation fixes layers 'hidden0', "
            r"'hidden1'\. Reachable are 57 to 80 macs, a sparsity of 0\.411764 to 0\.580882\.",
        ),
        (
            {"sparsity": 0.7, "budget": "macs", "strategy": {"hidden0": 0.5, "hidden1": 0.5}},
            r"What has to stay takes 57 of them, of which layer 'hidden1' alone takes 32\.",
        ),
    ],
    ids=repr,
)
def test_what_cannot_be_reached_is_told_before_any_training(
    params: dict[str, Any], message: str
) -> None:
    params = dict(params)
    if "strategy" in params:
        params["strategy"] = Strategy(allocation=params["strategy"])
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    net = make_net("PrunedClassifier", Perceptron, callbacks=[Never()])
    with pytest.raises(UnreachableSparsityError, match=message):
        PrunedClassifier(net, **params).fit(X, y)


@pytest.mark.parametrize("structure", ["weight", "unit", "feature", "block"])
@pytest.mark.parametrize("budget", ["weights", "parameters", "macs"])
@pytest.mark.parametrize("network", ["residual", "conv_batch_norm", "concatenation"])
def test_the_range_that_is_named_can_be_reached(structure: str, budget: str, network: str) -> None:
    with pytest.raises(UnreachableSparsityError) as error:
        fit(0.999, network=network, structure=structure, budget=budget)
    words = str(error.value).replace(",", "").rstrip(".").split()
    smallest, sparsity = int(words[words.index("Reachable") + 2]), float(words[-1])
    assert fit(sparsity, network=network, structure=structure, budget=budget)
    fitted = fit(Target(at_most=smallest, budget=budget), network=network, structure=structure)
    assert getattr(fitted.report_.total_after, budget) <= smallest
    with pytest.raises(UnreachableSparsityError):
        fit(Target(at_most=smallest - 1, budget=budget), network=network, structure=structure)


def test_a_number_above_what_the_allocation_allows_is_met_all_the_same() -> None:
    strategy = Strategy(allocation={"hidden0": 0.5, "hidden1": 0.5})
    estimator = fit(Target(at_most=100, budget="macs"), strategy=strategy)
    assert estimator.report_.total_after.macs <= 24 + 32 + 24


def test_what_nobody_counts_is_no_budget() -> None:
    module = nn.Sequential(nn.Flatten(), nn.EmbeddingBag(9, 3))
    example = NETWORKS["embedding_bag"]
    with pytest.raises(ValueError, match="The network has no macs that could be counted"):
        fit_untrained(
            "PrunedClassifier", module, example, sparsity=Target(at_most=10, budget="macs")
        )


def test_a_structure_that_fixes_its_sparsity_takes_no_other() -> None:
    with pytest.raises(ValueError, match=r"removes 0\.5 of .*, and sparsity=0\.5, budget='macs' "):
        fit(0.5, structure=NM(1, 2), budget="macs")
    assert fit(Target(at_most=68), structure=NM(1, 2)).sparsity_ == 0.5
    with pytest.raises(ValueError, match=r"Target\(at_most=60\) contradicts it"):
        fit(Target(at_most=60), structure=NM(1, 2))


@pytest.mark.parametrize("regrowth", ["set", "rigl", "splicing"])
def test_regrowth_holds_a_budget_only_where_elements_are_alike(regrowth: str) -> None:
    example = NETWORKS["mlp"]
    X, y = make_data("PrunedClassifier", example)

    def fitted(structure: Any, budget: str) -> PrunedClassifier:
        return PrunedClassifier(
            make_net("PrunedClassifier", Perceptron),
            strategy=Strategy(regrowth=regrowth),
            sparsity=0.5,
            budget=budget,
            structure=structure,
            fine_tune_epochs=4,
            random_state=0,
        ).fit(X, y)

    # Blocks of 4 x 4 of 8 x 6 weights, those of 2 x 2 of 3 x 8: some are smaller.
    for structure, layer in (("block", "hidden0"), (Block((2, 2)), "output")):
        with pytest.raises(ValueError, match=f"those of layer '{layer}' do not all have the same"):
            fitted(structure, "macs")
    assert fitted("block", "elements").sparsity_ == 0.5
    for structure in ("weight", Block((1, 2))):
        assert fitted(structure, "macs").report_.total_after.macs <= WEIGHTS / 2


# The search for the number of elements.


@pytest.mark.parametrize("seed", range(20))
def test_the_search_finds_a_number_that_is_within_while_the_next_is_not(seed: int) -> None:
    """Whatever the costs are, and whether or not they rise steadily."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-1, 40, size=300) ** rng.integers(1, 4)
    costs, looks = np.cumsum(steps), 0

    def cost(number: int) -> int:
        nonlocal looks
        looks += 1
        return int(costs[number])

    low, high = 5, 299
    limit = int(rng.integers(costs[low], costs[high]))
    found = _last(cost, limit, low, high)
    assert costs[found] <= limit < costs[found + 1]
    assert looks <= 3 * 9 + 2
    assert _last(cost, int(costs[high]), low, high) == high
    assert _last(cost, 0, low, low) == low


def test_few_looks_are_enough_where_costs_are_in_proportion() -> None:
    looks: list[int] = []
    found = _last(lambda n: looks.append(n) or 36 * n + 7, 12_345_678, 0, 1_000_000)
    assert found == (12_345_678 - 7) // 36
    assert len(looks) <= 10


# Along paths, and chosen by cross-validation.


@pytest.mark.parametrize("path", ["restart", "chained"])
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_a_path_goes_by_the_budget_of_its_estimator(path: str, structure: str) -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    estimator = PrunedClassifier(
        make_net("PrunedClassifier", Perceptron),
        budget="macs",
        structure=structure,
        random_state=0,
    )
    found = pruning_path(estimator, X, y, sparsities=[0.3, 0.6], path=path)
    assert found.dense.report_.total_after.macs == WEIGHTS
    for sparsity, fitted in zip((0.3, 0.6), found.estimators, strict=True):
        assert fitted.get_params()["budget"] == "macs"
        assert fitted.sparsity == sparsity
        assert fitted.report_.total_after.macs <= (1 - sparsity) * WEIGHTS
    if path == "restart":
        alone = clone(estimator).set_params(sparsity=0.6).fit(X, y)
        for name, mask in alone.masks_.items():
            np.testing.assert_array_equal(mask, found.estimators[1].masks_[name])


@pytest.mark.parametrize("budget", ["parameters", "macs", "bytes"])
def test_sparsities_that_are_counted_end_at_the_least_that_can_be_left(budget: str) -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    net = make_net("PrunedClassifier", Perceptron, max_epochs=0)
    estimator = PrunedClassifier(
        net, budget=budget, structure="unit", fine_tune_epochs=0, random_state=0
    )
    # One unit in each layer: 6 + 1 + 3 weights and 5 biases.
    least = {"parameters": 15, "macs": 10, "bytes": 60}[budget]
    path = pruning_path(estimator, X, y, sparsities=3)
    assert getattr(path.estimators[-1].report_.total_after, budget) == least


def test_a_path_does_not_lose_the_budget_of_a_target() -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    estimator = PrunedClassifier(sparsity=Target(0.5, budget="macs"), random_state=0)
    with pytest.raises(ValueError, match=r"would be lost\. Set budget='macs' on the estimator"):
        pruning_path(estimator, X, y, sparsities=[0.5])


def test_cross_validation_chooses_within_the_budget() -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    search = PrunedClassifierCV(
        make_net("PrunedClassifier", Perceptron),
        sparsities=[0.4, 0.7],
        budget="parameters",
        cv=2,
        random_state=0,
    ).fit(X, y)
    chosen = search.best_params_["sparsity"]
    assert search.report_.total_after.parameters <= (1 - chosen) * PARAMETERS
    alone = PrunedClassifier(
        make_net("PrunedClassifier", Perceptron),
        sparsity=chosen,
        budget="parameters",
        random_state=0,
    ).fit(X, y)
    for name, mask in alone.masks_.items():
        np.testing.assert_array_equal(mask, search.masks_[name])


# What dies of it may only make it less.


class Unbiased(nn.Module):
    """A layer without a bias, to which the constant of a dead unit could be given one."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 12)
        self.wide = nn.Linear(12, 40, bias=False)
        self.output = nn.Linear(40, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.wide(self.hidden(x).sigmoid()).relu())


def test_no_bias_that_dead_units_leave_behind_breaks_a_budget() -> None:
    X, y = make_data("PrunedRegressor", NETWORKS["mlp"])
    net = make_net("PrunedRegressor", Unbiased, max_epochs=1)
    # Almost no weight enters the first units, so that most of them put out a constant.
    strategy = Strategy(allocation={"hidden": 0.95})

    def fitted(budget: str) -> PrunedRegressor:
        target = Target(at_most=60, budget=budget)
        estimator = PrunedRegressor(net, strategy=strategy, sparsity=target, random_state=0)
        return estimator.fit(X, y)

    assert fitted("weights").module_.wide.bias is not None
    estimator = fitted("parameters")
    assert estimator.module_.wide.bias is None
    assert estimator.report_.total_after.parameters <= 60


def test_units_are_rounded_in_any_quantity() -> None:
    estimator = fit(Target(at_most=100, budget="macs"), structure=Unit(round_to=2))
    widths = estimator.module_.hidden0.out_features, estimator.module_.hidden1.out_features
    assert all(width % 2 == 0 for width in widths)
    one, other = widths
    assert one * 6 + one * other + other * 3 == estimator.report_.total_after.macs <= 100
