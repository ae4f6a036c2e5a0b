"""Regrowth: which weights go, which come back, and when."""

from collections.abc import Callable
from math import cos, pi
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import Tensor, nn

from skprune import PrunedClassifier, Strategy
from skprune.network.network import Network
from skprune.strategies import REGROWTHS, SET, Cubic, RigL, Splicing
from skprune.strategies.hooks import TrainingRun
from skprune.strategies.regrowth import Regrowth, StageSpan
from skprune.strategies.regrowth.updates import Updates
from skprune.structures import STRUCTURES, Block, Elements
from tests.helpers import ESTIMATORS, forward, make_data, make_net, run_loop
from tests.networks import NETWORKS, Perceptron
from tests.strategies.words import assert_same_weights, fit_words

ALL = StageSpan(0.0, 1.0)
OPTIMIZERS = {
    "sgd": {"optimizer__momentum": 0.9, "optimizer__weight_decay": 0.01},
    "adam": {"optimizer": torch.optim.Adam, "lr": 0.01},
    "lbfgs": {"optimizer": torch.optim.LBFGS, "optimizer__max_iter": 3, "lr": 0.01},
}
every_regrowth = pytest.mark.parametrize("name", REGROWTHS)


def elements_of(module: nn.Module, n_inputs: int, structure: str = "weight") -> Elements:
    network = Network(module, torch.zeros(2, n_inputs), forward)
    return STRUCTURES[structure]().elements(network, ())


def one_layer(weights: list[float], kept: list[int]) -> tuple[nn.Linear, Elements]:
    module = nn.Linear(len(weights), 1, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor([weights], dtype=torch.float64))
    elements = elements_of(module, len(weights))
    elements.keep({"weight": torch.tensor(kept, dtype=torch.bool)})
    return module, elements


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Stage:
    """Takes steps one by one, as a stage does."""

    def __init__(
        self, hook: Any, elements: Elements, optimizer: torch.optim.Optimizer, n_steps: int
    ) -> None:
        self.hook, self.elements, self.optimizer = hook, elements, optimizer
        self.run = TrainingRun(n_steps, optimizer)
        hook.begin(self.run)

    def step(self, loss: Callable[[], Tensor]) -> None:
        def look() -> Tensor:
            self.hook.before_forward()
            self.optimizer.zero_grad()
            value = loss()
            value.backward()
            self.hook.after_backward()
            return value

        self.optimizer.step(look)
        self.run.after_step()
        self.hook.after_step()
        network = self.elements.network
        network.set_masks(network.masks)


# When the masks change.


def test_updates_come_at_the_interval_until_they_stop() -> None:
    run = TrainingRun(20, torch.optim.SGD([torch.zeros(1)]))
    updates = Updates(run, ALL, 4, 0.75)
    assert [step for step in range(1, 21) if updates.is_due(step)] == [4, 8, 12]
    assert updates.progress(12) == 12 / 15
    updates = Updates(run, ALL, 4, 0.8)  # the sixteenth step would be at the end
    assert [step for step in range(1, 21) if updates.is_due(step)] == [4, 8, 12]


def test_updates_go_on_over_all_stages() -> None:
    """A stage of the second fifth of a hundred steps: 20 to 40."""
    run = TrainingRun(20, torch.optim.SGD([torch.zeros(1)]))
    updates = Updates(run, StageSpan(0.2, 0.4), 7, 0.35)
    assert [20 + step for step in range(1, 21) if updates.is_due(step)] == [21, 28]
    assert updates.progress(8) == pytest.approx(28 / 35)


