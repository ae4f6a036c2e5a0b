"""A small problem, a module for it, and the two ways to prune it: by a net and by torch alone."""

from functools import partial
from typing import Any

import torch
from skorch import NeuralNetClassifier
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from skprune import PrunedClassifier
from skprune.strategies import STRATEGIES

N_CLASSES, N_FEATURES = 3, 6

# What regrowth brings back has to be there still.
REGROW = {"dynamic", "splicing", "set", "rigl"}
CASES = [
    (strategy, structure)
    for strategy in STRATEGIES
    for structure in ("weight", "unit")
    if structure == "weight" or strategy not in REGROW
]

OPTIMIZER = partial(torch.optim.SGD, momentum=0.9)
SETTINGS: dict[str, Any] = {"sparsity": 0.5, "fine_tune_epochs": 4, "random_state": 3}


def rows(n_rows: int = 120) -> tuple[Tensor, Tensor]:
    X = torch.randn(n_rows, N_FEATURES, generator=torch.Generator().manual_seed(0))
    return X, X[:, :N_CLASSES].argmax(1)


def build(dropout: float = 0.1) -> nn.Module:
    """The same module each time, with dropout, so that what is drawn in training counts."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Linear(N_FEATURES, 16),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(16, 16),
            nn.ReLU(),
            nn.Linear(16, N_CLASSES),
        )


def loader() -> DataLoader:
    return DataLoader(TensorDataset(*rows()), batch_size=32, shuffle=True)


def fitted(strategy: Any, structure: str = "weight", **params: Any) -> PrunedClassifier:
    """The same by a skorch net."""
    net = NeuralNetClassifier(
        build(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        lr=0.05,
        max_epochs=4,
        batch_size=32,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    X, y = rows()
    params = {**SETTINGS, **params}
    pruned = PrunedClassifier(net, strategy=strategy, structure=structure, **params)
    return pruned.fit(X.numpy(), y.numpy())
