"""Stages for a loop of one's own, and masks that hold in it whatever the loop does."""

import warnings
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skprune import Pruner, Strategy, prune
from skprune.seeding import seeded
from skprune.strategies import Cubic, Iterative, Rewind
from tests.helpers import same_state, snapshot
from tests.pruning.common import CASES, OPTIMIZER, SETTINGS, build, loader, rows

X, y = rows()
LOSS = nn.CrossEntropyLoss()
PARAMS: dict[str, Any] = {"data": loader(), "loss": LOSS, "epochs": 4, **SETTINGS}


def make_optimizer(module: nn.Module, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), **{"lr": 0.05, "momentum": 0.9, **options})


def train(pruner: Pruner, stage: Any, optimizer: Any) -> None:
    """A plain training loop, which knows of nothing but the loss of a teacher."""
    module = pruner.module
    module.train()
    for _ in range(stage.epochs):
        for inputs, targets in loader():
            optimizer.zero_grad()
            outputs = module(inputs)
            loss = LOSS(outputs, targets)
            if stage.loss_term is not None:
                loss = stage.loss_term.loss(
                    lambda wanted, o=outputs: LOSS(o, wanted), outputs, targets, inputs
                )
            loss.backward()
            optimizer.step()
    module.eval()


@pytest.mark.parametrize(("strategy", "structure"), CASES)
def test_a_loop_of_ones_own_comes_to_what_skprune_does(strategy: str, structure: str) -> None:
    params = {**PARAMS, "strategy": strategy, "structure": structure}
    expected = prune(build(), X[:8], optimizer=OPTIMIZER, lr=0.05, **params)
    pruner = Pruner(build(), X[:8], **params)
    optimizer = None
    for stages, seed in ((pruner.dense_stages, "dense"), (pruner.pruning_stages, "fine_tune")):
        with seeded(pruner.seeds[seed]):
            for stage in pruner.watched(stages()):
                if optimizer is None or not stage.part:
                    optimizer = make_optimizer(pruner.module)
                train(pruner, stage, optimizer)
    assert same_state(snapshot(pruner.result.module), snapshot(expected.module))
    for name, mask in expected.masks.items():
        np.testing.assert_array_equal(pruner.result.masks[name], mask)


def test_stages_tell_how_long_and_how_sparse() -> None:
    strategy = Strategy(schedule=Cubic(n_steps=3), regularizer="l1")
    pruner = Pruner(build(), X[:8], strategy=strategy, **{**PARAMS, "fine_tune_epochs": 9})
    seen = []
    for stage in pruner:
        seen.append((stage.purpose, stage.epochs, round(stage.sparsity, 3)))
        train(pruner, stage, make_optimizer(pruner.module))
    assert [purpose for purpose, *_ in seen] == ["training the dense network"] + ["fine-tuning"] * (
        len(seen) - 1
    )
    assert sum(epochs for _, epochs, _ in seen) == 4 + 9
    assert [sparsity for *_, sparsity in seen] == sorted(sparsity for *_, sparsity in seen)
    assert seen[-1][2] == 0.5
    assert pruner.result.sparsity == 0.5
    assert pruner.module is pruner.result.module


def test_the_module_comes_in_training_mode_and_stays_in_evaluation_mode() -> None:
    pruner = Pruner(build(), X[:8], strategy="iterative_magnitude", **PARAMS)
    for stage in pruner:
        assert stage.epochs
        assert all(module.training for module in pruner.module.modules())
    assert not any(module.training for module in pruner.module.modules())


def test_there_is_no_result_before_the_end() -> None:
    pruner = Pruner(build(), X[:8], sparsity=0.5)
    for _ in pruner:
        with pytest.raises(AttributeError, match="before all of its stages"):
            _ = pruner.result
    assert pruner.result.module is pruner.module


def test_one_shot_pruning_without_training_is_a_loop_without_stages() -> None:
    pruner = Pruner(build(), X[:8], sparsity=0.5, fine_tune_epochs=0)
    with pytest.raises(AttributeError):
        pruner.result  # noqa: B018
    assert list(pruner) == []
    assert pruner.result.sparsity == 0.5


