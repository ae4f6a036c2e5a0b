"""The pruning loop."""

from typing import Any

import pytest
import torch

from skprune import Strategy, Target, UnreachableSparsityError
from skprune.network.network import Network
from skprune.pruning.checks import check_epochs
from skprune.pruning.loop import pruning_stages
from skprune.pruning.target import Goal, resolve_target
from skprune.strategies import L1, Cubic, FineTune, Importance, Iterative, Movement
from skprune.strategies.importance import ScoringContext
from skprune.strategies.schedule import Step
from skprune.strategies.stage import Stage
from skprune.strategies.target import target_for
from skprune.structures import Weight
from tests.helpers import (
    ESTIMATORS,
    STRUCTURES_OF_ANY,
    Disturb,
    forward,
    make_data,
    make_net,
    run_loop,
    train_all,
)
from tests.networks import NETWORKS, Example, Perceptron


class Constant(Importance):
    """Scores every element the same."""

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def scores(self, scoring: ScoringContext) -> dict[str, torch.Tensor]:
        return {
            name: torch.full((size,), self.value) for name, size in scoring.elements.sizes.items()
        }


class Recorder(Importance):
    """Notes what it is given."""

    def __init__(self, seen: list | None = None) -> None:
        self.seen = seen

    def scores(self, scoring: ScoringContext) -> dict[str, torch.Tensor]:
        self.seen.append({name: weight.clone() for name, weight in scoring.weights.items()})
        return Constant().scores(scoring)


def disturb(example: Example) -> Disturb:
    return Disturb(Network(example.build(), torch.from_numpy(example.inputs(8)), forward))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
def test_scores_have_to_be_finite(value: float, structure: str) -> None:
    example = NETWORKS["mlp"]
    sparsity = None if structure == "2:4" else 0.5
    with pytest.raises(ValueError, match=r"Constant\(.*\) gave scores that are not finite in"):
        run_loop(example.build(), example, Strategy(Constant(value)), structure, sparsity)


def test_weights_that_overflow_when_squared_are_noticed() -> None:
    module = NETWORKS["mlp"].build()
    with torch.no_grad():
        module.hidden1.weight[0, 0] = 1e25
    with pytest.raises(ValueError, match=r"not finite in layer 'hidden1'.*too large to be squared"):
        run_loop(module, NETWORKS["mlp"], "magnitude", "weight", 0.5)


def test_an_importance_sees_the_weights_as_they_are_at_each_step() -> None:
    example, seen = NETWORKS["mlp"], []
    strategy = Strategy(Recorder(seen), schedule=Cubic(n_steps=4))
    run = run_loop(example.build(), example, strategy, "weight", 0.5)
    assert len(seen) == 4
    for given, weights in zip(seen, run.weights_seen, strict=True):
        assert given.keys() == weights.keys()
        assert all(torch.equal(given[name], weights[name]) for name in given)
    assert not torch.equal(seen[0]["hidden0.weight"], seen[1]["hidden0.weight"])


def test_removed_weights_are_zero_when_the_next_step_looks() -> None:
    example = NETWORKS["mlp"]
    run = run_loop(example.build(), example, "gradual_magnitude", "weight", 0.5)
    for kept, weights in zip(run.kept, run.weights_seen[1:], strict=False):
        for name, mask in kept.items():
            assert not weights[f"{name}.weight"].flatten()[~mask].any()


def test_training_follows_each_step_that_has_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[tuple[int, float | None]] = []
    monkeypatch.setattr(
        Disturb, "train", lambda self, stage: stages.append((stage.epochs, stage.lr))
    )
    example = NETWORKS["mlp"]
    strategy = Strategy(schedule=Cubic(n_steps=4, end=0.5), recovery=FineTune(lr=0.01))
    run_loop(example.build(), example, strategy, "weight", 0.5, epochs=4)
    assert stages == [(1, 0.01), (1, 0.01), (2, 0.01)]  # the first of four steps has none