@pytest.mark.parametrize(("n_steps", "interval"), [(1, 1), (50, 1), (400, 10), (4000, 100)])
def test_the_interval_is_a_fortieth_of_the_training(n_steps: int, interval: int) -> None:
    run = TrainingRun(n_steps // 2 or 1, torch.optim.SGD([torch.zeros(1)]))
    updates = Updates(run, StageSpan(0.0, 0.5) if n_steps > 1 else ALL, None, 1.0)
    due = [step for step in range(1, n_steps) if updates.is_due(step)]
    assert due == list(range(interval, n_steps, interval))


# RigL and SET.


def test_rigl_by_hand() -> None:
    module, elements = one_layer(
        [5.0, 0.3, -1.0, 0.2, 0.0, 0.0, 0.0, 0.0], [1, 1, 1, 1, 0, 0, 0, 0]
    )
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    stage = Stage(
        RigL(0.5, interval=5, stop=1.0).begin(elements, generator())(ALL),
        elements,
        optimizer,
        n_steps=10,
    )
    slopes = torch.tensor([0.0, 0.0, 0.0, 0.0, 3.0, -9.0, 1.0, 4.0]).double()
    loss = lambda: (module.weight[0] * slopes).sum()  # noqa: E731
    for _ in range(4):
        stage.step(loss)
    assert elements.kept["weight"].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    stage.step(loss)
    # Half way, 0.5 / 2 * (1 + cos(pi / 2)) = 1/4 of four go: the smallest, for the steepest.
    assert elements.kept["weight"].tolist() == [1, 1, 1, 0, 0, 1, 0, 0]
    assert module.weight[0].tolist() == [5.0, 0.3, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    stage.step(loss)
    torch.testing.assert_close(module.weight[0, 5], torch.tensor(0.09).double())


def test_the_drop_fraction_falls_along_a_cosine() -> None:
    n, n_kept = 400, 200
    torch.manual_seed(0)
    module = nn.Linear(n, 1, bias=False).double()
    elements = elements_of(module, n)
    elements.keep({"weight": torch.arange(n) < n_kept})
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    hook = RigL(0.4, interval=10, stop=0.8).begin(elements, generator())(ALL)
    stage, changed = Stage(hook, elements, optimizer, n_steps=100), {}
    for step in range(1, 101):
        before = elements.kept["weight"]
        # What is not kept is steeper than what is, so that none of the dropped returns.
        slopes = torch.rand(n, generator=generator(step)).double() + 9.0 * ~before
        stage.step(lambda slopes=slopes: (module.weight[0] * slopes).sum())
        changed[step] = int((before & ~elements.kept["weight"]).sum())
        assert int(elements.kept["weight"].sum()) == n_kept
    expected = {t: int(0.2 * (1 + cos(pi * t / 80)) * n_kept) for t in range(10, 80, 10)}
    assert {step: count for step, count in changed.items() if count} == expected


def test_what_was_dropped_may_come_back_as_it_was() -> None:
    module, elements = one_layer([5.0, 0.25, -1.0, 0.0], [1, 1, 1, 0])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    hook = RigL(0.9, interval=1, stop=1.0).begin(elements, generator())(ALL)
    stage = Stage(hook, elements, optimizer, n_steps=4)
    slopes = torch.tensor([0.0, 2.0, 3.0, 1.0]).double()
    stage.step(lambda: (module.weight[0] * slopes).sum())
    assert elements.kept["weight"].tolist() == [1, 1, 1, 0]
    assert module.weight[0].tolist() == [5.0, 0.25, -1.0, 0.0]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
        lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
        lambda p: torch.optim.AdamW(p, lr=0.01),
        lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
        lambda p: torch.optim.Adagrad(p, lr=0.01),
        lambda p: torch.optim.Adadelta(p),
        lambda p: torch.optim.LBFGS(p, lr=0.01, max_iter=2),
    ],
)
def test_the_optimizer_forgets_weights_that_come_back(optimizer: Any) -> None:
    module, elements = one_layer([5.0, 4.0, -3.0, 0.1, 0.0, 0.0], [1, 1, 1, 1, 0, 0])
    optimizer = optimizer(module.parameters())
    hook = RigL(0.9, interval=3, stop=1.0).begin(elements, generator())(ALL)
    stage = Stage(hook, elements, optimizer, n_steps=7)
    slopes = torch.tensor([0.1, 0.1, 0.1, 0.1, 2.0, 1.0]).double()
    for _ in range(3):
        stage.step(lambda: (module.weight[0] * slopes).sum())
    grown = [4, 5][: int(elements.kept["weight"][4:].sum())]
    assert grown
    state = optimizer.state[module.weight]
    shaped = [v for v in state.values() if isinstance(v, Tensor) and v.shape == module.weight.shape]
    assert bool(shaped) != isinstance(optimizer, torch.optim.LBFGS)
    for tensor in shaped:
        assert not tensor[0, grown].any()
        assert tensor[0, [0, 1, 2]].all()
    assert not module.weight[0, grown].any()