def test_stages_are_gone_through_once() -> None:
    pruner = Pruner(build(), X[:8], fine_tune_epochs=0)
    list(pruner)
    with pytest.raises(RuntimeError, match="once"):
        list(pruner)


def zeros_of(pruner: Pruner) -> dict[str, Tensor]:
    masks = pruner.network.masks
    return {name: ~mask for name, mask in masks.items()}


def assert_masks_hold(module: nn.Module, zeros: dict[str, Tensor]) -> None:
    weights = dict(module.named_parameters())
    assert zeros
    for name, gone in zeros.items():
        assert gone.any(), name
        assert not weights[name][gone].any(), name


@pytest.fixture
def pruner() -> Iterator[Pruner]:
    """One whose weights are pruned, and which is in the middle of its only stage."""
    strategy = Strategy(allocation="uniform")
    pruner = Pruner(build(), X[:8], strategy=strategy, sparsity=0.5, fine_tune_epochs=1)
    for _ in pruner:
        yield pruner


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "LBFGS"])
def test_masks_hold_for_any_optimizer(pruner: Pruner, name: str) -> None:
    optimizer = getattr(torch.optim, name)(pruner.module.parameters(), lr=0.1)
    for _ in range(3):

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = LOSS(pruner.module(X), y)
            loss.backward()
            return loss

        before = pruner.module[0].weight.clone()
        optimizer.step(closure)
        assert not torch.equal(pruner.module[0].weight, before)
        assert_masks_hold(pruner.module, zeros_of(pruner))


def test_masks_hold_when_gradients_are_accumulated(pruner: Pruner) -> None:
    optimizer = make_optimizer(pruner.module)
    with pruner.masked(optimizer):
        for number, (inputs, targets) in enumerate(zip(X.split(10), y.split(10), strict=True)):
            LOSS(pruner.module(inputs), targets).backward()
            if number % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
                assert_masks_hold(pruner.module, zeros_of(pruner))