@pytest.mark.parametrize(
    ("strategy", "sparsity", "before", "after"),
    [
        (Strategy(regularizer=L1(lead_fraction=0.3)), 0.5, 3, 7),
        (Strategy(regularizer=L1(lead_fraction=0.9)), 0.5, 1, 1),
        (Strategy(regularizer=L1(lead_fraction=0.3)), 0.5, 0, 1),
        (Strategy(regularizer=L1(lead_fraction=0.3)), 0.5, 0, 0),
        (Strategy(regularizer=L1(lead_fraction=0.3)), None, 1, 0),  # it has to decide
        (Strategy(regularizer=L1(lead_fraction=0.9)), None, 1, 1),
        (Strategy(Movement(lead_fraction=0.9)), 0.5, 1, 1),
        (Strategy(Movement(lead_fraction=0.9)), 0.5, 0, 1),
        (Strategy(Movement(lead_fraction=1.0)), 0.5, 2, 0),  # it was asked for
    ],
)
def test_an_epoch_is_left_for_what_is_kept(
    strategy: Strategy, sparsity: float | None, before: int, after: int
) -> None:
    trainer, seen = disturb(NETWORKS["mlp"]), {False: 0, True: 0}
    network = trainer.network
    elements = Weight().elements(network, ())
    resolved = strategy.resolved()
    goal = resolve_target(elements, resolved, target_for(sparsity, "elements"))
    generator = torch.Generator()
    for stage in pruning_stages(elements, resolved, goal, before + after, trainer, generator):
        seen[bool(network.masks)] += stage.epochs
        if stage.epochs:
            trainer.train(stage)
    assert seen == {False: before, True: after}


@pytest.mark.parametrize(
    ("strategy", "sparsity", "epochs", "message"),
    [
        (
            Strategy(regularizer="l1"),
            None,
            0,
            r"up to regularizer=L1\(\) what .*fine_tune_epochs to 1",
        ),
        (Strategy(regrowth="rigl"), 0.5, 0, r"regrowth=RigL\(\) lets .*of 0 epochs, 0 come before"),
        (
            Strategy(Movement(lead_fraction=1.0), regrowth="set"),
            0.5,
            4,
            r"regrowth=SET\(\) .*of 4 epochs, 4 .*the lead_fraction",
        ),
    ],
)
def test_what_works_by_training_is_given_some(
    strategy: Strategy, sparsity: float | None, epochs: int, message: str
) -> None:
    example = NETWORKS["mlp"]
    goal = None if sparsity is None else Goal("elements", 10, 5, sparsity)
    with pytest.raises(ValueError, match=message):
        check_epochs(strategy.resolved(), goal, epochs)
    with pytest.raises(ValueError, match=message):
        run_loop(example.build(), example, strategy, "weight", sparsity, epochs=epochs)


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize(
    ("strategy", "sparsity"), [(Strategy(regularizer="l1"), None), (Strategy(regrowth="set"), 0.5)]
)
def test_no_epochs_for_what_works_by_training_are_an_error(
    kind: str, strategy: Strategy, sparsity: float | None
) -> None:
    X, y = make_data(kind, NETWORKS["mlp"])
    net = make_net(kind, Perceptron)
    pruned = ESTIMATORS[kind](net, strategy=strategy, sparsity=sparsity, fine_tune_epochs=0)
    with pytest.raises(ValueError, match=r"there is none.*Set fine_tune_epochs to"):
        pruned.fit(X, y)


# What is gone already.


def go_on(
    schedule: str | Cubic | Iterative, sparsity: float, epochs: int
) -> tuple[Any, list[Step]]:
    """Prune half of the weights, and then some more along a schedule."""
    trainer = disturb(NETWORKS["mlp"])
    elements = Weight().elements(trainer.network, ())

    def prune(strategy: Strategy, sparsity: float, epochs: int) -> list[Stage]:
        resolved, generator = strategy.resolved(), torch.Generator()
        goal = resolve_target(elements, resolved, Target(sparsity))
        stages = pruning_stages(elements, resolved, goal, epochs, trainer, generator)
        return train_all(stages, trainer)

    prune(Strategy(), 0.5, 0)
    stages = prune(Strategy(schedule=schedule), sparsity, epochs)
    return elements, [Step(stage.sparsity, stage.epochs) for stage in stages]


