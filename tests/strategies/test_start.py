"""Where pruning starts: what is trained before it, and when masks agree."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, LRScheduler
from torch import nn

from skprune import PrunedClassifier, Pruner, Strategy, prune, pruning_path
from skprune.strategies import STARTS, Early
from skprune.strategies.stage import DENSE
from tests.helpers import ESTIMATORS, make_data, make_net, snapshot
from tests.networks import NETWORKS, Perceptron

# When masks agree.


def random_masks(rng: np.random.Generator, n: int) -> list[dict[str, np.ndarray]]:
    """Masks of two layers, each of which differs from the one before in a few places."""
    masks = [{"a": rng.random(12) < 0.5, "b": rng.random(8) < 0.5}]
    for _ in range(n - 1):
        flips = rng.random(20) < rng.choice([0.0, 0.05, 0.2])
        masks.append({"a": masks[-1]["a"] ^ flips[:12], "b": masks[-1]["b"] ^ flips[12:]})
    return masks


@pytest.mark.parametrize("patience", [1, 2, 4])
@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.1, 0.3])
def test_masks_agree_if_the_last_is_near_each_of_those_before(
    patience: int, threshold: float
) -> None:
    rng, seen = np.random.default_rng(0), set()
    start = Early(patience=patience, threshold=threshold)
    for _ in range(60):
        masks = random_masks(rng, int(rng.integers(1, 7)))
        flat = [np.concatenate([mask["a"], mask["b"]]) for mask in masks]
        before = flat[max(len(flat) - 1 - patience, 0) : -1]
        expected = len(before) == patience and all(
            np.sum(flat[-1] != other) <= threshold * 20 for other in before
        )
        tensors = [{k: torch.from_numpy(v) for k, v in mask.items()} for mask in masks]
        assert start.is_settled(tensors) == expected
        seen.add(expected)
    assert seen == {True, False}


def test_one_epoch_is_waited_for_and_one_is_left() -> None:
    assert [Early(latest=0.25).n_waits(epochs) for epochs in range(9)] == [0, 0, *[1] * 6, 2]
    assert Early(latest=0.29).n_waits(100) == 29
    assert [STARTS[name]().n_waits(20) for name in ("trained", "init")] == [0, 0]


# What is trained, by whom.


def smallest_units(module: nn.Module, n_left: dict[str, int]) -> dict[str, np.ndarray]:
    """Which units of a perceptron have the largest norm of what enters and leaves them."""
    first, second, third = (
        module.get_submodule(name).weight.detach().double().numpy()
        for name in ("hidden0", "hidden1", "output")
    )
    kept = {}
    for name, enter, leave in (("hidden0", first, second), ("hidden1", second, third)):
        size = (enter**2).sum(1) + (leave**2).sum(0)
        kept[name] = size >= np.sort(size)[-n_left[name]]
    return kept


def by_hand(
    patience: int, threshold: float, latest: int, n_epochs: int
) -> tuple[int, dict[str, np.ndarray]]:
    """Train a copy of the network a whole training through, and look when masks agree."""
    torch.manual_seed(0)
    module, (X, y) = NETWORKS["mlp"].build(), plain_data()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    masks: list[dict[str, np.ndarray]] = []
    for epoch in range(1, n_epochs):
        step(module, optimizer, X, y)
        masks.append(smallest_units(module, {"hidden0": 4, "hidden1": 4}))
        flat = [np.concatenate(list(mask.values())) for mask in masks]
        before = flat[:-1][-patience:]
        agrees = len(before) == patience and all(
            (flat[-1] != other).mean() <= threshold for other in before
        )
        if agrees or epoch == latest:
            return epoch, masks[-1]
    raise AssertionError


def plain_data() -> tuple[torch.Tensor, torch.Tensor]:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    return torch.as_tensor(X), torch.as_tensor(np.unique(y, return_inverse=True)[1])


def step(module: nn.Module, optimizer: Any, X: torch.Tensor, y: torch.Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(module(X), y).backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("patience", "threshold", "latest"), [(1, 0.0, 0.5), (3, 0.0, 0.5), (2, 0.3, 0.5), (5, 0, 0.2)]
)
def test_a_loop_of_ones_own_waits_until_the_masks_agree(
    patience: int, threshold: float, latest: float
) -> None:
    torch.manual_seed(0)
    module, (X, y) = NETWORKS["mlp"].build(), plain_data()
    pruner = Pruner(
        module,
        X[:8],
        strategy=Strategy(
            allocation="uniform", start=Early(patience, threshold, latest), schedule="one_shot"
        ),
        structure="unit",
        sparsity=0.5,
        epochs=20,
    )
    stages, optimizer = [], None
    for stage in pruner:
        stages.append((stage.purpose, stage.epochs))
        if optimizer is None or stage.purpose != DENSE:  # it may go on from epoch to epoch
            optimizer = torch.optim.Adam(pruner.module.parameters(), lr=0.02)
        for _ in range(stage.epochs):
            step(pruner.module, optimizer, X, y)
    waited, kept = by_hand(patience, threshold, math.floor(20 * latest), 20)
    assert stages == [*[(DENSE, 1)] * waited, ("fine-tuning", 20 - waited)]
    for name, mask in kept.items():
        assert np.array_equal(pruner.result.kept[name], mask)


class Rates(Callback):
    """Notes at which rate and in which width each epoch was trained."""

    def __init__(self, seen: list) -> None:
        self.seen = seen

    def __deepcopy__(self, memo: Any) -> "Rates":
        return self

    def __sklearn_clone__(self) -> "Rates":
        return self

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        rate = net.optimizer_.param_groups[0]["lr"]
        self.seen.append((round(rate, 9), len(net.module_.hidden0.weight)))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_an_estimator_trains_on_from_epoch_to_epoch(kind: str) -> None:
    """As the dense training does: the same epochs, though each is a stage of its own."""
    X, y = make_data(kind, NETWORKS["mlp"])
    seen: list = []
    scheduler = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    net = make_net(
        kind,
        Perceptron,
        max_epochs=8,
        optimizer=torch.optim.Adam,
        callbacks=[scheduler, Rates(seen)],
    )
    early = Strategy(start=Early(patience=2, threshold=0, latest=0.5))
    pruned = ESTIMATORS[kind](
        net, strategy=early, structure="unit", sparsity=0.5, random_state=0
    ).fit(X, y)
    stages = [row["stage"] for row in pruned.history_]
    waited = stages.count(DENSE)
    assert 3 <= waited <= 4
    assert stages == [DENSE] * waited + ["fine-tuning"] * (8 - waited)
    assert [row["epoch"] for row in pruned.history_] == list(range(1, 9))
    rates, widths = zip(*seen, strict=True)
    assert rates == tuple(
        round(0.05 * 0.5**epoch, 9) for n in (waited, 8 - waited) for epoch in range(n)
    )
    assert widths[:waited] == (8,) * waited
    assert max(widths[waited:]) < 8


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_epochs_one_by_one_are_those_of_a_training_in_one(optimizer: Any) -> None:
    """Until the masks agree, the weights are bit for bit those of a dense training."""
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])

    class Keeps(Callback):
        weights: list

        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            self.weights.append(snapshot(net.module_))

    runs = []
    for latest in (0.1, 0.7):  # one epoch and seven
        Keeps.weights = []
        net = make_net(
            "PrunedClassifier",
            Perceptron,
            max_epochs=10,
            optimizer=optimizer,
            optimizer__weight_decay=0.1,
            callbacks=[("keeps", Keeps())],
        )
        strategy = Strategy(start=Early(patience=9, latest=latest))
        PrunedClassifier(net, strategy=strategy, sparsity=0.0, random_state=0).fit(X, y)
        runs.append(Keeps.weights)
    one, other = runs
    assert all(torch.equal(one[0][name], value) for name, value in other[0].items())
    # With plain gradient descent a new optimizer changes nothing, so all epochs are the same.
    same = all(torch.equal(one[4][name], value) for name, value in other[4].items())
    assert same == (optimizer is torch.optim.SGD)


def test_prune_waits_as_well_and_needs_epochs() -> None:
    X, y = plain_data()
    pruned = prune(
        NETWORKS["mlp"].build(),
        X[:8],
        strategy="early_bird",
        structure="unit",
        sparsity=0.5,
        data=(X, y),
        loss=nn.CrossEntropyLoss(),
        epochs=10,
        random_state=0,
    )
    stages = [row["stage"] for row in pruned.history]
    assert stages == [DENSE] * 3 + ["fine-tuning"] * 7
    assert sum(int(kept.sum()) for kept in pruned.kept.values()) == 8
    with pytest.raises(ValueError, match=r"in the course of the dense training.*epochs is 0"):
        prune(NETWORKS["mlp"].build(), X[:8], strategy="early_bird")


def test_all_else_goes_on_after_it() -> None:
    """Steps, regrowth and rewinding share the epochs that are left."""
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    for axes in ({"schedule": "cubic"}, {"regrowth": "rigl"}, {"recovery": "rewind"}):
        pruned = PrunedClassifier(
            make_net("PrunedClassifier", Perceptron, max_epochs=10),
            strategy=Strategy(start="early", **axes),
            fine_tune_epochs=2,
            random_state=0,
        ).fit(X, y)
        assert len(pruned.history_) == 12
        assert pruned.sparsity_ == pytest.approx(0.8, abs=0.01)


# What does not go with it.


def test_what_makes_no_sense_is_refused() -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    net = make_net("PrunedClassifier", Perceptron, max_epochs=10)
    pruned = PrunedClassifier(net, strategy="early_bird", structure="unit", random_state=0)
    with pytest.raises(ValueError, match="path='chained' goes on from the network"):
        pruning_path(pruned, X, y, sparsities=[0.25, 0.5], path="chained")
    path = pruning_path(pruned, X, y, sparsities=[0.25, 0.5])
    single = pruned.set_params(sparsity=0.5).fit(X, y)
    for name, value in snapshot(single.module_).items():
        assert torch.equal(value, snapshot(path.estimators[1].module_)[name])
    trained = net.fit(X, np.unique(y, return_inverse=True)[1])
    with pytest.raises(ValueError, match=r"'early' while it is.*the estimator is already trained"):
        PrunedClassifier(trained, strategy="early_bird").fit(X, y)
    for parameter, value in (("patience", 0), ("threshold", 1.5), ("latest", 1.0)):
        with pytest.raises(ValueError, match=f"The '{parameter}' parameter of Early"):
            Strategy(start=Early(**{parameter: value})).resolved()


def test_parameters_are_reached_from_the_estimator() -> None:
    pruned = PrunedClassifier(strategy="early_bird").set_params(strategy__start__patience=5)
    assert pruned.get_params()["strategy__start__patience"] == 5
    pruned.set_params(strategy__start="init")
    assert not pruned.strategy.resolved().start.trains_dense