@pytest.mark.parametrize("fused", [False, True])
def test_masks_hold_under_a_gradient_scaler(pruner: Pruner, fused: bool) -> None:
    optimizer = make_optimizer(pruner.module, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    with pruner.masked(optimizer):
        for step in range(4):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = LOSS(pruner.module(X), y)
            scaler.scale(loss).backward()
            if step == 2:  # this step is left out
                pruner.module[0].weight.grad.fill_(torch.inf)
            before = pruner.module[0].weight.clone()
            scaler.step(optimizer)
            scaler.update()
            assert torch.equal(pruner.module[0].weight, before) is (step == 2)
            assert_masks_hold(pruner.module, zeros_of(pruner))


def test_masks_hold_in_averages_of_the_weights(pruner: Pruner) -> None:
    dense = AveragedModel(build(), multi_avg_fn=get_ema_multi_avg_fn(0.9))
    plain = AveragedModel(build())
    optimizer = make_optimizer(pruner.module)
    with pruner.masked(optimizer, copies=[dense, plain]):
        for _ in range(3):
            optimizer.zero_grad()
            LOSS(pruner.module(X), y).backward()
            optimizer.step()
            for average in (dense, plain):
                average.update_parameters(pruner.module)
    for average in (dense, plain):
        assert_masks_hold(average.module, zeros_of(pruner))
        assert average.module[0].weight.any()


def test_masks_hold_after_the_last_stage_as_well() -> None:
    pruner = Pruner(build(), X[:8], sparsity=None, fine_tune_epochs=0, structure="2:4")
    list(pruner)
    optimizer = make_optimizer(pruner.module, weight_decay=0.1)
    zeros = {name: ~mask for name, mask in pruner.result.masks.items()}
    zeros = {name: torch.from_numpy(gone) for name, gone in zeros.items()}
    with pruner.masked(optimizer):
        for _ in range(3):
            LOSS(pruner.module(X), y).backward()
            optimizer.step()
            assert_masks_hold(pruner.module, zeros)
    LOSS(pruner.module(X), y).backward()
    optimizer.step()
    assert pruner.module[0].weight[zeros["0.weight"]].any()  # and no longer than that


def test_other_optimizers_are_left_alone(pruner: Pruner) -> None:
    other = nn.Linear(3, 3)
    optimizer = make_optimizer(other)
    match = "has no parameter of the Pruner's module"
    with pytest.raises(ValueError, match=match), pruner.masked(optimizer):
        pass
    pruner.module[0].weight.data.fill_(1.0)
    other(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert pruner.module[0].weight.all()


def test_a_loop_that_is_left_takes_its_hooks_along() -> None:
    pruner = Pruner(build(), X[:8], strategy="l0", sparsity=0.5, steps_per_epoch=4)
    from torch.optim.optimizer import _global_optimizer_pre_hooks

    hooks = dict(_global_optimizer_pre_hooks)
    for _ in pruner:
        assert len(_global_optimizer_pre_hooks) == len(hooks) + 1
        break
    assert dict(_global_optimizer_pre_hooks) == hooks
    assert not pruner.network.module._forward_pre_hooks


# What takes part in the steps.


def test_hooks_see_the_gradients_of_all_that_was_accumulated() -> None:
    """Movement is the sum of minus weight times gradient over the steps, here by a loop."""
    strategy = Strategy("movement", schedule=Iterative(2, end=0.5), start="init")
    params = {**PARAMS, "strategy": strategy, "epochs": 0, "fine_tune_epochs": 4}
    pruner = Pruner(build(0.0), X[:8], steps_per_epoch=3, **params)
    moved: list[dict[str, Tensor]] = []
    masks: list[dict[str, Tensor]] = []
    for stage in pruner:
        module = pruner.module
        optimizer = make_optimizer(module, momentum=0.0)
        masks.append({name: mask.clone() for name, mask in pruner.network.masks.items()})
        moved.append({n: torch.zeros_like(p) for n, p in module.named_parameters()})
        module.train()
        for _ in range(stage.epochs):
            for step in range(3):
                optimizer.zero_grad()
                for part in range(4):
                    place = slice(40 * step + 10 * part, 40 * step + 10 * (part + 1))
                    (LOSS(module(X[place]), y[place]) / 4).backward()
                for name, parameter in module.named_parameters():
                    moved[-1][name] -= parameter.detach() * parameter.grad
                optimizer.step()
    assert len(masks) == 3  # one before anything is removed
    for number in (0, 1):
        gone = 0
        for name, mask in masks[number + 1].items():
            alive = masks[number].get(name, torch.ones_like(mask))
            dropped = moved[number][name][alive & ~mask]
            gone += len(dropped)
            if len(dropped):
                assert dropped.max() <= moved[number][name][mask].min()
        assert gone > 30


def test_evaluation_in_between_does_not_take_part() -> None:
    results = []
    for evaluates in (False, True):
        pruner = Pruner(build(0.0), X[:8], strategy="l0", **PARAMS)
        with seeded(0):
            for stage in pruner:
                module, optimizer = pruner.module, make_optimizer(pruner.module)
                for _ in range(stage.epochs):
                    for inputs, targets in loader():
                        module.train()
                        optimizer.zero_grad()
                        LOSS(module(inputs), targets).backward()
                        optimizer.step()
                        if evaluates:
                            module.eval()
                            with torch.no_grad():
                                module(X)
        results.append(snapshot(pruner.result.module))
    assert same_state(*results)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("closure", "before the module was called in training mode"),
        ("parts", "before the module was called in training mode"),
        ("two optimizers", "two optimizers train"),
        ("fused", "scaler.unscale_"),
    ],
)
def test_loops_that_hooks_cannot_follow_are_refused(mistake: str, message: str) -> None:
    pruner = Pruner(build(), X[:8], strategy="l0", **{**PARAMS, "epochs": 0})
    stage = next(iter_ := iter(pruner))
    assert stage.hooks
    module = pruner.module
    module.train()
    optimizer = make_optimizer(module)
    with pytest.raises(ValueError, match=message):  # noqa: PT012
        if mistake == "closure":
            torch.optim.LBFGS(module.parameters()).step(lambda: LOSS(module(X), y))
        elif mistake == "parts":
            LOSS(module[5](module[3](module[0](X).relu()).relu()), y).backward()
            optimizer.step()
        elif mistake == "two optimizers":
            LOSS(module(X), y).backward()
            optimizer.step()
            LOSS(module(X), y).backward()
            make_optimizer(module).step()
        else:
            scaler, fused = torch.amp.GradScaler("cpu"), make_optimizer(module, fused=True)
            scaler.scale(LOSS(module(X), y)).backward()
            scaler.step(fused)
    iter_.close()


