"""The cost of scores by gradients, in plain epochs over the same rows.

784-300-100-10 is trained by skprune for an epoch, and each importance scores its weights by the
losses of the same rows. The cost is the median of the rounds' ratios.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from common import (
    Row,
    add_timing_options,
    interleaved,
    milliseconds,
    parser,
    publish,
    speedup,
    with_threads,
)
from skorch import NeuralNetClassifier
from torch import nn

from skprune.network import MLP
from skprune.network.network import Network
from skprune.strategies import SNIP, Fisher, GraSP, Importance, SynFlow, Taylor
from skprune.strategies.importance import ScoringContext
from skprune.structures import Structure, Unit, Weight
from skprune.training.nets import ModuleForward
from skprune.training.stage import StageTrainer

EPOCH = "a plain epoch"
IMPORTANCES: dict[str, tuple[Importance, float | None]] = {
    "taylor": (Taylor(n_samples=None), 3.0),
    "taylor, signed": (Taylor(n_samples=None, signed=True), 3.0),
    "taylor, by rows": (Taylor(n_samples=None, per="row"), 8.0),
    "fisher": (Fisher(n_samples=None), 8.0),
    "snip": (SNIP(n_samples=None), 3.0),
    "grasp": (GraSP(n_samples=None), None),
    "synflow": (SynFlow(), None),
}


def trainer_of(n_rows: int, batch_size: int) -> StageTrainer:
    random = np.random.default_rng(0)
    X = random.random((n_rows, 784), dtype=np.float32)
    y = random.integers(10, size=n_rows)
    net = NeuralNetClassifier(
        MLP,
        module__n_features=784,
        module__n_outputs=10,
        module__hidden_layer_sizes=(300, 100),
        criterion=nn.CrossEntropyLoss,
        lr=0.01,
        optimizer__momentum=0.9,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ).initialize()
    return StageTrainer(net, X, y, fresh=True, trained=False)


def epoch(trainer: StageTrainer) -> float:
    trainer.train(1)
    return trainer.history[-1]["dur"]


def scorer(trainer: StageTrainer, structure: Structure, importance: Importance) -> Callable:
    inputs = torch.from_numpy(trainer.X[:8])
    network = Network(trainer.net.module_, inputs, ModuleForward(trainer.net))
    elements = structure.elements(network, ())
    weights = {name: weight.detach() for name, weight in network.weights.items()}
    scoring = ScoringContext(weights, elements, torch.Generator().manual_seed(0), trainer.samples)
    return partial(importance.scores, scoring)


def costs(trainer: StageTrainer, structure: Structure, repeats: int) -> list[Row]:
    functions: dict[str, Callable] = {EPOCH: partial(epoch, trainer)}
    for name, (importance, _) in IMPORTANCES.items():
        functions[name] = scorer(trainer, structure, importance)
    seconds = interleaved(functions, repeats, warm_up=1)
    return [
        {
            "scores": name,
            "ms": milliseconds(seconds[name]),
            "plain epochs": speedup(seconds, EPOCH, name),
            "target": f"<= {target:g}" if target else "",
        }
        for name, target in [(EPOCH, None), *((n, t) for n, (_, t) in IMPORTANCES.items())]
    ]


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    add_timing_options(options, repeats=7)
    options.add_argument("--rows", type=int, nargs="+", default=[1_000, 5_000])
    options.add_argument("--batch-size", type=int, default=128)
    args = options.parse_args(arguments)
    if args.quick:
        args.rows, args.repeats = [256], 1
    structures = {"weights": Weight(), "units": Unit()}
    for threads in with_threads(args.threads):
        for n_rows in args.rows:
            trainer = trainer_of(n_rows, args.batch_size)
            for what, structure in structures.items():
                rows = costs(trainer, structure, args.repeats)
                publish(f"Scores of {what}, {n_rows} rows, {threads} thread(s)", rows, args.json)


if __name__ == "__main__":
    main()
