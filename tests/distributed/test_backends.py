"""What joblib's workers on dask and ray find is what one process finds, bit for bit."""

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from distributed import Client, LocalCluster
from joblib import parallel_config
from ray.util.joblib import register_ray
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from skprune import PrunedClassifier, PrunedClassifierCV
from skprune.metrics import macs_scorer

pytestmark = pytest.mark.slow

X, y = make_classification(90, 6, n_informative=4, random_state=0)


class Network(nn.Module):
    """Draws random numbers."""

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_features, 16)
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(16, n_outputs)

    def forward(self, X: Any) -> Any:
        return self.output(self.dropout(self.hidden(X).relu()))


def process_id(estimator: Any, X: Any, y: Any) -> int:
    return os.getpid()


CV = KFold(3)
SCORING = {"log_loss": "neg_log_loss", "macs": macs_scorer, "process": process_id}
PRUNING = {"structure": "unit", "fine_tune_epochs": 2, "random_state": 0}


def cross_validated(net: Any, memory: str | None) -> Mapping[str, Any]:
    model = make_pipeline(StandardScaler(), PrunedClassifier(net, memory=memory, **PRUNING))
    return cross_validate(model, X, y, cv=CV, scoring=SCORING, error_score="raise")


def searched(net: Any, memory: str | None) -> Mapping[str, Any]:
    model = make_pipeline(StandardScaler(), PrunedClassifier(net, memory=memory, **PRUNING))
    grid = {"prunedclassifier__sparsity": [0.25, 0.75]}
    search = GridSearchCV(model, grid, scoring=SCORING, refit="log_loss", cv=CV)
    search.set_params(error_score="raise").fit(X, y)
    return {**search.cv_results_, "test_refit": search.predict_proba(X)}


def chosen(net: Any, memory: str | None) -> Mapping[str, Any]:
    model = PrunedClassifierCV(net, sparsities=[0.25, 0.75], memory=memory, cv=CV, **PRUNING)
    model.set_params(scoring=SCORING).fit(X, y)
    return {**model.cv_results_, "test_refit": model.predict_proba(X)}


# What is fitted: it gives scores by name, and all that have "test_" in the name are compared. Where
# the network is defined. Whether the workers share a memory.
RUNS = [
    (cross_validated, "imported", False),
    (cross_validated, "from main", True),
    (searched, "imported", True),
    (searched, "from main", False),
    (chosen, "from main", True),
]


@contextmanager
def two_dask_workers() -> Iterator[None]:
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster):
        yield


@contextmanager
def two_ray_workers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TQDM_PATCH_PRINT", "0")  # another print makes skorch print
        ray.init(num_cpus=2, include_dashboard=False)
        register_ray()
        yield
        ray.shutdown()


@pytest.fixture(scope="module", params=["dask", "ray"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    with {"dask": two_dask_workers, "ray": two_ray_workers}[request.param]():
        yield request.param


@pytest.fixture
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[nn.Module]:
    """A network, from a file that workers can import, or from the program that was started."""
    if request.param == "imported":
        return Network
    scope = {"__name__": "__main__", "Any": Any, "nn": nn}
    exec(inspect.getsource(Network), scope)
    program = sys.modules["__main__"]
    monkeypatch.setattr(program, "Network", scope["Network"], raising=False)
    # The program is a user's; where pytest is the program itself, it has a file that is installed.
    monkeypatch.delattr(program, "__file__", raising=False)
    return scope["Network"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Train as the workers do, since the number of threads counts for a memory."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def entries(memory: Path) -> set[Path]:
    return {path.relative_to(memory) for path in memory.rglob("*.safetensors")}


@pytest.mark.parametrize(("run", "network", "with_memory"), RUNS, indirect=["network"])
def test_workers_find_what_one_process_finds(
    backend: str, run: Callable, network: type[nn.Module], with_memory: bool, tmp_path: Path
) -> None:
    net = NeuralNetClassifier(
        network,
        criterion=nn.CrossEntropyLoss,
        max_epochs=3,
        lr=0.1,
        batch_size=16,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    memories = [tmp_path / "alone", tmp_path / "together"]
    alone = run(net, str(memories[0]) if with_memory else None)

    with parallel_config(backend, n_jobs=2):
        together = run(net, str(memories[1]) if with_memory else None)

    scores = [key for key in alone if "test_" in key]
    assert any("log_loss" in key for key in scores)
    for key in scores:
        if "process" in key:
            assert os.getpid() not in together[key]
        else:
            np.testing.assert_array_equal(together[key], alone[key])
    names = [entries(memory) for memory in memories]
    if backend == "dask" and network.__module__ == "__main__":
        # dask makes the classes of a program anew; its workers share what they train.
        assert len(names[0]) == len(names[1])
    else:  # a worker gives a dense network the name that this process gives it
        assert names[0] == names[1]
    assert bool(names[1]) == with_memory
