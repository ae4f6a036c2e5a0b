"""Allocations against the published rules, written out again."""

from collections.abc import Mapping
from math import floor, prod
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skorch.callbacks import Callback
from torch import nn

from skprune import PrunedClassifier, Strategy, UnreachableSparsityError
from skprune.network.layers import weight_parameters
from skprune.network.network import Network
from skprune.strategies import ALLOCATIONS, ERK, SCHEDULES, Explicit, Global, Uniform
from skprune.strategies.allocation import KeepBudget
from skprune.structures import Block
from tests.helpers import fit_untrained, forward, make_data, make_net, run_loop
from tests.networks import NETWORKS, Perceptron

SHAPES = {"a": (30, 20), "b": (10, 5, 3, 3), "c": (4, 6), "d": (2, 50)}


def make_demand(
    sparsity: float, shapes: Mapping[str, tuple[int, ...]], seed: int = 0, ties: bool = False
) -> KeepBudget:
    generator = torch.Generator().manual_seed(seed)
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    scores = {
        name: torch.randint(0, 4, (size,), generator=generator).double()
        if ties
        else torch.rand(size, generator=generator)
        for name, size in sizes.items()
    }
    total = sum(sizes.values())
    n_keep = total - floor(sparsity * total + 0.5)
    return KeepBudget(n_keep, n_keep, sizes, shapes, scores, sizes, dict.fromkeys(sizes, 1))


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.9, 0.97])
def test_uniform_keeps_the_same_fraction_of_every_layer(sparsity: float) -> None:
    budget = make_demand(sparsity, SHAPES)
    counts = Uniform().counts(budget)
    for name, size in budget.sizes.items():
        assert abs(counts[name] - (1 - sparsity) * size) < 1
    assert sum(counts.values()) == budget.n_keep