@pytest.mark.parametrize("schedule", ["one_shot", "iterative", "cubic", Iterative(100, end=0.0)])
@pytest.mark.parametrize("epochs", [0, 1, 7, 40])
def test_steps_to_what_is_gone_already_are_left_out(schedule: str | Iterative, epochs: int) -> None:
    elements, steps = go_on(schedule, 0.75, epochs)
    whole = Strategy(schedule=schedule).resolved().schedule.steps(0.75, epochs)
    left = [step for step in whole if int(step.sparsity * 136 + 0.5) > 68]
    assert [step.sparsity for step in steps] == [step.sparsity for step in left]
    assert elements.n_kept == 34
    assert sum(step.epochs for step in steps) == epochs
    total = sum(step.epochs for step in left)
    for mine, its in zip(steps, left, strict=True):
        assert abs(mine.epochs - its.epochs * epochs / max(total, 1)) <= 1


def test_a_target_that_is_reached_already_is_one_step() -> None:
    elements, steps = go_on("cubic", 0.5, 7)
    assert steps == [Step(0.5, 7)]
    assert elements.n_kept == 68


@pytest.mark.parametrize("structure", [name for name in STRUCTURES_OF_ANY if name != "2:4"])
def test_nothing_is_removed_at_sparsity_zero(structure: str) -> None:
    example = NETWORKS["residual"]
    module = example.build()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    run_loop(module, example, "gradual_magnitude", structure, 0.0, epochs=0)
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_equal_scores_keep_the_first() -> None:
    example = NETWORKS["mlp"]
    run = run_loop(example.build(), example, Strategy(Constant(), "uniform"), "weight", 0.5)
    for kept in run.kept[-1].values():
        assert kept.sum() * 2 == len(kept)
        assert kept[: len(kept) // 2].all()


def test_fine_tuning_checks_its_rate() -> None:
    with pytest.raises(ValueError, match="The 'lr' parameter of FineTune must be"):
        Strategy(recovery=FineTune(lr=0.0)).resolved()


def test_an_error_names_all_that_can_say_how_much_to_prune() -> None:
    example = NETWORKS["mlp"]
    with pytest.raises(ValueError, match=r"sparsity=None needs .*regularizer .*'l1'.*'2:4'.*ERK"):
        run_loop(example.build(), example, "magnitude", "weight", None)
    for strategy, structure in ((Strategy(regularizer="l1"), "weight"), ("magnitude", "2:4")):
        run_loop(example.build(), example, strategy, structure, None)


def test_the_largest_sparsity_that_an_error_names_can_be_reached() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(64, 2000), torch.nn.Linear(2000, 1250))
    network = Network(module, torch.zeros(2, 64), forward)
    elements, uniform = Weight().elements(network, ()), Strategy(allocation="uniform").resolved()
    with pytest.raises(UnreachableSparsityError) as error:
        resolve_target(elements, uniform, Target(0.99999999))
    largest = float(str(error.value).split()[-1].rstrip("."))
    assert resolve_target(elements, uniform, Target(largest)).sparsity == largest


class Slow(Importance):
    """Looks at all rows, as importances by gradients do."""

    def scores(self, scoring: ScoringContext) -> dict[str, torch.Tensor]:
        for _ in scoring.samples.batches():
            pass
        return Constant().scores(scoring)


@pytest.mark.parametrize(("verbose", "interval"), [(1, 0.0), (1, 1000.0), (0, 0.0)])
def test_a_long_scoring_shows_how_far_it_is(
    verbose: int,
    interval: float,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("skprune.strategies.scoring_progress._INTERVAL", interval)
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    net = make_net("PrunedClassifier", NETWORKS["mlp"].build())
    ESTIMATORS["PrunedClassifier"](
        net, strategy=Strategy(Slow()), sparsity=0.5, verbose=verbose, random_state=0
    ).fit(X, y)
    shown = capsys.readouterr().err
    for n_rows in (16, 32, 48):  # batches of 16
        assert (f"scoring, {n_rows} of 48 rows" in shown) == (verbose == 1 and interval == 0.0)
