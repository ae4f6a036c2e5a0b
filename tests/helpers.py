"""What tests of several files do with the example networks."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import is_regressor
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor
from torch import Tensor, nn

import skprune
from skprune import Strategy, Target
from skprune.components import resolve
from skprune.estimators.base import BasePruned
from skprune.network.network import Network
from skprune.pruning.checks import check_combination, lead_epochs
from skprune.pruning.loop import pruning_stages
from skprune.pruning.target import Goal, resolve_target
from skprune.strategies import STRATEGIES
from skprune.strategies.hooks import TrainingRun
from skprune.strategies.learning import FitData, FrozenNetwork
from skprune.strategies.recovery.teachers import Teacher
from skprune.strategies.samples import Batch
from skprune.strategies.schedule import Step
from skprune.strategies.stage import Stage
from skprune.strategies.target import target_for
from skprune.structures import STRUCTURES, Elements, Structure
from tests.networks import N_OUTPUTS, Example

# The cross-validated estimators hold one of these, bit for bit (tests/estimators/test_cv.py).
ESTIMATORS: dict[str, type[BasePruned]] = {
    name: value
    for name, value in ((name, getattr(skprune, name)) for name in skprune.__all__)
    if isinstance(value, type) and issubclass(value, BasePruned)
}


def make_data(kind: str, example: Example, n_rows: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Rows that a network can learn something from, with targets for one of ESTIMATORS."""
    X = example.inputs(n_rows)
    rows = X.reshape(n_rows, -1).astype(np.float64)
    targets = np.tanh(rows @ np.random.default_rng(1).standard_normal((rows.shape[1], N_OUTPUTS)))
    if is_regressor(ESTIMATORS[kind]()):
        return X, targets
    labels = targets.argmax(1)
    labels[:N_OUTPUTS] = np.arange(N_OUTPUTS)  # every class is there
    return X, labels


def make_net(kind: str, module: Any, **options: Any) -> NeuralNet:
    """A skorch net that is not fitted, for one of ESTIMATORS; a module's instance is copied."""
    options = {
        "max_epochs": 1,
        "lr": 0.05,
        "batch_size": 16,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
        **options,
    }
    if is_regressor(ESTIMATORS[kind]()):
        return NeuralNetRegressor(module, **options)
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, **options)


def fit_untrained(kind: str, module: nn.Module, example: Example, **params: Any) -> BasePruned:
    """An estimator that prunes a module with the weights it has now and trains it not at all."""
    X, y = make_data(kind, example)
    net = make_net(kind, deepcopy(module), max_epochs=0)
    estimator = ESTIMATORS[kind](net, fine_tune_epochs=0, random_state=0, **params)
    return estimator.fit(X, y)


def raw_outputs(kind: str, estimator: Any, X: np.ndarray) -> np.ndarray:
    """What an estimator's network puts out, as its users see it."""
    if is_regressor(ESTIMATORS[kind]()):
        return estimator.predict(X)
    return estimator.predict_proba(X)


# Few networks have heads.
STRUCTURES_OF_ANY = [name for name in STRUCTURES if name != "head"]


def forward(module: nn.Module, inputs: Any) -> Any:
    return module(inputs)


@dataclass
class Run:
    """How the pruning loop went: what was left after each step."""

    elements: Elements
    network: Network
    goal: Goal | None
    steps: list[Step]
    kept: list[dict[str, Tensor]]
    weights_seen: list[dict[str, Tensor]]

    @property
    def sparsity(self) -> float:
        return self.goal.sparsity

    @property
    def counts(self) -> dict[str, int]:
        return {name: int(kept.sum()) for name, kept in self.kept[-1].items()}