def erk_densities(shapes: Mapping[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """The algorithm that came with RigL: what would be more than dense is, and all is redone."""
    dense: set[str] = set()
    while True:
        budget = density * sum(prod(shape) for shape in shapes.values())
        budget -= sum(prod(shapes[name]) for name in dense)
        raw = {n: sum(s) / prod(s) for n, s in shapes.items() if n not in dense}
        epsilon = budget / sum(raw[name] * prod(shapes[name]) for name in raw)
        most = max(raw.values())
        if most * epsilon <= 1:
            return dict.fromkeys(dense, 1.0) | {name: epsilon * raw[name] for name in raw}
        dense |= {name for name in raw if raw[name] == most}


@pytest.mark.parametrize("sparsity", [0.1, 0.3, 0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("network", ["shapes", "lenet", "conv_batch_norm"])
def test_erk_follows_the_published_algorithm(sparsity: float, network: str) -> None:
    shapes = {
        "shapes": SHAPES,
        "lenet": {"hidden0": (300, 784), "hidden1": (100, 300), "output": (10, 100)},
    }.get(network) or {
        name: tuple(weight.shape)
        for name, weight in weight_parameters(NETWORKS["conv_batch_norm"].build()).items()
    }
    budget = make_demand(sparsity, shapes)
    counts = ERK().counts(budget)
    densities = erk_densities(shapes, budget.n_keep / sum(budget.sizes.values()))
    for name, size in budget.sizes.items():
        assert abs(counts[name] - densities[name] * size) < 1 + 1e-6, name
    assert sum(counts.values()) == budget.n_keep


def test_erk_of_lenet_300_100_as_it_is_known() -> None:
    """At 90 %, the last layer stays dense and the density of the others is 1 : 2.8."""
    budget = make_demand(0.9, {"w0": (300, 784), "w1": (100, 300), "w2": (10, 100)})
    counts = ERK().counts(budget)
    assert counts["w2"] == 1000
    ratio = (counts["w1"] / 30000) / (counts["w0"] / 235200)
    assert ratio == pytest.approx((400 / 30000) / (1084 / 235200), rel=1e-3)


def test_erk_of_units_counts_units_by_the_density_of_their_layer() -> None:
    shapes = {"first": (40, 10), "second": (20, 40)}
    sizes, min_kept = {"first": 40, "second": 20}, {"first": 1, "second": 1}
    budget = KeepBudget(30, 30, sizes, shapes, {}, sizes, min_kept)
    weights = {"first": 40 * 50 / 400, "second": 20 * 60 / 800}
    counts = ERK().counts(budget)
    assert counts["first"] / counts["second"] == pytest.approx(5.0 / 1.5, rel=0.05)
    assert weights["first"] / weights["second"] == 5.0 / 1.5


def test_erk_of_blocks_gives_each_layer_the_density_of_its_weights() -> None:
    shapes = {"0": (80, 120), "1": (40, 80), "2": (12, 40)}
    module = nn.Sequential(*(nn.Linear(n, m) for m, n in shapes.values()))
    network = Network(module, torch.zeros(2, 120), forward)
    elements = Block((4, 2)).elements(network, ())
    assert elements.shapes == shapes
    assert elements.sizes == {name: m * n // 8 for name, (m, n) in shapes.items()}
    counts = ERK().counts(
        KeepBudget(400, 400, elements.sizes, elements.shapes, {}, elements.sizes, elements.min_kept)
    )
    for name, density in erk_densities(shapes, 400 / elements.n_elements).items():
        assert abs(counts[name] - density * elements.sizes[name]) < 1, name


def global_by_sorting(budget: KeepBudget) -> dict[str, int]:
    """Each layer's best first, then all others in order of their score."""
    best = {name: int(score.argmax()) for name, score in budget.scores.items()}
    counts = dict.fromkeys(best, 1)
    others = [
        (-float(value), place, i, name)
        for place, (name, score) in enumerate(budget.scores.items())
        for i, value in enumerate(score)
        if i != best[name]
    ]
    for *_, name in sorted(others)[: budget.n_keep - len(best)]:
        counts[name] += 1
    return counts


@given(sparsity=st.floats(0, 0.95), seed=st.integers(0, 1000), ties=st.booleans())
def test_global_takes_the_best_wherever_they_are(sparsity: float, seed: int, ties: bool) -> None:
    shapes = {"a": (5, 4), "b": (2, 3, 2), "c": (3, 2)}
    budget = make_demand(min(sparsity, 1 - 3 / 38), shapes, seed, ties)
    assert Global().counts(budget) == global_by_sorting(budget)


def test_global_leaves_every_layer_its_best_element() -> None:
    budget = make_demand(0.9, {"small": (5, 2), "large": (90, 1)})
    budget.scores["small"].mul_(1e-3)
    assert Global().counts(budget) == {"small": 1, "large": 9}


def test_global_leaves_every_layer_its_least() -> None:
    budget = make_demand(0.9, {"small": (5, 2), "large": (90, 1)})
    budget.scores["small"].mul_(1e-3)
    budget.min_kept["small"] = 4
    assert Global().counts(budget) == {"small": 4, "large": 6}


@pytest.mark.parametrize("allocation", ["uniform", "erk"])
def test_layers_below_their_least_are_raised_to_it(allocation: str) -> None:
    budget = make_demand(0.8, {"a": (10, 10), "b": (10, 10), "c": (10, 10)})
    budget.min_kept["b"] = 40
    assert ALLOCATIONS[allocation]().counts(budget) == {"a": 10, "b": 40, "c": 10}


# Explicit: the layers that are named, and the others.

LAYERS = {"hidden0": 48, "hidden1": 64, "output": 24}


def run_explicit(
    layers: Mapping[str, Any], sparsity: float | None, schedule: str = "one_shot"
) -> Any:
    strategy = Strategy(allocation=layers, schedule=schedule)
    return run_loop(NETWORKS["mlp"].build(), NETWORKS["mlp"], strategy, "weight", sparsity)


def test_explicit_by_itself_prunes_what_it_names() -> None:
    run = run_explicit({"hidden0": 0.75, "output": 0.5}, None)
    assert run.counts == {"hidden0": 12, "output": 12}
    assert run.sparsity == pytest.approx((36 + 12) / 72)


def test_explicit_leaves_alone_what_it_names_none() -> None:
    run = run_explicit({"hidden0": None}, 0.5)
    assert run.counts == {"hidden1": 32, "output": 12}
    run = run_explicit({"hidden0": None, "output": 0.25}, None)
    assert run.counts == {"output": 18}


def test_explicit_spreads_the_rest_evenly_over_the_others() -> None:
    run = run_explicit({"hidden0": 0.25}, 0.5)
    assert run.counts["hidden0"] == 36
    assert sum(run.counts.values()) == 136 - 68
    assert run.counts["hidden1"] == pytest.approx(32 * 64 / 88, abs=1)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "layers", [{"hidden0": 0.5}, {"hidden0": 0.1, "output": 0.9}, {"output": 0.0}]
)
@pytest.mark.parametrize("sparsity", [0.21, 0.3, 0.5])
def test_explicit_reaches_the_same_counts_along_any_schedule(
    schedule: str, layers: dict[str, float], sparsity: float
) -> None:
    run = run_explicit(layers, sparsity, schedule)
    assert run.counts == run_explicit(layers, sparsity).counts
    total = sum(run.counts.values())
    assert total == 136 - floor(sparsity * 136 + 0.5)
    for name, value in layers.items():
        assert run.counts[name] == LAYERS[name] - floor(value * LAYERS[name] + 0.5)
    for step, kept in zip(run.steps, run.kept, strict=True):
        assert sum(int(mask.sum()) for mask in kept.values()) == 136 - floor(
            step.sparsity * 136 + 0.5
        )


def test_explicit_brings_every_layer_down_in_step_with_the_others() -> None:
    run = run_explicit({"hidden0": 0.25, "hidden1": 0.75, "output": 0.5}, None, "cubic")
    for step, kept in zip(run.steps, run.kept, strict=True):
        done = step.sparsity / run.sparsity
        for name, final in {"hidden0": 0.25, "hidden1": 0.75, "output": 0.5}.items():
            expected = LAYERS[name] * (1 - done * final)
            assert abs(int(kept[name].sum()) - expected) < 1.5


@given(
    sizes=st.lists(st.integers(2, 30), min_size=2, max_size=4),
    fixed=st.floats(0, 0.9),
    sparsity=st.floats(0.01, 0.9),
    n_steps=st.integers(1, 30),
    schedule=st.sampled_from(["cubic", "iterative"]),
)
def test_explicit_meets_any_schedule(
    sizes: list[int], fixed: float, sparsity: float, n_steps: int, schedule: str
) -> None:
    names = [f"layer{i}" for i in range(len(sizes))]
    layers, total = dict(zip(names, sizes, strict=True)), sum(sizes)
    allocation = Explicit({"layer0": fixed})
    n_final = total - floor(sparsity * total + 0.5)
    try:
        limits = allocation.limits(layers, dict.fromkeys(layers, 1)).values()
    except UnreachableSparsityError:
        return
    if not sum(least for least, _ in limits) <= n_final <= sum(most for _, most in limits):
        return
    alive, min_kept = dict(layers), dict.fromkeys(layers, 1)
    for step in SCHEDULES[schedule](n_steps=n_steps).steps(sparsity, 10):
        n_keep = total - floor(step.sparsity * total + 0.5)
        counts = allocation.counts(KeepBudget(n_keep, n_final, layers, {}, {}, alive, min_kept))
        assert sum(counts.values()) == n_keep
        assert all(1 <= counts[name] <= alive[name] for name in names)
        alive = counts
    assert alive["layer0"] == sizes[0] - floor(fixed * sizes[0] + 0.5)


def test_explicit_complains_before_any_training() -> None:
    class Never(Callback):
        def on_train_begin(self, net: Any, **kwargs: Any) -> None:
            raise AssertionError

    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    net = make_net("PrunedClassifier", Perceptron, callbacks=[Never()])
    strategy = Strategy(allocation={"hidden0": 0.5})
    with pytest.raises(UnreachableSparsityError, match="fixes layers 'hidden0'"):
        PrunedClassifier(net, strategy=strategy, sparsity=0.1).fit(X, y)
    with pytest.raises(AssertionError):
        PrunedClassifier(net, strategy=strategy, sparsity=0.3).fit(X, y)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_explicit_says_what_it_cannot_meet(schedule: str) -> None:
    with pytest.raises(
        UnreachableSparsityError,
        match=r"fixes layers 'hidden0', so that the sparsity over all can only be between "
        r"0\.176470588235 and 0\.808823529412, not 0\.102941\. Set sparsity=None",
    ):
        run_explicit({"hidden0": 0.5}, 0.1, schedule)
    with pytest.raises(UnreachableSparsityError, match=r"between 0\.5 and 0\.5, not 0\.25"):
        run_explicit(dict.fromkeys(LAYERS, 0.5), 0.25, schedule)


@pytest.mark.parametrize("sparsity", [None, 0.5])
def test_explicit_empties_no_layer(sparsity: float | None) -> None:
    with pytest.raises(
        UnreachableSparsityError,
        match=r"Layer 'output' would be emptied: it has 24 elements, and sparsity 0\.99 removes "
        r"them all\. Its largest reachable sparsity is 0\.958333333333\.",
    ):
        run_explicit({"output": 0.99}, sparsity)


def test_explicit_knows_its_layers() -> None:
    with pytest.raises(
        ValueError, match=r"unknown layer 'hiden0'\. Did you mean 'hidden0'\? Layers that can"
    ):
        run_explicit({"hiden0": 0.5}, 0.5)


def test_explicit_says_with_which_layer_another_goes() -> None:
    with pytest.raises(ValueError, match=r"'conv2'\. It loses its elements together with 'stem'"):
        fit_untrained(
            "PrunedClassifier",
            NETWORKS["residual"].build(),
            NETWORKS["residual"],
            structure="unit",
            strategy=Strategy(allocation={"conv2": 0.5}),
            sparsity=None,
        )


@pytest.mark.parametrize("value", [1.0, -0.1, float("nan"), "half", True and 2])
def test_explicit_takes_sparsities(value: Any) -> None:
    with pytest.raises(
        ValueError, match=r"sparsity of layer 'hidden0' must be None or in \[0, 1\)"
    ):
        run_explicit({"hidden0": value}, 0.5)


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_only_explicit_knows_how_much_by_itself(allocation: str) -> None:
    with pytest.raises(ValueError, match="sparsity=None needs an allocation that says how much"):
        run_loop(
            NETWORKS["mlp"].build(),
            NETWORKS["mlp"],
            Strategy(allocation=allocation),
            "weight",
            None,
        )


def test_nothing_is_left_to_prune() -> None:
    with pytest.raises(ValueError, match="There is nothing to prune"):
        run_explicit(dict.fromkeys(LAYERS), 0.5)
    with pytest.raises(ValueError, match="There is nothing to prune"):
        fit_untrained(
            "PrunedClassifier", NETWORKS["mlp"].build(), NETWORKS["mlp"], protect=list(LAYERS)
        )


def test_a_mapping_stands_for_explicit() -> None:
    given = {"hidden0": 0.5}
    resolved = Strategy(allocation=given).resolved()
    assert isinstance(resolved.allocation, Explicit)
    assert resolved.allocation.layers == given
    estimator = PrunedClassifier(strategy=Strategy(allocation=given))
    assert estimator.get_params()["strategy__allocation"] is given


# Explicit: bounds, and who shares what they leave open.


def within(run: Any, name: str, bounds: tuple[float, float]) -> bool:
    size, kept = LAYERS[name], run.counts[name]
    low, high = bounds
    return max(1, size - floor(high * size + 0.5)) <= kept <= size - floor(low * size + 0.5)


@pytest.mark.parametrize("rest", ["uniform", "global", "erk", Global()])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.7])
def test_a_layer_stays_within_its_bounds(rest: Any, schedule: str, sparsity: float) -> None:
    bounds = {"hidden0": (0.5, 0.6), "output": (0, 0.3)}
    run = run_explicit(Explicit(bounds, rest), sparsity, schedule)
    assert all(within(run, name, limits) for name, limits in bounds.items())
    assert sum(run.counts.values()) == 136 - floor(sparsity * 136 + 0.5)
    for earlier, later in zip(run.kept, run.kept[1:], strict=False):
        assert all(not (later[name] & ~earlier[name]).any() for name in later)


def test_bounds_that_do_not_bind_change_nothing() -> None:
    for rest in ALLOCATIONS:
        bounded = run_explicit(Explicit(dict.fromkeys(LAYERS, (0, 1)), rest), 0.6)
        plain = Strategy(allocation=rest)
        free = run_loop(NETWORKS["mlp"].build(), NETWORKS["mlp"], plain, "weight", 0.6)
        assert bounded.counts == free.counts
        for name in LAYERS:
            assert torch.equal(bounded.kept[-1][name], free.kept[-1][name])


def test_a_bound_that_binds_moves_the_rest_to_the_others() -> None:
    free = run_explicit(Explicit({}, "uniform"), 0.5).counts
    assert free == {"hidden0": 24, "hidden1": 32, "output": 12}
    run = run_explicit({"output": (0, 0.25)}, 0.5)
    assert run.counts["output"] == 18
    assert run.counts["hidden0"] + run.counts["hidden1"] == 68 - 18
    assert run.counts["hidden0"] == pytest.approx(50 * 48 / 112, abs=1)


def test_the_rest_is_shared_by_scores_within_the_bounds() -> None:
    """As if the best were taken one after the other, those beyond a bound passed over."""
    example = NETWORKS["mlp"]
    module = example.build()
    run = run_loop(
        module,
        example,
        Strategy(allocation=Explicit({"hidden1": (0.7, 1), "output": 0.5}, "global")),
        "weight",
        0.5,
        epochs=0,
    )
    weights = {name: run.weights_seen[0][f"{name}.weight"].abs().flatten() for name in LAYERS}
    ranked = sorted((-float(w), name) for name in ("hidden0", "hidden1") for w in weights[name])
    expected = {"hidden0": 0, "hidden1": 0, "output": 12}
    for _, name in ranked:
        if sum(expected.values()) < 68 and (name != "hidden1" or expected[name] < 64 - 45):
            expected[name] += 1
    assert run.counts == expected


def test_bounds_and_numbers_are_named_apart() -> None:
    layers = {"hidden0": (0.5, 0.6), "hidden1": (0.5, 0.6), "output": 0.5}
    with pytest.raises(
        UnreachableSparsityError,
        match=r"fixes layers 'output' and bounds layers 'hidden0', 'hidden1', so that the "
        r"sparsity over all can only be between 0\.5 and 0\.58\d+, not 0\.698529",
    ):
        run_explicit(layers, 0.7)
    with pytest.raises(UnreachableSparsityError, match=r"not 0\.397059"):
        run_explicit(layers, 0.4)


def test_bounds_alone_do_not_decide() -> None:
    with pytest.raises(ValueError, match=r"of layer 'hidden0' it has only bounds, \(0\.2, 0\.6\)"):
        run_explicit({"hidden0": (0.2, 0.6)}, None)


def test_a_ceiling_is_never_in_the_way_of_the_last_element() -> None:
    assert run_explicit({"output": (0.9, 1)}, 0.5).counts["output"] == 2
    with pytest.raises(UnreachableSparsityError, match="Layer 'output' would be emptied"):
        run_explicit({"output": (0.99, 1)}, 0.5)


@pytest.mark.parametrize(
    "bounds", [(0.6, 0.2), (0.1,), (0.1, 0.2, 0.3), (-0.1, 0.5), (0.5, 1.1), (1, 1), (0, "1")]
)
def test_bounds_are_two_rising_numbers(bounds: Any) -> None:
    with pytest.raises(ValueError, match=r"bounds of the sparsity of layer 'hidden0' must be two"):
        run_explicit({"hidden0": bounds}, 0.5)


def test_the_rest_is_shared_by_one_that_knows_no_names() -> None:
    with pytest.raises(ValueError, match="rest of an allocation by names is one without names"):
        run_explicit(Explicit({}, Explicit({})), 0.5)
    with pytest.raises(ValueError, match=r"Unknown rest 'unifrom'\. Did you mean 'uniform'"):
        run_explicit(Explicit({}, "unifrom"), 0.5)


def test_scores_that_cannot_be_compared_share_nothing_among_layers() -> None:
    strategy = Strategy("wanda", allocation=Explicit({"hidden0": (0, 0.5)}, "global"))
    with pytest.raises(ValueError, match="compares the scores of different layers"):
        run_loop(NETWORKS["mlp"].build(), NETWORKS["mlp"], strategy, "weight", 0.5)


@pytest.mark.parametrize("budget", ["parameters", "macs"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_bounds_hold_in_any_quantity(budget: str, schedule: str) -> None:
    estimator = fit_untrained(
        "PrunedClassifier",
        NETWORKS["mlp"].build(),
        NETWORKS["mlp"],
        strategy=Strategy(
            allocation=Explicit({"hidden1": (0.7, 0.8), "output": 0.25}, "erk"), schedule=schedule
        ),
        sparsity=0.4,
        budget=budget,
    )
    kept = {name: int(estimator.masks_[f"{name}.weight"].sum()) for name in LAYERS}
    assert kept["output"] == 18
    assert 64 - 51 <= kept["hidden1"] <= 64 - 45
    whole, free = {"parameters": (155, 19), "macs": (136, 0)}[budget]
    assert sum(kept.values()) + free == floor(0.6 * whole + 1e-9)
