"""The laws that every strategy, structure and estimator obeys.

The tests run over the tables themselves, so that whatever is added to one is held to the laws.
"""

import pickle
import random
import re
from collections.abc import Collection
from copy import copy as shallow
from copy import deepcopy
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from functools import cache
from itertools import combinations, product
from math import ceil, floor, prod
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone, is_regressor
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn

from skprune import (
    PrunedClassifier,
    Strategy,
    Target,
    UnreachableSparsityError,
    pruning_path,
)
from skprune.estimators.base import BasePruned
from skprune.metrics.report import measure
from skprune.network.layers import weight_parameters
from skprune.network.network import Network
from skprune.pruning import loop
from skprune.pruning.choice import choose
from skprune.pruning.target import Goal, resolve_target
from skprune.strategies import (
    ALLOCATIONS,
    IMPORTANCES,
    RECOVERIES,
    REGROWTHS,
    REGULARIZERS,
    SCHEDULES,
    STARTS,
    STRATEGIES,
    Explicit,
)
from skprune.strategies.allocation import KeepBudget
from skprune.structures import STRUCTURES, Unit
from tests.helpers import (
    ESTIMATORS,
    STRUCTURES_OF_ANY,
    fit_untrained,
    make_data,
    make_net,
    masked_module,
    raw_outputs,
    run_loop,
    same_state,
    snapshot,
)
from tests.networks import LAW_NETWORKS, NETWORKS, TRACEABLE, Perceptron, Residual

every_estimator = pytest.mark.parametrize("kind", ESTIMATORS)
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
every_structure = pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
# What cannot come back, or only into its own group, is refused; see SENSELESS.
CASES = [
    (strategy, structure)
    for strategy, structure in product(STRATEGIES, STRUCTURES_OF_ANY)
    if STRATEGIES[strategy]().regrowth is None or structure not in ("unit", "2:4")
]
# Their scores are those of a layer among themselves; see SENSELESS.
INCOMPARABLE = ("apoz", "layer_obs", "wanda")
every_case = pytest.mark.parametrize(("strategy", "structure"), CASES)
every_law_network = pytest.mark.parametrize("network", LAW_NETWORKS)


def n_kept_of(sparsity: float, n_elements: int) -> int:
    """Count as one does on paper: the decimals as they are written, and halves removed."""
    removed = Decimal(str(sparsity)) * n_elements + Decimal("0.5")
    return n_elements - int(removed.to_integral_value(ROUND_FLOOR))


def elements_of(structure: str, network: str) -> dict[str, int]:
    """Number of elements of each layer of an example, counted without skprune where it can be."""
    example = NETWORKS[network]
    if structure == "unit":
        return dict(example.groups)
    weights = weight_parameters(example.build())
    shapes = {name.removesuffix(".weight"): weight.shape for name, weight in weights.items()}
    if structure in ("weight", "2:4"):
        return {name: prod(shape) for name, shape in shapes.items()}
    if structure == "block":
        return {name: ceil(o / 4) * ceil(i / 4) * prod(k) for name, (o, i, *k) in shapes.items()}
    if structure == "feature" and network in LAW_NETWORKS:
        first = next(iter(shapes))
        return {first: shapes[first][1]}
    return run_loop(example.build(), example, "random", structure, 0.0).elements.sizes


def asked(structure: str, sparsity: float) -> float | None:
    """The sparsity to ask for: None of a structure that means one by itself."""
    return None if structure == "2:4" else sparsity


def untrained(strategy: str) -> Strategy:
    """A strategy for where nothing is trained: without regrowth, which needs training."""
    return STRATEGIES[strategy]().set_params(regrowth=None)