def test_set_grows_at_random() -> None:
    n, times = 12, torch.zeros(12)
    for seed in range(300):
        module, elements = one_layer([9.0, -8.0, 0.2, 0.1] + [0.0] * 8, [1] * 4 + [0] * 8)
        optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
        hook = SET(0.99, interval=1, stop=1.0).begin(elements, generator(seed))(StageSpan(0.0, 1.0))
        stage = Stage(hook, elements, optimizer, n_steps=2)
        stage.step(lambda module=module: module.weight.sum())  # half way: one of four goes
        kept = elements.kept["weight"]
        assert kept.sum() == 4
        assert kept[:3].all()
        assert module.weight[0, :3].tolist() == [9.0, -8.0, 0.2]
        times += kept
    # Nine places for one, of which it may be the one that was dropped.
    share = times[3:].numpy() / 300
    assert share.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(share, 1 / (n - 3), atol=4 * np.sqrt(1 / 9 * 8 / 9 / 300))


@every_regrowth
def test_elements_of_frozen_weights_stay_as_they_are(name: str) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    module[0].weight.requires_grad_(False)
    elements = elements_of(module, 4)
    hook = REGROWTHS[name](interval=1, stop=1.0).begin(elements, generator())(ALL)
    before = {layer: torch.arange(size) % 2 == 0 for layer, size in elements.sizes.items()}
    elements.keep(before)
    stage = Stage(hook, elements, torch.optim.SGD(module.parameters(), lr=0.1), n_steps=4)
    stage.step(lambda: module(torch.ones(3, 4)).square().sum())
    assert torch.equal(elements.kept["0"], before["0"])
    assert not torch.equal(elements.kept["2"], before["2"])


