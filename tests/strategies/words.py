"""A network whose embedding can have sparse gradients, for the tests of what takes part."""

import numpy as np
from torch import Tensor, nn

from skprune import PrunedClassifier, Strategy
from tests.helpers import make_net


class Words(nn.Module):
    def __init__(self, sparse: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 6, sparse=sparse)
        self.output = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.embedding(x).mean(1))


def fit_words(strategy: Strategy, sparse: bool) -> PrunedClassifier:
    X = np.random.default_rng(0).integers(0, 12, (48, 4))
    net = make_net("PrunedClassifier", Words, module__sparse=sparse)
    pruned = PrunedClassifier(
        net, strategy=strategy, sparsity=0.5, fine_tune_epochs=8, random_state=0
    )
    return pruned.fit(X, np.arange(48) % 3)


def assert_same_weights(one: PrunedClassifier, other: PrunedClassifier) -> None:
    assert all((one.masks_[name] == mask).all() for name, mask in other.masks_.items())
    for mine, its in zip(one.module_.parameters(), other.module_.parameters(), strict=True):
        np.testing.assert_allclose(mine.detach(), its.detach(), atol=1e-5)
