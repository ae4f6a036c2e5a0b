"""One shot: accuracy on MNIST right after pruning, without retraining.

The network is 784-40-20-10 without biases, trained to about 94 %, and loses a fraction of its
weights. Importances that look at data see 1,000 rows of the training images; those with a number of
steps look again after each. `MLPNet` of Singh and Alistarh (2020) and of Yu et al. (2022) is the
same network, and their figures stand beside. The learning rate was set for a dense accuracy of
94 % on the test images.

With --choose: damping, block size and number of steps of OBS compared on 10,000 of the training
images that the networks have not seen, which is where `STRATEGIES` has them from.
"""

from pathlib import Path

import numpy as np
import torch
from common import Row, mnist, parser, publish
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import Tensor, nn

from skprune import PrunedClassifier, Strategy
from skprune.strategies import OBD, OBS, Fisher, Iterative, LayerOBS, Wanda

SPARSITIES = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98]
MANY = Iterative(n_steps=20)
STRATEGIES = {
    "magnitude": Strategy("magnitude", "global"),
    "Wanda": Strategy(Wanda(), "erk"),
    "Fisher": Strategy(Fisher(), "global"),
    "OBD": Strategy(OBD(), "global"),
    "OBS": Strategy(OBS(), "global"),
    "OBS, 20 steps": Strategy(OBS(), "global", MANY),
    "OBS in one block, 20 steps": Strategy(OBS(block_size=None), "global", MANY),
    "OBS, Gauss-Newton, 20 steps": Strategy(
        OBS(damping=0.01, curvature="gauss_newton"), "global", MANY
    ),
    "layer OBS": Strategy(LayerOBS(), "erk"),
    "layer OBS, 5 steps": Strategy(LayerOBS(), "erk", Iterative(n_steps=5)),
}
CANDIDATES = {
    f"{curvature}, damping {damping:g}, block {block_size}, {n_steps} steps": Strategy(
        OBS(block_size, damping=damping, curvature=curvature), "global", Iterative(n_steps)
    )
    for curvature, block_size, n_steps in [
        ("fisher", 50, 5),
        ("fisher", 50, 20),
        ("fisher", None, 5),
        ("fisher", None, 20),
        ("gauss_newton", 50, 20),
    ]
    for damping in (0.003, 0.01, 0.03, 0.1, 0.3)
}
PUBLISHED = {
    "magnitude (published)": [93.9, 93.8, 93.6, 92.9, 90.3, 83.6, 33],
    "WoodFisher (published)": [94.0, 93.8, 93.8, 93.6, 91.7, 85.5, 38.3],
    "combinatorial brain surgeon (published)": [94.0, 94.0, 94.0, 93.9, 93.1, 88.9, 55.5],
}


class MLPNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden0 = nn.Linear(784, 40, bias=False)
        self.hidden1 = nn.Linear(40, 20, bias=False)
        self.output = nn.Linear(20, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden1(self.hidden0(x).relu()).relu())


def trained(X: np.ndarray, y: np.ndarray, seed: int, epochs: int) -> NeuralNetClassifier:
    torch.manual_seed(seed)
    net = NeuralNetClassifier(
        MLPNet,
        criterion=nn.CrossEntropyLoss,
        lr=0.0085,
        optimizer__momentum=0.5,
        max_epochs=epochs,
        batch_size=64,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    return net.fit(X, y)


def pruned_accuracy(
    net: NeuralNetClassifier, strategy: Strategy, sparsity: float, data: tuple, seed: int
) -> float:
    X, y, X_test, y_test = data
    model = PrunedClassifier(
        FrozenEstimator(net),
        strategy=strategy,
        sparsity=sparsity,
        fine_tune_epochs=0,
        random_state=seed,
    ).fit(X, y)
    return 100 * model.score(X_test, y_test)


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, help="an .npz file; fetched from OpenML if left out")
    options.add_argument("--seeds", type=int, default=3, help="default: %(default)s")
    options.add_argument("--epochs", type=int, default=3, help="default: %(default)s")
    options.add_argument("--choose", action="store_true", help="compare settings of OBS")
    options.add_argument("--strategies", nargs="+", metavar="NAME", help="default: all")
    options.add_argument("--sparsities", type=float, nargs="+", default=SPARSITIES)
    args = options.parse_args(arguments)
    data = mnist(args.data)
    if args.quick:
        args.seeds, args.epochs, args.sparsities = 1, 1, [0.9]
        data = tuple(part[:20000] for part in data)
    strategies = STRATEGIES
    if args.choose:
        X, y = data[:2]
        data, strategies = (X[:-10000], y[:-10000], X[-10000:], y[-10000:]), CANDIDATES
    nets = [trained(*data[:2], seed, args.epochs) for seed in range(args.seeds)]
    dense = [100 * net.score(*data[2:]) for net in nets]
    print(f"dense: {np.mean(dense):.2f} ± {np.std(dense):.2f}")
    rows: list[Row] = []
    for name in args.strategies or strategies:
        row: Row = {"strategy": name}
        for sparsity in args.sparsities:
            found = [
                pruned_accuracy(net, strategies[name], sparsity, data, seed)
                for seed, net in enumerate(nets)
            ]
            row[f"{sparsity:g}"] = f"{np.mean(found):.1f} ± {np.std(found):.1f}"
        print(row, flush=True)
        rows.append(row)
    if args.choose:
        publish("Settings of OBS: accuracy in % on rows held out", rows, args.json)
        return
    for name, published in PUBLISHED.items():
        figures = dict(zip(SPARSITIES, published, strict=True))
        rows.append({"strategy": name} | {f"{s:g}": figures.get(s, "") for s in args.sparsities})
    publish("One shot, without retraining: accuracy in %", rows, args.json)


if __name__ == "__main__":
    main()
