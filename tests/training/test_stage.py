"""Stages: what takes part in them is told how long they are."""

from typing import Any

import pytest

from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.stage import Stage
from skprune.training.stage import StageTrainer
from tests.helpers import make_data, make_net
from tests.networks import NETWORKS, Perceptron


class Watch(TrainingHook):
    """Keeps the run to see how far it comes."""

    def begin(self, run: TrainingRun) -> None:
        self.run = run


@pytest.mark.parametrize(
    ("options", "n_steps"),
    [
        ({"batch_size": 16}, 6),
        ({"batch_size": 16, "iterator_train__drop_last": True}, 4),
        ({"batch_size": 16, "iterator_train__batch_size": 10}, 8),
        ({"iterator_train__batch_size": 10, "iterator_train__drop_last": True}, 8),
        ({"batch_size": -1}, 2),
        ({"batch_size": -1, "iterator_train__drop_last": True}, 2),
    ],
)
def test_the_number_of_steps_is_known_beforehand(options: dict[str, Any], n_steps: int) -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"], n_rows=40)
    net = make_net("PrunedClassifier", Perceptron, **options).initialize()
    watch = Watch()
    StageTrainer(net, X, y, fresh=False, trained=False).train(Stage(2, hooks=(watch,)))
    assert watch.run.n_steps == n_steps
    assert watch.run.step == n_steps
