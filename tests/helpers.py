"""What tests of several files do with the example networks."""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import is_regressor
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor
from torch import Tensor, nn

import skprune
from skprune import Strategy
from skprune.components import resolve
from skprune.estimators.base import BasePruned
from skprune.estimators.cv import BasePrunedCV
from skprune.network.network import Network
from skprune.pruning.checks import check_combination
from skprune.pruning.loop import prune
from skprune.pruning.target import target_sparsity
from skprune.strategies import STRATEGIES
from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.samples import Batch
from skprune.strategies.schedule import Step
from skprune.structures import STRUCTURES, Elements
from tests.networks import N_OUTPUTS, Example

# The cross-validated estimators end as one of these, bit for bit (tests/estimators/test_cv.py).
ESTIMATORS: dict[str, type[BasePruned]] = {
    name: value
    for name, value in vars(skprune).items()
    if isinstance(value, type)
    and issubclass(value, BasePruned)
    and not issubclass(value, BasePrunedCV)
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


def forward(module: nn.Module, inputs: Any) -> Any:
    return module(inputs)


@dataclass
class Run:
    """How the pruning loop went: what was left after each step."""

    elements: Elements
    network: Network
    sparsity: float
    steps: list[Step]
    kept: list[dict[str, Tensor]]
    weights_seen: list[dict[str, Tensor]]

    @property
    def counts(self) -> dict[str, int]:
        return {name: int(kept.sum()) for name, kept in self.kept[-1].items()}


class Disturb:
    """Stands in for training: moves all weights a little and holds the masks."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.generator = torch.Generator().manual_seed(0)
        self.stages: list[tuple[int, float | None]] = []

    @property
    def samples(self) -> "FakeSamples":
        return FakeSamples(self.network.inputs)

    def remember(self, epoch: int) -> None:
        self.early = snapshot(self.network.module)

    def rewind(self, epoch: int) -> None:
        self.network.restore(self.early)

    def check_teacher(self, teacher: Any, hints: Sequence[str]) -> None:
        """Any will do."""

    def lesson(self, teacher: Any, **parameters: Any) -> None:
        """Nothing is learned from a teacher here."""

    def train(
        self,
        epochs: int,
        *,
        lr: float | None = None,
        hooks: Sequence[TrainingHook] = (),
        lesson: None = None,
    ) -> None:
        self.stages.append((epochs, lr))
        weights = self.network.weights
        optimizer = torch.optim.SGD(weights.values(), lr=0.01, momentum=0.5)
        run = TrainingRun(n_steps=2 * epochs, optimizer=optimizer)
        hooks = [run, *hooks]
        for hook in hooks:
            hook.begin(run)
        self.network.module.train()
        for _ in range(2 * epochs):
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
    structure: str,
    sparsity: float | None,
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
    target = target_sparsity(elements, resolved, sparsity)
    run = Run(elements, network, target, [], [], [])

    def watch(steps: Iterable[Step]) -> Iterator[Step]:
        run.steps.extend(steps)
        for step in steps:
            run.weights_seen.append(
                {name: w.detach().clone() for name, w in network.weights.items()}
            )
            yield step
            run.kept.append({name: kept.clone() for name, kept in elements.kept.items()})

    trainer = Disturb(network)
    resolved.recovery.prepare(trainer, resolved.start)
    generator = torch.Generator().manual_seed(seed)
    prune(elements, resolved, target, epochs, trainer, generator, watch)
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
