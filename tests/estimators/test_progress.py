"""What is shown of a fit while it runs."""

import numpy as np
import pytest
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping

from skprune import PrunedClassifier, PrunedClassifierCV, pruning_path
from tests.training.common import make_data, make_net, pruned

X, Y = make_data()


def last_of(text: str) -> str:
    return text.rstrip("\n").split("\r")[-1]


def test_bar_ends_where_the_training_was_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    stop = EarlyStopping("train_loss", patience=1, threshold=10.0, sink=lambda text: None)
    estimator = pruned(make_net(callbacks=[stop], max_epochs=9), verbose=1).fit(X, Y)
    n_epochs = len(estimator.history_)
    assert n_epochs < 9
    assert f"{n_epochs}/{n_epochs}" in last_of(capsys.readouterr().err)


def test_bar_counts_what_memory_restored(
    capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    for _ in range(2):
        pruned(make_net(), memory=str(tmp_path), verbose=1).fit(X, Y)
        assert "7/7" in last_of(capsys.readouterr().err)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_bar_over_fits(n_jobs: int, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"sparsities": [0.3, 0.5], "cv": 2, "n_jobs": n_jobs, "fine_tune_epochs": 1}
    shown = PrunedClassifierCV(make_net(), random_state=0, verbose=1, **options).fit(X, Y)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "6/6" in last_of(err)
    silent = PrunedClassifierCV(make_net(), random_state=0, **options).fit(X, Y)
    assert capsys.readouterr() == ("", "")
    np.testing.assert_array_equal(shown.score_path_, silent.score_path_)


def test_bar_over_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    estimator = PrunedClassifier(make_net(), verbose=1, fine_tune_epochs=1)
    pruning_path(estimator, X, Y, sparsities=[0.3, 0.5])
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "3/3" in last_of(err)


def test_printed_log_goes_on_and_names_the_stage(capsys: pytest.CaptureFixture[str]) -> None:
    net = make_net(NeuralNetClassifier).set_params(verbose=1)
    pruned(net).fit(X, Y)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.strip()[:1].isdigit()]
    assert [int(line.split()[0]) for line in rows] == list(range(1, 8))
    assert all("training the dense network" in line for line in rows[:3])
    assert all("fine-tuning" in line for line in rows[3:])