# Splicing.


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_splicing_is_dynamic_network_surgery(decay: float) -> None:
    """An explicit loop with dense weights, masks, and gradients at the masked weights.

    Five weights are left, then three, and in between four without training.
    """
    rng = np.random.default_rng(2)
    inputs, targets = rng.standard_normal((20, 8)), rng.standard_normal(20)
    dense = rng.standard_normal(8)
    module = nn.Linear(8, 1, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(dense[None]))
    elements = elements_of(module, 8)
    regrow = Splicing(interval=3, stop=0.7).begin(elements, generator())
    X, y = torch.from_numpy(inputs), torch.from_numpy(targets)
    mask = np.ones(8, dtype=bool)

    def largest(n: int) -> np.ndarray:
        return np.argsort(np.argsort(-np.abs(dense))) < n

    def remove(n: int) -> None:
        left = np.abs(dense * mask)
        mask[:] = np.argsort(np.argsort(-left)) < n
        elements.keep({"weight": torch.from_numpy(mask.copy())})

    changes, returns = 0, 0
    for begin, end, n_kept in ((0, 10, 5), (10, 10, 4), (10, 30, 3)):
        hook = regrow(StageSpan(begin / 30, end / 30))  # sees what goes
        gone = ~mask
        remove(n_kept)
        optimizer = torch.optim.SGD(module.parameters(), lr=0.05, weight_decay=decay)
        stage = Stage(hook, elements, optimizer, n_steps=end - begin) if end > begin else None
        for step in range(begin + 1, end + 1):
            stage.step(lambda: (module(X)[:, 0] - y).square().mean() / 2)
            slopes = inputs.T @ (inputs @ (dense * mask) - targets) / 20
            dense = dense - 0.05 * (slopes + decay * dense)
            if step % 3 == 0 and step < 21:
                before, mask = mask, largest(n_kept)
                changes += int((before != mask).any())
                returns += int((mask & gone).any())
            np.testing.assert_allclose(module.weight.detach().numpy()[0], dense * mask, atol=1e-12)
            assert (elements.kept["weight"].numpy() == mask).all()
    assert changes >= 2
    assert returns >= 1  # what the first stage removed came back in the second


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_weights_beneath_the_mask_decay_as_the_others_do(optimizer: Any) -> None:
    """Nothing pulls at any weight: the smaller one does not displace the larger."""
    module, elements = one_layer([5.0, 4.0, 1.0, 0.9], [1, 1, 1, 1])
    hook = Splicing(interval=5, stop=1.0).begin(elements, generator())(ALL)
    elements.keep({"weight": torch.tensor([True, True, True, False])})
    stage = Stage(hook, elements, optimizer(module.parameters(), 0.1, weight_decay=0.5), 40)
    for _ in range(39):
        stage.step(lambda: (module.weight * 0).sum())
    assert elements.kept["weight"].tolist() == [1, 1, 1, 0]
    assert 0 < module.weight[0, 2] < 0.2


def test_splicing_sees_the_weights_before_they_are_removed() -> None:
    """Without training, what was removed is beneath its mask as it was."""
    example, module = NETWORKS["mlp"], NETWORKS["mlp"].build()
    before = module.hidden0.weight.detach().clone()
    seen = []

    class Look(Splicing):
        def begin(self, elements: Elements, generator: torch.Generator) -> Any:
            regrow = super().begin(elements, generator)
            return lambda span: seen.append(regrow(span)) or seen[-1]

    run_loop(module, example, Strategy(regrowth=Look()), "weight", 0.5, epochs=1)
    dense = seen[0]._beneath["hidden0.weight"]
    assert (dense != 0).all()
    assert (dense - before).abs().max() < 0.2


# All of them, in training.


class Watch(Callback):
    """Notes after each batch which weights are zero."""

    seen: ClassVar[list[dict[str, np.ndarray]]] = []  # nets are copied with their callbacks

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        zero = {n: (p == 0).numpy() for n, p in net.module_.named_parameters() if p.dim() > 1}
        self.seen.append(zero)


@pytest.mark.parametrize("kind", ESTIMATORS)
@every_regrowth
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("start", ["trained", "init"])
def test_masks_change_and_hold_in_training(
    kind: str, name: str, optimizer: str, start: str
) -> None:
    X, y = make_data(kind, NETWORKS["mlp"])
    results = []
    for _ in range(2):
        Watch.seen.clear()
        net = make_net(
            kind,
            Perceptron,
            max_epochs=2,
            callbacks=[("watch", Watch())],
            **OPTIMIZERS[optimizer],
        )
        pruned = ESTIMATORS[kind](
            net,
            strategy=Strategy(
                "random" if start == "init" else "magnitude",
                start=start,
                regrowth=REGROWTHS[name](interval=2, stop=0.9),
            ),
            sparsity=0.5,
            fine_tune_epochs=12,
            random_state=0,
        ).fit(X, y)
        results.append((pruned.masks_, list(Watch.seen)))
    masks, zeros = results[0]
    under_masks = zeros if start == "init" else zeros[6:]
    assert len(under_masks) == (42 if start == "init" else 36)
    for weight, mask in masks.items():
        # A weight that has just come back is zero as well, and stays so while its gradient is.
        assert min(int(zero[weight].sum()) for zero in under_masks) >= int((~mask).sum())
        assert under_masks[-1][weight][~mask].all()
    assert any((under_masks[0][weight] != under_masks[-1][weight]).any() for weight in masks)
    assert sum(int(mask.sum()) for mask in masks.values()) == 68
    assert all(np.array_equal(masks[weight], results[1][0][weight]) for weight in masks)