def n_left(
    structure: str, network: str, sparsity: float | None, untouched: Collection[str] = ()
) -> int:
    """Number of elements that stay of the layers that are pruned."""
    sizes = {n: size for n, size in elements_of(structure, network).items() if n not in untouched}
    if structure != "2:4":
        return n_kept_of(sparsity, sum(sizes.values()))
    weights = weight_parameters(NETWORKS[network].build())
    inputs = {name: weights[f"{name}.weight"].shape[1] for name in sizes}
    kept = {name: n // 4 * 2 + min(n % 4, 2) for name, n in inputs.items()}
    return sum(size // inputs[name] * kept[name] for name, size in sizes.items())


def every_case_at(*sparsities: Any) -> Any:
    """Run over strategies with structures and, of those that can have any, some sparsities."""
    return pytest.mark.parametrize(
        ("strategy", "structure", "sparsity"),
        [
            (strategy, structure, sparsity)
            for strategy, structure in CASES
            for sparsity in (sparsities if asked(structure, 0.0) is not None else [None])
        ],
    )


# Law 1: the number of kept elements is exact.


@every_law_network
@every_case_at(0.0, 0.5, 0.9, "largest", "one less")
def test_the_count_is_exact(
    network: str, structure: str, strategy: str, sparsity: float | str | None
) -> None:
    sizes = elements_of(structure, network)
    total, n_layers = sum(sizes.values()), len(sizes)
    if sparsity == "largest":
        sparsity = 1 - n_layers / total
    elif sparsity == "one less":
        sparsity = 1 - (n_layers + 1) / total
    elif sparsity is not None and n_kept_of(sparsity, total) < n_layers:
        sparsity = 0.75 if n_kept_of(0.75, total) >= n_layers else 1 - n_layers / total
    run = run_loop(NETWORKS[network].build(), NETWORKS[network], strategy, structure, sparsity)
    assert run.elements.sizes == sizes
    assert sum(run.counts.values()) == n_left(structure, network, sparsity)
    assert min(run.counts.values()) >= 1
    for step, kept in zip(run.steps, run.kept, strict=True):
        assert sum(int(mask.sum()) for mask in kept.values()) == n_kept_of(step.sparsity, total)


@every_estimator
@every_case
def test_the_masks_and_the_module_have_the_exact_count(
    kind: str, structure: str, strategy: str
) -> None:
    example = NETWORKS["residual"]
    X, y = make_data(kind, example)
    estimator = ESTIMATORS[kind](
        make_net(kind, Residual),
        strategy=strategy,
        structure=structure,
        sparsity=asked(structure, 0.5),
        fine_tune_epochs=2,
        random_state=0,
    ).fit(X, y)
    sizes = elements_of(structure, "residual")
    kept = n_left(structure, "residual", 0.5)
    assert estimator.sparsity_ == 1 - kept / sum(sizes.values())
    assert {name: mask.shape for name, mask in estimator.masks_.items()} == {
        name: tuple(weight.shape) for name, weight in weight_parameters(Residual()).items()
    }
    n_weights = sum(int(mask.sum()) for mask in estimator.masks_.values())
    assert estimator.report_.total_after.weights <= n_weights
    if structure in ("weight", "2:4"):
        assert n_weights == kept
    if structure == "block":
        masks = {name: mask[::4, ::4] for name, mask in estimator.masks_.items()}
        assert sum(int(mask.sum()) for mask in masks.values()) == kept
    if structure == "feature":
        assert int(estimator.masks_["stem.weight"].any((0, 2, 3)).sum()) == kept
    if structure == "unit":
        assert estimator.module_.stem.out_channels + estimator.module_.conv1.out_channels == kept
        rows = {name: estimator.masks_[f"{name}.weight"].any((1, 2, 3)) for name in sizes}
        assert sum(int(row.sum()) for row in rows.values()) == kept


@every_case_at(0.0, 0.25, 0.5, 0.75)
def test_the_count_is_exact_where_all_weights_are_equal(
    structure: str, strategy: str, sparsity: float | None
) -> None:
    if structure == "feature" and sparsity == 0.75:
        pytest.skip("the network has two features, and one has to stay")
    example = NETWORKS["conv_batch_norm"]
    module = example.build()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.125)
    run = run_loop(module, example, untrained(strategy), structure, sparsity, epochs=0)
    assert sum(run.counts.values()) == n_left(structure, "conv_batch_norm", sparsity)


@pytest.mark.parametrize("structure", [name for name in STRUCTURES_OF_ANY if asked(name, 0.5)])
@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_largest_reachable_sparsity_is_told_and_can_be_reached(
    structure: str, allocation: str, schedule: str
) -> None:
    example = NETWORKS["concatenation"]
    strategy = Strategy(allocation=allocation, schedule=schedule)
    sizes = elements_of(structure, "concatenation")
    total, n_layers = sum(sizes.values()), len(sizes)
    with pytest.raises(UnreachableSparsityError, match="would be emptied") as caught:
        # One element less than there are layers, and below 1 where there is one layer.
        run_loop(example.build(), example, strategy, structure, 1 - (n_layers - 0.6) / total)
    message = str(caught.value)
    assert any(f"{name!r}" in message for name in sizes)
    largest = float(re.search(r"largest reachable sparsity is (\d\.\d+)\.", message).group(1))
    run = run_loop(example.build(), example, strategy, structure, largest)
    assert run.counts == dict.fromkeys(sizes, 1)


@every_estimator
def test_an_estimator_refuses_what_cannot_be_reached(kind: str) -> None:
    with pytest.raises(UnreachableSparsityError, match=r"such as 'output' would be emptied"):
        fit_untrained(kind, Perceptron(), NETWORKS["mlp"], sparsity=0.999)


@pytest.mark.parametrize(
    ("strategy", "structure"),
    # The first does not go along a chain.
    [case for case in CASES if case[0] != "early_bird" and case[1] in ("weight", "unit")],
)
def test_a_chain_comes_to_each_of_its_counts(strategy: str, structure: str) -> None:
    """Each sparsity begins with the network of the one before, which has lost elements."""
    example, sparsities = NETWORKS["mlp"], [0.5, 0.75]
    X, y = make_data("PrunedClassifier", example)
    estimator = PrunedClassifier(
        make_net("PrunedClassifier", Perceptron),
        strategy=strategy,
        structure=structure,
        fine_tune_epochs=12,
        random_state=0,
    )
    path = pruning_path(estimator, X, y, sparsities=sparsities, path="chained")
    for sparsity, fitted in zip(sparsities, path.estimators, strict=True):
        kept, total = n_left(structure, "mlp", sparsity), n_left(structure, "mlp", 0.0)
        assert fitted.sparsity_ == 1 - kept / total
        assert np.isfinite(fitted.predict_proba(X)).all()


@st.composite
def demands(draw: st.DrawFn) -> tuple[KeepBudget, int]:
    """Layers some of whose elements are gone, with many equal scores, and how many to keep."""
    n_layers = draw(st.integers(1, 5))
    sizes, shapes, scores, alive, least = {}, {}, {}, {}, {}
    for i in range(n_layers):
        shape = draw(st.lists(st.integers(1, 6), min_size=2, max_size=3))
        size = int(np.prod(shape))
        values = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
        gone = draw(st.lists(st.booleans(), min_size=size, max_size=size))
        gone[draw(st.integers(0, size - 1))] = False
        score = torch.tensor(values, dtype=torch.float64)
        score[torch.tensor(gone)] = -torch.inf
        name = f"layer{i}"
        sizes[name], shapes[name], scores[name] = size, tuple(shape), score
        alive[name] = gone.count(False)
        least[name] = draw(st.integers(1, alive[name]))
    n_keep = draw(st.integers(sum(least.values()), sum(alive.values())))
    return KeepBudget(n_keep, n_keep, sizes, shapes, scores, alive, least), n_keep


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@given(budget=demands())
def test_an_allocation_divides_exactly(allocation: str, budget: tuple[KeepBudget, int]) -> None:
    given, n_keep = budget
    counts = ALLOCATIONS[allocation]().counts(given)
    assert counts.keys() == given.sizes.keys()
    assert sum(counts.values()) == n_keep
    assert all(given.min_kept[name] <= counts[name] <= given.alive[name] for name in counts)


# Law 1 in other quantities: what is left costs at most the target, and one element more would cost
# more. The costs are those of networks from which the elements were really removed.

BUDGETS = ["weights", "parameters", "macs", "bytes"]
# Zeros are stored, so that masks save no bytes; N:M and what regrows unlike elements take none.
BUDGET_CASES = [
    (strategy, structure, budget)
    for (strategy, structure), budget in product(CASES, ["parameters", "macs"])
    if structure != "2:4" and (STRATEGIES[strategy]().regrowth is None or structure != "block")
]
every_budget_case = pytest.mark.parametrize(("strategy", "structure", "budget"), BUDGET_CASES)


def left_of(network: Network, budget: str) -> int:
    """How much a network has of a quantity."""
    sizes = measure(network.module, network.inputs, network.forward, network.masks)
    return sum(getattr(size, budget) for size in sizes.values())


@cache
def halfway(structure: str, network: str, budget: str) -> Target:
    """A target between all that there is and what is left if each layer keeps one element."""
    example, sizes = NETWORKS[network], elements_of(structure, network)
    most, least = (
        run_loop(example.build(), example, "random", structure, sparsity, epochs=0).network
        for sparsity in (0.0, 1 - len(sizes) / sum(sizes.values()))
    )
    return Target(at_most=(left_of(most, budget) + left_of(least, budget)) // 2, budget=budget)


@pytest.mark.parametrize("network", ["residual", "depthwise"])
@every_budget_case
def test_a_budget_is_met_from_below(
    strategy: str, structure: str, budget: str, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    example, target = NETWORKS[network], halfway(structure, network, budget)
    n_choices = 0

    def checked(elements: Any, strategy: Any, scores: Any, sparsity: float, goal: Goal) -> Any:
        nonlocal n_choices
        n_choices += 1
        kept = choose(elements, strategy, scores, sparsity, goal)
        at_most = max(target.at_most, floor((1 - Fraction(str(sparsity))) * goal.whole + 1e-6))
        assert elements.cost(kept, budget) <= at_most
        n_keep = 1 + sum(int(mask.sum()) for mask in kept.values())
        if n_keep <= sum(int((score > -torch.inf).sum()) for score in scores.values()):
            more = Goal("elements", elements.n_elements, n_keep, sparsity)
            assert (
                elements.cost(choose(elements, strategy, scores, sparsity, more), budget) > at_most
            )
        return kept

    monkeypatch.setattr(loop, "choose", checked)
    run = run_loop(example.build(), example, strategy, structure, target, epochs=4)
    assert left_of(run.network, budget) <= target.at_most
    # A step that asks for no more than is gone chooses nothing; all that went was chosen.
    sizes = [sum(int(mask.sum()) for mask in kept.values()) for kept in run.kept]
    assert n_choices >= len(set(sizes))


@every_law_network
@pytest.mark.parametrize("structure", ["weight", "unit", "feature", "block"])
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("allocation", [*ALLOCATIONS, "explicit"])
def test_one_element_more_would_cost_more(
    network: str, structure: str, budget: str, allocation: str
) -> None:
    if budget == "bytes" and structure != "unit":
        pytest.skip("zeros are stored")
    example, target = NETWORKS[network], halfway(structure, network, budget)

    def left(change: int | None) -> tuple[int, int]:
        """What is left, and of how many elements, if so many more are kept than the budget says."""
        inputs = torch.from_numpy(example.inputs(8))
        network = Network(example.build(), inputs, lambda module, inputs: module(inputs))
        elements = STRUCTURES[structure]().elements(network, ())
        named = {max(elements.sizes, key=elements.sizes.get): (0, 0.9)}
        rule = Explicit(named, "global") if allocation == "explicit" else allocation
        strategy = Strategy(allocation=rule).resolved()
        generator = torch.Generator().manual_seed(1)
        scores = {n: torch.rand(size, generator=generator) for n, size in elements.sizes.items()}
        goal = resolve_target(elements, strategy, target)
        if change is not None:
            total, n_keep = elements.n_elements, left(None)[1] + change
            goal = Goal("elements", total, n_keep, 1 - n_keep / total)
        kept = choose(elements, strategy, scores, goal.sparsity, goal)
        elements.keep(kept)
        return left_of(network, budget), elements.n_kept

    assert left(None) == left(0)
    assert left(0)[0] <= target.at_most < left(1)[0]


@every_budget_case
def test_the_report_of_a_fit_is_within_the_budget(
    strategy: str, structure: str, budget: str
) -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["residual"])
    target = halfway(structure, "residual", budget)
    estimator = PrunedClassifier(
        make_net("PrunedClassifier", Residual),
        strategy=strategy,
        structure=structure,
        sparsity=target,
        fine_tune_epochs=2,
        random_state=0,
    ).fit(X, y)
    assert 0 < getattr(estimator.report_.total_after, budget) <= target.at_most
    assert estimator.sparsity_ > 0


@pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
@pytest.mark.parametrize("regrowth", REGROWTHS)
def test_a_budget_that_regrowth_cannot_hold_is_refused(structure: str, regrowth: str) -> None:
    if structure in ("weight", "feature"):
        pytest.skip("one element of a layer costs what another does")
    with pytest.raises(ValueError, match=r"regrowth=|contradicts it"):
        fit_untrained(
            "PrunedClassifier",
            Residual(),
            NETWORKS["residual"],
            structure=structure,
            strategy=Strategy(regrowth=regrowth),
            sparsity=Target(0.3, budget="weights"),
        )


# Law 1 where units are rounded: at most as many as the target leaves, in whole multiples.


@every_law_network
@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("round_to", [2, 3, 8])
def test_units_are_kept_in_multiples(
    network: str, allocation: str, schedule: str, round_to: int
) -> None:
    example, sizes = NETWORKS[network], elements_of("unit", network)
    strategy = Strategy(allocation=allocation, schedule=schedule)
    least = sum(min(round_to, size) for size in sizes.values())
    total = sum(sizes.values())
    for sparsity in (0.0, 0.25, 0.4, 1 - least / total):
        wanted = n_kept_of(sparsity, total)
        if wanted < least:
            with pytest.raises(UnreachableSparsityError, match="largest reachable sparsity is"):
                run_loop(example.build(), example, strategy, Unit(round_to=round_to), sparsity)
            continue
        run = run_loop(example.build(), example, strategy, Unit(round_to=round_to), sparsity)
        for kept in run.kept:
            for name, mask in kept.items():
                n_kept = int(mask.sum())
                assert n_kept == sizes[name] or (n_kept > 0 and n_kept % round_to == 0)
        assert wanted - round_to < sum(run.counts.values()) <= wanted or wanted == total
        for earlier, later in zip(run.kept, run.kept[1:], strict=False):
            assert all(not (later[name] & ~earlier[name]).any() for name in later)


# Law 2: masked weights are exactly zero.


class Restore(Callback):
    """Loads the weights that the network had when it was dense, as a checkpoint may do."""

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if not hasattr(self, "dense_"):
            self.dense_ = snapshot(net.module_)
        net.module_.load_state_dict(self.dense_)


OPTIMIZERS = {
    "sgd": {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "optimizer__weight_decay": 0.1,
        "optimizer__nesterov": True,
    },
    "adam": {"optimizer": torch.optim.Adam, "optimizer__weight_decay": 0.1},
    "adamw": {"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 0.1},
    "rmsprop": {"optimizer": torch.optim.RMSprop, "optimizer__momentum": 0.9, "lr": 0.002},
    "lbfgs": {"optimizer": torch.optim.LBFGS, "optimizer__max_iter": 4},
}


def assert_masked(estimator: BasePruned) -> None:
    """Compare with the masks weight by weight, or by their number where units have died."""
    for name, weight in weight_parameters(estimator.module_).items():
        mask, values = estimator.masks_[name], weight.detach().numpy()
        assert values.any(), name
        if values.shape == mask.shape:
            assert (values[~mask] == 0.0).all(), name
        else:
            assert values.size < mask.size
            assert np.count_nonzero(values) <= mask.sum(), name


def assert_stays_masked(kind: str, strategy: str, optimizer: str) -> None:
    X, y = make_data(kind, NETWORKS["mlp"])
    net = make_net(kind, Perceptron, max_epochs=2, **OPTIMIZERS[optimizer])
    estimator = ESTIMATORS[kind](net, strategy=strategy, sparsity=0.2, random_state=0).fit(X, y)
    assert_masked(estimator)
    assert_masked(estimator.partial_fit(X, y))
    loaded = pickle.loads(pickle.dumps(estimator))
    assert_masked(loaded)
    before = snapshot(loaded.module_)
    assert_masked(loaded.partial_fit(X, y).partial_fit(X, y))
    assert not same_state(before, snapshot(loaded.module_))


@every_estimator
@every_strategy
def test_masked_weights_stay_zero_in_any_strategy(kind: str, strategy: str) -> None:
    assert_stays_masked(kind, strategy, "sgd")


@every_estimator
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_masked_weights_stay_zero_under_any_optimizer(kind: str, optimizer: str) -> None:
    assert_stays_masked(kind, "gradual_magnitude", optimizer)


class Count(Callback):
    """Counts the weights that are not zero after each batch of the last stage."""

    def initialize(self) -> "Count":
        self.counts_: list[int] = []
        return self

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        weights = weight_parameters(net.module_).values()
        self.counts_.append(sum(int(torch.count_nonzero(weight)) for weight in weights))


@every_estimator
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_masked_weights_are_zero_after_every_batch(kind: str, optimizer: str) -> None:
    X, y = make_data(kind, NETWORKS["mlp"])
    net = make_net(kind, Perceptron, callbacks=[("count", Count())], **OPTIMIZERS[optimizer])
    estimator = ESTIMATORS[kind](net, sparsity=0.2, fine_tune_epochs=2, random_state=0).fit(X, y)
    kept = sum(int(mask.sum()) for mask in estimator.masks_.values())
    counts = dict(estimator.net_.callbacks_)["count"].counts_
    assert len(counts) == 2 * 3
    assert set(counts) == {kept}


@every_estimator
def test_masked_weights_stay_zero_whatever_a_callback_loads(kind: str) -> None:
    X, y = make_data(kind, NETWORKS["mlp"])
    net = make_net(kind, Perceptron, callbacks=[Restore()])
    estimator = ESTIMATORS[kind](net, sparsity=0.4, fine_tune_epochs=1, random_state=0).fit(X, y)
    assert_masked(estimator)
    assert_masked(estimator.partial_fit(X, y))


@every_estimator
@pytest.mark.parametrize("network", ["conv_batch_norm", "tied_weights"])
def test_masked_weights_stay_zero_where_units_have_gone_too(kind: str, network: str) -> None:
    example = NETWORKS[network]
    X, y = make_data(kind, example)
    net = make_net(kind, example.module, **OPTIMIZERS["adam"])
    strategy = Strategy(allocation="global", schedule="cubic")
    estimator = ESTIMATORS[kind](net, strategy=strategy, sparsity=0.95, random_state=0).fit(X, y)
    assert estimator.report_.total_after.units < estimator.report_.total_before.units
    n_weights = estimator.report_.total_after.weights
    for _ in range(3):
        weights = weight_parameters(estimator.module_).values()
        assert sum(int(torch.count_nonzero(weight)) for weight in weights) == n_weights
        assert sum(weight.numel() for weight in weights) > n_weights
        estimator = pickle.loads(pickle.dumps(estimator)).partial_fit(X, y)


# Law 3: compaction changes no prediction.


def assert_predicts_as_masked(
    kind: str, module: nn.Module, network: str, **params: Any
) -> BasePruned:
    """Compare with the network as large as it was, its masked weights at zero."""
    example = NETWORKS[network]
    estimator = fit_untrained(kind, module, example, **params)
    X = example.inputs(40, seed=1)
    with torch.no_grad():
        expected = masked_module(module, estimator.masks_).eval()(torch.from_numpy(X))
    if not is_regressor(estimator):
        expected = expected.softmax(1)
    np.testing.assert_allclose(
        raw_outputs(kind, estimator, X), expected.numpy(), rtol=1e-5, atol=1e-6
    )
    return estimator


def without_compensation(score: Any) -> Any:
    return lambda self, context: replace(score(self, context), compensate=None)


@every_case
@every_law_network
def test_compaction_changes_no_prediction(
    strategy: str, structure: str, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A compensation changes the weights that stay, on purpose: without it, removal alone is judged.
    for importance in IMPORTANCES.values():
        monkeypatch.setattr(importance, "score", without_compensation(importance.score))
    module = NETWORKS[network].build()
    assert_predicts_as_masked(
        "PrunedRegressor",
        module,
        network,
        strategy=untrained(strategy),
        structure=structure,
        sparsity=asked(structure, 0.7),
    )


@every_estimator
@every_structure
def test_compaction_changes_no_prediction_of_any_estimator(kind: str, structure: str) -> None:
    module = NETWORKS["residual"].build()
    assert_predicts_as_masked(
        kind, module, "residual", structure=structure, sparsity=asked(structure, 0.7)
    )


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
@pytest.mark.parametrize("strategy", ["magnitude", "random"])
def test_compaction_changes_no_prediction_of_any_network_with_masked_weights(
    network: str, sparsity: float, strategy: str
) -> None:
    module = NETWORKS[network].build(seed=1)
    assert_predicts_as_masked(
        "PrunedRegressor", module, network, sparsity=sparsity, strategy=strategy
    )


@pytest.mark.parametrize("network", [n for n in TRACEABLE if not TRACEABLE[n].mixes])
@pytest.mark.parametrize("sparsity", [0.5, 0.75])
@pytest.mark.parametrize("strategy", ["magnitude", "random"])
def test_compaction_changes_no_prediction_of_any_network_without_units(
    network: str, sparsity: float, strategy: str
) -> None:
    module = NETWORKS[network].build(seed=1)
    estimator = assert_predicts_as_masked(
        "PrunedRegressor", module, network, structure="unit", sparsity=sparsity, strategy=strategy
    )
    n_units = sum(NETWORKS[network].groups.values())
    assert estimator.sparsity_ == 1 - n_kept_of(sparsity, n_units) / n_units
    assert estimator.report_.total_after.parameters < estimator.report_.total_before.parameters


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh, nn.GELU])
@pytest.mark.parametrize(
    ("network", "options"),
    [("mlp", {}), ("mlp", {"bias": False}), ("conv_batch_norm", {"padding": 0})],
)
def test_constants_of_dead_units_move_into_what_follows(
    activation: type[nn.Module], network: str, options: dict[str, Any]
) -> None:
    module = NETWORKS[network].build(activation=activation, **options)
    estimator = assert_predicts_as_masked(
        "PrunedRegressor",
        module,
        network,
        strategy=Strategy(importance="random", allocation="uniform"),
        sparsity=0.93,
    )
    assert estimator.report_.total_after.units < estimator.report_.total_before.units


# Law 4: the output and what is protected keep their units; the user's own net never changes.


@pytest.mark.parametrize(
    ("network", "structure"),
    [
        (network, structure)
        for network, structure in product(TRACEABLE, STRUCTURES_OF_ANY)
        # Tokens are no features, and the other has one alone.
        if structure != "feature" or network not in ("embedding", "embedding_bag", "conv3d")
    ],
)
def test_the_output_keeps_its_units(network: str, structure: str) -> None:
    module = NETWORKS[network].build()
    estimator = fit_untrained(
        "PrunedClassifier",
        module,
        NETWORKS[network],
        structure=structure,
        sparsity=asked(structure, 0.6),
    )
    X = NETWORKS[network].inputs(5)
    assert estimator.predict_proba(X).shape == (5, len(estimator.classes_))


def assert_protects(name: str, network: str, structure: str, strategy: str) -> None:
    module = NETWORKS[network].build()
    sizes = elements_of(structure, network)
    params = {
        "structure": structure,
        "strategy": untrained(strategy),
        "protect": [name],
        "sparsity": asked(structure, 0.6),
    }
    if list(sizes) == [name]:
        with pytest.raises(ValueError, match=f"while layer {name!r}, which reads them, is prot"):
            fit_untrained("PrunedRegressor", module, NETWORKS[network], **params)
        return
    estimator = fit_untrained("PrunedRegressor", module, NETWORKS[network], **params)
    before, after = module.get_submodule(name), estimator.module_.get_submodule(name)
    assert after.weight.shape[0] == before.weight.shape[0]
    rest = sum(size for layer, size in sizes.items() if layer != name)
    assert estimator.sparsity_ == 1 - n_left(structure, network, 0.6, [name]) / rest
    if structure != "unit":
        assert estimator.masks_[f"{name}.weight"].all()


@every_case
def test_what_is_protected_keeps_its_units(structure: str, strategy: str) -> None:
    assert_protects("stem", "concatenation", structure, strategy)


@every_structure
@pytest.mark.parametrize(
    ("network", "name"),
    [(network, name) for network in LAW_NETWORKS for name in elements_of("unit", network)],
)
def test_every_layer_can_be_protected(network: str, name: str, structure: str) -> None:
    assert_protects(name, network, structure, "magnitude")


def inside(value: Any) -> Any:
    """What must stay the same of a parameter: its state if it has one, else itself."""
    if isinstance(value, nn.Module):
        return snapshot(value), value.training, [p.requires_grad for p in value.parameters()]
    if isinstance(value, torch.optim.Optimizer):
        return deepcopy(value.state_dict())
    if isinstance(value, Callback):
        plain = (bool, int, float, str, dict, list, type(None))
        return deepcopy({k: v for k, v in vars(value).items() if isinstance(v, plain)})
    if isinstance(value, (list, tuple)):
        return [inside(item) for item in value]
    return value


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one is other or bool(one == other)


@every_estimator
@every_structure
@pytest.mark.parametrize(
    ("state", "strategy"),
    [
        ("not fitted", "gradual_magnitude"),
        ("not fitted", "random_at_init"),
        ("fitted", "gradual_magnitude"),
        ("frozen", "gradual_magnitude"),
    ],
)
def test_the_net_of_the_user_never_changes(
    kind: str, structure: str, strategy: str, state: str
) -> None:
    example = NETWORKS["conv_batch_norm"]
    X, y = make_data(kind, example)
    net = make_net(
        kind,
        example.build(),
        max_epochs=2,
        callbacks=[
            EarlyStopping("train_loss", patience=3),
            ("rate", LRScheduler("StepLR", step_size=1)),
        ],
        optimizer=torch.optim.Adam,
    )
    if state != "not fitted":
        net.fit(X, y if is_regressor(ESTIMATORS[kind]()) else y.astype(np.int64))
    objects = dict(vars(net))
    contents = {name: inside(value) for name, value in objects.items()}
    given = FrozenEstimator(net) if state == "frozen" else net
    estimator = ESTIMATORS[kind](
        given,
        structure=structure,
        strategy=strategy,
        sparsity=asked(structure, 0.5),
        random_state=0,
    )
    estimator.fit(X, y).partial_fit(X, y).predict(X)
    assert estimator.estimator is given
    assert estimator.net_ is not net
    assert vars(net).keys() == objects.keys()
    for name, value in vars(net).items():
        assert value is objects[name], name
        assert same(inside(value), contents[name]), name


# Law 5: same seed, same masks and weights, bit for bit.


class Noisy(nn.Module):
    """Draws random numbers as it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden0 = nn.Linear(6, 12)
        self.hidden1 = nn.Linear(12, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.dropout(self.hidden0(x).relu(), 0.3, self.training)
        return self.output(self.hidden1(x).relu())


def fit_bits(kind: str, strategy: str, structure: str, disturbance: int = 0) -> dict[str, Any]:
    """All that a fit and what follows it decide on, whatever the global generators are at."""
    if disturbance:
        torch.manual_seed(disturbance)
        random.seed(disturbance)
    X, y = make_data(kind, NETWORKS["mlp"])
    estimator = ESTIMATORS[kind](
        make_net(kind, Noisy, max_epochs=2, train_split=None),
        strategy=strategy,
        structure=structure,
        sparsity=asked(structure, 0.5),
        random_state=3,
    ).fit(X, y)
    estimator.partial_fit(X, y)
    return bits(estimator, kind, X)


def bits(estimator: BasePruned, kind: str, X: np.ndarray) -> dict[str, Any]:
    state = {name: tensor.numpy() for name, tensor in snapshot(estimator.module_).items()}
    return {"masks": estimator.masks_, "state": state, "outputs": raw_outputs(kind, estimator, X)}


def assert_same_bits(one: dict[str, Any], other: dict[str, Any]) -> None:
    for part in ("masks", "state"):
        assert one[part].keys() == other[part].keys()
        for name in one[part]:
            np.testing.assert_array_equal(one[part][name], other[part][name], strict=True)
    np.testing.assert_array_equal(one["outputs"], other["outputs"], strict=True)


JOBS = [(kind, *case) for kind in ESTIMATORS for case in CASES]


@every_estimator
@every_case
def test_the_same_seed_gives_the_same_bits(kind: str, strategy: str, structure: str) -> None:
    assert_same_bits(fit_bits(kind, strategy, structure, 1), fit_bits(kind, strategy, structure, 2))


def test_another_seed_gives_another_network() -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    net = make_net("PrunedClassifier", Noisy)
    one, other = (
        ESTIMATORS["PrunedClassifier"](net, sparsity=0.5, random_state=seed).fit(X, y)
        for seed in (0, 1)
    )
    assert not np.array_equal(one.masks_["hidden0.weight"], other.masks_["hidden0.weight"])


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_parallel_fits_give_the_bits_of_serial_ones(backend: str) -> None:
    jobs = JOBS if backend == "loky" else JOBS[::2]
    parallel = joblib.Parallel(n_jobs=2 if backend == "loky" else 4, backend=backend)(
        joblib.delayed(fit_bits)(*job) for job in jobs
    )
    for job, found in zip(jobs, parallel, strict=True):
        assert_same_bits(found, fit_bits(*job))


@every_estimator
@every_case
def test_the_global_generators_stay_untouched(kind: str, strategy: str, structure: str) -> None:
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    fit_bits(kind, strategy, structure)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_equal(np.random.get_state(), states[1])  # noqa: NPY002
    assert random.getstate() == states[2]


# Law 6: the same estimator before and after clone, pickle, deepcopy, set_params.


def round_trip(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@every_estimator
@every_case
def test_a_copy_is_the_same_estimator(kind: str, strategy: str, structure: str) -> None:
    X, y = make_data(kind, NETWORKS["mlp"])
    estimator = ESTIMATORS[kind](
        make_net(kind, Perceptron),
        strategy=strategy,
        structure=structure,
        sparsity=asked(structure, 0.4),
        fine_tune_epochs=1,
        protect=["hidden1"],
        random_state=5,
    )
    copies = [clone(estimator), round_trip(estimator), shallow(estimator), deepcopy(estimator)]
    expected = bits(estimator.fit(X, y), kind, X)
    for copy in copies:
        assert repr(copy) == repr(estimator)
        assert_same_bits(bits(copy.fit(X, y), kind, X), expected)


@every_estimator
@every_structure
def test_parameters_that_are_set_are_those_that_are_given(kind: str, structure: str) -> None:
    X, y = make_data(kind, NETWORKS["mlp"])
    strategy = Strategy(
        importance="lamp", allocation="global", schedule=SCHEDULES["cubic"](n_steps=3)
    )
    estimator = ESTIMATORS[kind](
        make_net(kind, Perceptron), strategy=strategy, structure=structure, random_state=0
    ).set_params(sparsity=asked(structure, 0.5))
    other = ESTIMATORS[kind](make_net(kind, Perceptron, lr=1.0), random_state=0)
    other.set_params(
        estimator__lr=0.05,
        structure=structure,
        sparsity=asked(structure, 0.5),
        strategy="magnitude",
        strategy__importance="lamp",
        strategy__allocation="global",
        strategy__schedule="cubic",
        strategy__schedule__n_steps=3,
    )
    assert_same_bits(bits(estimator.fit(X, y), kind, X), bits(other.fit(X, y), kind, X))
    other.set_params(**other.get_params(deep=False))
    assert_same_bits(bits(estimator, kind, X), bits(other.fit(X, y), kind, X))


@every_strategy
@pytest.mark.parametrize("axis", Strategy.axes)
def test_every_axis_is_reached_by_its_name(strategy: str, axis: str) -> None:
    tables = {
        "importance": IMPORTANCES,
        "allocation": ALLOCATIONS,
        "schedule": SCHEDULES,
        "recovery": RECOVERIES,
        "start": STARTS,
        "regularizer": REGULARIZERS,
        "regrowth": REGROWTHS,
    }
    for name, component in tables[axis].items():
        estimator = ESTIMATORS["PrunedClassifier"](strategy=strategy)
        estimator.set_params(**{f"strategy__{axis}": name})
        assert type(getattr(estimator.strategy.resolved(), axis)) is component
        for parameter, value in component().get_params().items():
            estimator.set_params(**{f"strategy__{axis}__{parameter}": value})
            assert estimator.get_params()[f"strategy__{axis}__{parameter}"] == value


@every_estimator
@every_case
def test_a_fitted_estimator_survives(
    kind: str, strategy: str, structure: str, tmp_path: Any
) -> None:
    X, y = make_data(kind, NETWORKS["mlp"])
    estimator = ESTIMATORS[kind](
        make_net(kind, Perceptron, optimizer=torch.optim.Adam),
        strategy=strategy,
        structure=structure,
        sparsity=asked(structure, 0.5),
        random_state=0,
    ).fit(X, y)
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    others = [
        round_trip(estimator),
        shallow(estimator),
        deepcopy(estimator),
        joblib.load(tmp_path / "estimator.joblib"),
    ]
    expected = bits(estimator, kind, X)
    continued = bits(estimator.partial_fit(X, y), kind, X)
    assert not np.array_equal(expected["outputs"], continued["outputs"])
    for other in others:
        assert_same_bits(bits(other, kind, X), expected)
        assert repr(other.report_) == repr(estimator.report_)
        assert other.history_[:1] == estimator.history_[:1]
        assert_same_bits(bits(other.partial_fit(X, y), kind, X), continued)


@every_estimator
def test_an_optimizer_goes_on_from_where_it_was(kind: str) -> None:
    X, y = make_data(kind, NETWORKS["mlp"])
    net = make_net(kind, Perceptron, optimizer=torch.optim.Adam)
    estimator = ESTIMATORS[kind](net, sparsity=0.2, random_state=0).fit(X, y).partial_fit(X, y)
    estimator = round_trip(estimator).partial_fit(X, y)
    steps = {int(state["step"]) for state in estimator.net_.optimizer_.state.values()}
    assert steps == {2 * 3}


# Law 7: masks are nested along a schedule.


@every_structure
@pytest.mark.parametrize(
    ("importance", "allocation"),
    [
        (importance, allocation)
        for importance, allocation in product(IMPORTANCES, ALLOCATIONS)
        if allocation != "global" or importance not in INCOMPARABLE
    ],
)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_is_gone_stays_gone(
    structure: str, importance: str, allocation: str, schedule: str
) -> None:
    example = NETWORKS["residual"]
    strategy = Strategy(importance, allocation, schedule)
    run = run_loop(example.build(), example, strategy, structure, asked(structure, 0.6))
    for earlier, later in zip(run.kept, run.kept[1:], strict=False):
        for name in earlier:
            assert not (later[name] & ~earlier[name]).any()
    kept = n_left(structure, "residual", 0.6)
    assert run.elements.sparsity == 1 - kept / run.elements.n_elements
    assert len(run.kept) == len(run.steps)
    assert (len(run.steps) > 1) == (schedule != "one_shot")


# Every axis combines with every other.

AXES: dict[str, list[Any]] = {
    "importance": list(IMPORTANCES),
    "allocation": [*ALLOCATIONS, "explicit"],
    "schedule": list(SCHEDULES),
    "recovery": list(RECOVERIES),
    "start": list(STARTS),
    "regularizer": [None, *REGULARIZERS],
    "regrowth": [None, *REGROWTHS],
    "structure": list(STRUCTURES_OF_ANY),
    "kind": list(ESTIMATORS),
    "network": LAW_NETWORKS,
}

# Pairs that make no sense, and what the error says of them.
SENSELESS = {
    ("recovery", "distill", "start", "init"): "teacher",
    ("recovery", "distill", "start", "early"): "teacher",
    ("importance", "movement", "start", "early"): "watched its share",
    ("structure", "2:4", "allocation", "explicit"): "fixes the sparsity of every layer",
}
SENSELESS |= {
    ("importance", importance, "allocation", "global"): "compares the scores of different layers"
    for importance in INCOMPARABLE
}
SENSELESS |= {
    ("regularizer", regularizer, "start", "early"): "has to train before that"
    for regularizer in REGULARIZERS
}
SENSELESS |= {
    ("regrowth", regrowth, "structure", "unit"): "gone from the network" for regrowth in REGROWTHS
}
SENSELESS |= {
    ("regrowth", regrowth, "structure", "2:4"): "says how many stay" for regrowth in REGROWTHS
}


def makes_sense(values: dict[str, Any]) -> bool:
    return not any(
        values.get(axis) == value and values.get(other) == its
        for axis, value, other, its in SENSELESS
    )


def covering() -> list[dict[str, Any]]:
    """Combinations that together have every pair of values of two axes that makes sense."""
    names = list(AXES)
    missing = {
        (a, one, b, other)
        for a, b in combinations(names, 2)
        for one, other in product(AXES[a], AXES[b])
        if makes_sense({a: one, b: other})
    }
    rows = []
    while missing:
        a, one, b, other = min(missing, key=str)
        row = {a: one, b: other}
        for name in names:
            if name in row:
                continue
            row[name] = max(
                (value for value in AXES[name] if makes_sense({**row, name: value})),
                key=lambda value, name=name: sum(
                    not missing.isdisjoint({(name, value, k, v), (k, v, name, value)})
                    for k, v in row.items()
                ),
            )
        row = {name: row[name] for name in names}
        missing -= {(a, row[a], b, row[b]) for a, b in combinations(names, 2)}
        rows.append(row)
    return rows


def explicit(structure: str, network: str) -> Explicit:
    """Prunes the first layer by little, and leaves the last alone where there are others."""
    first, *others = elements_of(structure, network)
    return Explicit({first: 0.25} | ({others[-1]: None} if len(others) > 1 else {}))


def combined(values: dict[str, Any]) -> tuple[BasePruned, np.ndarray, np.ndarray]:
    kind, network, structure = (values[name] for name in ("kind", "network", "structure"))
    example = NETWORKS[network]
    axes = {name: values[name] for name in list(AXES)[:7]}
    if axes["allocation"] == "explicit":
        axes["allocation"] = explicit(structure, network)
    estimator = ESTIMATORS[kind](
        make_net(kind, example.module),
        strategy=Strategy(**axes),
        structure=structure,
        sparsity=asked(structure, 0.4),
        fine_tune_epochs=3,
        random_state=0,
    )
    return estimator, *make_data(kind, example)


COVERING = covering()


@pytest.mark.parametrize("values", COVERING, ids=lambda values: "-".join(map(str, values.values())))
def test_values_of_the_axes_combine(values: dict[str, Any]) -> None:
    """Every pair of values of two axes."""
    estimator, X, y = combined(values)
    estimator.fit(X, y)
    sizes = elements_of(values["structure"], values["network"])
    if values["allocation"] == "explicit":
        layers = estimator.strategy.allocation.layers
        sizes = {name: n for name, n in sizes.items() if layers.get(name, 0.0) is not None}
    total = sum(sizes.values())
    kept = (
        n_left(values["structure"], values["network"], 0.4)
        if values["allocation"] != "explicit"
        else n_kept_of(0.4, total)
    )
    assert estimator.sparsity_ == 1 - kept / total
    assert np.isfinite(raw_outputs(values["kind"], estimator, X)).all()
    if values["structure"] != "unit":
        assert_masked(estimator)


@pytest.mark.parametrize("pair", SENSELESS, ids=lambda pair: "-".join(map(str, pair[1::2])))
def test_what_makes_no_sense_is_an_error_that_says_why(pair: tuple[str, str, str, str]) -> None:
    axis, value, other, its = pair
    values = {name: options[0] for name, options in AXES.items()} | {axis: value, other: its}
    estimator, X, y = combined(values)
    with pytest.raises(ValueError, match=SENSELESS[pair]):
        estimator.fit(X, y)