def test_rewinding_in_a_loop_of_ones_own_goes_back_to_the_epoch() -> None:
    strategy = Strategy(schedule=Iterative(2), recovery=Rewind(epoch=2))
    pruner = Pruner(build(), X[:8], strategy=strategy, **PARAMS)
    early, purposes = None, []
    for stage in pruner:
        purposes.append((stage.purpose, stage.epochs))
        if stage.rewind_to is not None:
            weights = dict(pruner.module.named_parameters())
            for name, mask in pruner.network.masks.items():
                assert torch.equal(weights[name], early[name] * mask)
        train(pruner, stage, make_optimizer(pruner.module))
        early = early or snapshot(pruner.module)
    assert purposes[:2] == [("training the dense network", 2)] * 2


# Several processes.

TOGETHER = [
    ("gradual_magnitude", "weight"),
    ("gradient", "unit"),
    ("hessian", "weight"),
    ("random", "unit"),
    ("rigl", "weight"),
    ("sparse_optimization", "unit"),
]


def train_together(rank: int, folder: str) -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    mine = slice(60 * rank, 60 * (rank + 1))  # each has rows of its own
    batches = list(zip(X[mine].split(20), y[mine].split(20), strict=True))
    for strategy, structure in TOGETHER:
        pruner = Pruner(
            build(0.0),
            X[:8],
            strategy=strategy,
            structure=structure,
            data=batches,
            loss=LOSS,
            sparsity=0.5,
            fine_tune_epochs=4,
            random_state=rank,  # which would draw other scores
            process_group=distributed.group.WORLD,
        )
        for stage in pruner:
            module = nn.parallel.DistributedDataParallel(pruner.module)
            optimizer = make_optimizer(pruner.module)
            module.train()
            for _ in range(stage.epochs):
                for inputs, targets in batches:
                    optimizer.zero_grad()
                    LOSS(module(inputs), targets).backward()
                    optimizer.step()
                    for name, mask in pruner.network.masks.items():
                        assert not dict(pruner.module.named_parameters())[name][~mask].any()
        result = pruner.result.masks, snapshot(pruner.result.module)
        torch.save(result, f"{folder}/{strategy}_{structure}_{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have come to, each on its own rows."""
    folder = tmp_path_factory.mktemp("together")
    multiprocessing.spawn(train_together, (str(folder),), nprocs=2)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "structure"), TOGETHER)
def test_processes_that_train_together_prune_alike(
    together: Path, strategy: str, structure: str
) -> None:
    (masks, state), (others, other) = (
        torch.load(together / f"{strategy}_{structure}_{rank}.pt", weights_only=False)
        for rank in range(2)
    )
    assert same_state(state, other)
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, others[name])
        assert not mask.all() or name == "5.weight"


def test_the_users_module_is_copied() -> None:
    module = build()
    before = snapshot(module)
    pruner = Pruner(module, X[:8], **PARAMS)
    for stage in pruner:
        train(pruner, stage, make_optimizer(pruner.module))
    assert same_state(snapshot(module), before)
    assert deepcopy(pruner.result.module)(X).shape == (120, 3)