class Disturb:
    """Stands in for training: moves all weights a little and holds the masks."""

    data, target_shape, rows_are_fixed = FitData(None, None), (N_OUTPUTS,), False
    device = None

    def __init__(self, network: Network) -> None:
        self.network = network
        self.generator = torch.Generator().manual_seed(0)
        self.stages: list[tuple[int, float | None]] = []
        self.early = snapshot(network.module)
        self.dense: nn.Module | None = None

    @property
    def module(self) -> nn.Module:
        return self.network.module

    @property
    def samples(self) -> "FakeSamples":
        return FakeSamples(self.network.inputs)

    @property
    def outputs(self) -> "Values":
        return Values()

    def dense_network(self) -> FrozenNetwork:
        if self.dense is None:
            self.dense = deepcopy(self.module).eval()
        return FrozenNetwork(self.dense, self.dense)

    def teacher(self, estimator: Any) -> Teacher:
        return Teacher(estimator)

    def over_all_rows(self, compute: Any) -> np.ndarray:
        raise AssertionError("rows are not fixed")

    def train(self, stage: Stage) -> None:
        if stage.rewind_to is not None:
            self.network.restore(self.early)
        self.stages.append((stage.epochs, stage.lr))
        weights = self.network.weights
        optimizer = torch.optim.SGD(weights.values(), lr=0.01, momentum=0.5)
        run = TrainingRun(n_steps=2 * stage.epochs, optimizer=optimizer)
        hooks = [run, *stage.hooks]
        for hook in hooks:
            hook.begin(run)
        self.network.module.train()
        for _ in range(2 * stage.epochs):
            for hook in hooks:
                hook.before_forward()
            optimizer.zero_grad()
            (batch,) = self.samples.batches()
            self.samples.loss(self.network.module, batch).backward()
            for hook in hooks:
                hook.after_backward()
            optimizer.step()
            for hook in hooks:
                hook.after_step()
            self.network.set_masks(self.network.masks)
        for hook in hooks:
            hook.end()
        self.network.module.eval()
        with torch.no_grad():
            for weight in weights.values():
                weight.add_(torch.randn(weight.shape, generator=self.generator), alpha=0.3)
        self.network.set_masks(self.network.masks)


class Values:
    """Outputs that are what is to be predicted."""

    kind, summed = "values", False

    def logits(self, outputs: Tensor) -> Tensor:
        raise AssertionError("values have no logits")


def train_all(stages: Iterable[Stage], trainer: Disturb) -> list[Stage]:
    """Train what the pruning loop asks for; say what it asked for after each of its steps."""
    asked = []
    for stage in stages:
        asked.append(stage)
        if stage.epochs:
            trainer.train(stage)
    return asked


class FakeSamples:
    """A few rows with targets that the outputs are to meet."""

    def __init__(self, inputs: Any) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def batches(
        self, n_rows: int | None = None, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        inputs = self.inputs[:n_rows]
        targets = torch.linspace(-1, 1, len(inputs) * N_OUTPUTS).view(len(inputs), N_OUTPUTS)
        yield Batch(inputs, targets, None)

    def outputs(self, module: nn.Module, inputs: Any) -> Tensor:
        return module(inputs)

    def losses(self, module: nn.Module, batch: Batch) -> Tensor:
        return (module(batch.inputs) - batch.targets).square().flatten(1).mean(1)

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        return self.losses(module, batch).mean()


def run_loop(
    module: nn.Module,
    example: Example,
    strategy: str | Strategy,
    structure: str | Structure,
    sparsity: float | Target | None,
    *,
    seed: int = 0,
    epochs: int = 20,
    protected: tuple[str, ...] = (),
) -> Run:
    """Prune a module by the pruning loop alone, in place, and note what each step leaves."""
    network = Network(module, torch.from_numpy(example.inputs(8)), forward)
    elements = resolve(structure, STRUCTURES, "structure").elements(network, protected)
    resolved = resolve(strategy, STRATEGIES, "strategy").resolved()
    check_combination(elements, resolved, only_named=sparsity is None)
    goal = resolve_target(elements, resolved, target_for(sparsity, "elements"))
    run = Run(elements, network, goal, [], [], [])

    trainer = Disturb(network)
    resolved.recovery.check(trainer, resolved.start.trains_dense)
    generator = torch.Generator().manual_seed(seed)
    lead = lead_epochs(resolved, goal, epochs)

    def note_weights() -> None:
        run.weights_seen.append({name: w.detach().clone() for name, w in network.weights.items()})

    note_weights()
    for stage in pruning_stages(elements, resolved, goal, epochs, trainer, generator):
        if stage.epochs:
            trainer.train(stage)
        if lead:  # nothing is removed yet
            run.weights_seen.clear()
            lead = 0
        else:
            run.steps.append(Step(stage.sparsity, stage.epochs))
            run.kept.append({name: kept.clone() for name, kept in elements.kept.items()})
        note_weights()
    del run.weights_seen[-1]  # after the last step nobody looks
    return run


def masked_module(module: nn.Module, masks: dict[str, np.ndarray]) -> nn.Module:
    """A copy of a module, as large as it was, whose masked weights are zero."""
    masked = deepcopy(module)
    with torch.no_grad():
        for name, parameter in masked.named_parameters():
            if name in masks:
                parameter[~torch.from_numpy(masks[name])] = 0.0
    return masked


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters and buffers."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def same_state(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two snapshots are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