@every_regrowth
def test_counts_of_layers_are_those_of_the_allocation(name: str) -> None:
    example = NETWORKS["conv_batch_norm"]
    still, moving = (
        run_loop(example.build(), example, Strategy(regrowth=regrowth), "weight", 0.8, epochs=30)
        for regrowth in (None, REGROWTHS[name](interval=1))
    )
    after = moving.elements.kept
    assert {layer: int(kept.sum()) for layer, kept in after.items()} == still.counts
    assert any(not torch.equal(after[layer], still.elements.kept[layer]) for layer in after)
    assert moving.elements.sparsity == still.elements.sparsity


@every_regrowth
def test_sparse_gradients_are_those_of_a_dense_embedding(name: str) -> None:
    strategy = Strategy(regrowth=REGROWTHS[name](interval=1))
    assert_same_weights(*(fit_words(strategy, sparse) for sparse in (False, True)))


@every_regrowth
@pytest.mark.parametrize("structure", [Block((2, 2)), "feature"])
def test_elements_are_exchanged_whole(name: str, structure: Any) -> None:
    example = NETWORKS["mlp"]
    X, y = make_data("PrunedClassifier", example)
    pruned = PrunedClassifier(
        make_net("PrunedClassifier", Perceptron),
        strategy=Strategy(regrowth=REGROWTHS[name](interval=1)),
        structure=structure,
        sparsity=0.5,
        fine_tune_epochs=10,
        random_state=0,
    ).fit(X, y)
    for weight in ["hidden0.weight"] if structure == "feature" else pruned.masks_:
        mask = pruned.masks_[weight]
        if structure == "feature":
            assert (mask.any(0) == mask.all(0)).all()
            assert mask.all(0).sum() == 3
        else:
            rows = mask[: len(mask) // 2 * 2]
            blocks = rows.reshape(len(rows) // 2, 2, -1, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
            assert (blocks.any(1) == blocks.all(1)).all()


@every_regrowth
def test_sparsity_rises_along_a_schedule(name: str) -> None:
    example = NETWORKS["mlp"]
    strategy = Strategy(schedule=Cubic(n_steps=4), regrowth=REGROWTHS[name](interval=1))
    run = run_loop(example.build(), example, strategy, "weight", 0.75, epochs=20)
    totals = [sum(int(mask.sum()) for mask in kept.values()) for kept in run.kept]
    expected = [int(0.75 * (1 - (1 - i / 4) ** 3) * 136 + 0.5) for i in (1, 2, 3, 4)]
    assert totals == [136 - gone for gone in expected]


@every_regrowth
def test_what_cannot_come_back_is_refused(name: str) -> None:
    example, strategy = NETWORKS["mlp"], Strategy(regrowth=name)
    with pytest.raises(ValueError, match="is gone from the network"):
        run_loop(example.build(), example, strategy, "unit", 0.5)
    with pytest.raises(ValueError, match="how many stay in each group"):
        run_loop(example.build(), example, strategy, "2:4", None)


@pytest.mark.parametrize(
    ("regrowth", "parameter"),
    [
        (SET(drop_fraction=1.0), "drop_fraction"),
        (RigL(drop_fraction=0.0), "drop_fraction"),
        (SET(interval=0), "interval"),
        (RigL(stop=0.0), "stop"),
        (Splicing(stop=1.5), "stop"),
        (Splicing(interval=2.5), "interval"),
    ],
)
def test_parameters_are_checked(regrowth: Regrowth, parameter: str) -> None:
    with pytest.raises(ValueError, match=f"The '{parameter}' parameter of"):
        Strategy(regrowth=regrowth).resolved()
