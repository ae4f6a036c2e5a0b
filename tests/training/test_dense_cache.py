"""Dense networks kept in memory: found for equal trainings only, and never a wrong one."""

import io
import logging
import subprocess
import sys
import threading
import warnings

import joblib
import numpy as np
import pytest
import torch
from joblib import Memory, Parallel, delayed
from joblib._store_backends import CacheWarning, FileSystemStoreBackend
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, Freezer, LoadInitState
from torch import nn

from skprune import PrunedClassifier, PrunedRegressor, UncachedWarning
from skprune.network import MLP

X, y = make_classification(60, 5, n_informative=4, n_redundant=0, random_state=0)


def net(**parameters):
    parameters = {"module": MLP, "criterion": nn.CrossEntropyLoss, "lr": 0.1, **parameters}
    return NeuralNetClassifier(
        **{"max_epochs": 3, "module__hidden_layer_sizes": (8,), "train_split": None, **parameters},
        verbose=0,
    )


def pruned(estimator=None, **parameters):
    return PrunedClassifier(
        estimator or net(),
        **{"sparsity": 0.5, "fine_tune_epochs": 2, "random_state": 0, **parameters},
    )


@pytest.fixture
def dense_trainings(monkeypatch):
    """Count how often a dense network is trained."""
    from skprune.training.stage import StageTrainer

    count = []
    train = StageTrainer.train

    def counted(self, epochs, **options):
        if options.get("stage", "").startswith("training the dense"):
            count.append(epochs)
        return train(self, epochs, **options)

    monkeypatch.setattr(StageTrainer, "train", counted)
    return count


def same_fit(first, second):
    assert first.history_[:, "train_loss"] == second.history_[:, "train_loss"]
    assert first.history_[:, "epoch"] == second.history_[:, "epoch"]
    a, b = first.module_.state_dict(), second.module_.state_dict()
    assert a.keys() == b.keys()
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_a_restored_network_gives_the_fit_that_a_trained_one_gives(
    structure, tmp_path, dense_trainings
):
    plain = pruned(structure=structure).fit(X, y)
    cold = pruned(structure=structure, memory=str(tmp_path)).fit(X, y)
    assert len(dense_trainings) == 2
    warm = pruned(structure=structure, memory=Memory(str(tmp_path), verbose=0)).fit(X, y)
    assert len(dense_trainings) == 2
    assert same_fit(plain, cold)
    assert same_fit(plain, warm)


def test_batch_norm_and_other_buffers_come_back(tmp_path):
    estimator = net(module__batch_norm=True)
    cold, warm = (pruned(estimator, memory=str(tmp_path)).fit(X, y) for _ in range(2))
    assert same_fit(cold, warm)
    assert warm.module_.norm0.running_mean.abs().sum() > 0


def test_a_regressor_keeps_its_network_too(tmp_path, dense_trainings):
    for _ in range(2):
        PrunedRegressor(memory=str(tmp_path), random_state=0).fit(X, X[:, 0])
    assert len(dense_trainings) == 1


def test_a_search_trains_one_network_a_fold(tmp_path, dense_trainings):
    grid = {"sparsity": [0.3, 0.6, 0.9], "strategy": ["random", "magnitude"]}
    plain = GridSearchCV(pruned(), grid, cv=2, refit=False).fit(X, y)
    assert len(dense_trainings) == 12
    kept = GridSearchCV(pruned(memory=str(tmp_path)), grid, cv=2, refit=False).fit(X, y)
    assert len(dense_trainings) == 14
    for key in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(plain.cv_results_[key], kept.cv_results_[key])


class Counter(Callback):
    def __init__(self, step):
        self.step = step

    def on_epoch_end(self, net, **kwargs):
        net.optimizer_.param_groups[0]["lr"] *= self.step


class Loading(MLP):
    """Begins with weights from a file."""

    def __init__(self, path, **sizes):
        super().__init__(**sizes)
        self.load_state_dict(torch.load(path))


def weights_file(path, seed):
    generator = torch.Generator().manual_seed(seed)
    module = MLP(5, 2, hidden_layer_sizes=(8,))
    for parameter in module.parameters():
        parameter.data.normal_(generator=generator)
    torch.save(module.state_dict(), path)


def scaled_mlp(scale):
    class Scaled(MLP):
        def forward(self, X):
            return super().forward(X) * scale

    return Scaled


def edited_module(line):
    scope = {"MLP": MLP, "__name__": "notebook"}
    exec(f"class Edited(MLP):\n  def forward(self, X):\n    return {line}", scope)
    return scope["Edited"]


CHANGES = {
    "data": lambda e: e.fit(X + 1e-6, y),
    "dtype of the data": lambda e: e.set_params(estimator__module__dtype=torch.float64).fit(X, y),
    "targets": lambda e: e.fit(X, 1 - y),
    "row weights": lambda e: e.fit(X, y, sample_weight=np.arange(1.0, 61.0)),
    "class weights": lambda e: e.set_params(class_weight={0: 1, 1: 2}).fit(X, y),
    "seed": lambda e: e.set_params(random_state=1).fit(X, y),
    "learning rate": lambda e: e.set_params(estimator__lr=0.2).fit(X, y),
    "epochs": lambda e: e.set_params(estimator__max_epochs=4).fit(X, y),
    "module's parameter": lambda e: e.set_params(estimator__module__activation="tanh").fit(X, y),
    "optimizer": lambda e: e.set_params(estimator__optimizer=torch.optim.Adam).fit(X, y),
    "device": lambda e: e.set_params(estimator__device=None).fit(X, y),
    "a callback": lambda e: e.set_params(estimator__callbacks=[Counter(0.5)]).fit(X, y),
    "module's source": lambda e: e.set_params(
        estimator__module=edited_module("super(type(self), self).forward(X) * 2")
    ).fit(X, y),
    "module's closure": lambda e: e.set_params(estimator__module=scaled_mlp(2.0)).fit(X, y),
    "a lambda": lambda e: e.set_params(
        estimator__predict_nonlinearity=lambda outputs: outputs * 2
    ).fit(X, y),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_training_is_not_taken_for_the_same(change, tmp_path, dense_trainings):
    pruned(memory=str(tmp_path)).fit(X, y)
    CHANGES[change](pruned(memory=str(tmp_path)))
    assert len(dense_trainings) == 2


@pytest.mark.parametrize(
    "variants",
    [
        (edited_module("super(type(self), self).forward(X) * 2"),) * 2,
        (
            edited_module("super(type(self), self).forward(X) * 2"),
            edited_module("super(type(self), self).forward(X) * 3"),
        ),
        (scaled_mlp(2.0), scaled_mlp(2.0)),
        (scaled_mlp(2.0), scaled_mlp(3.0)),
    ],
    ids=["source equal", "source edited", "closure equal", "closure changed"],
)
def test_code_counts_by_what_it_does(variants, tmp_path, dense_trainings, request):
    for module in variants:
        pruned(net(module=module), memory=str(tmp_path)).fit(X, y)
    equal = "equal" in request.node.callspec.id
    assert len(dense_trainings) == (1 if equal else 2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"callbacks": [Counter(0.5)]}, {"callbacks": [Counter(0.6)]}),
        ({"predict_nonlinearity": lambda y: y * 2}, {"predict_nonlinearity": lambda y: y * 3}),
    ],
    ids=["callbacks", "lambdas"],
)
def test_parameters_that_hold_code_count_by_it(first, second, tmp_path, dense_trainings):
    for parameters in (first, first, second):
        pruned(net(**parameters), memory=str(tmp_path)).fit(X, y)
    assert len(dense_trainings) == 2


def test_initial_weights_count_wherever_they_come_from(tmp_path, dense_trainings):
    path = tmp_path / "weights.pt"
    sizes = {"module__n_features": 5, "module__n_outputs": 2}
    estimator = net(module=Loading, module__path=str(path), **sizes)
    for seed in (0, 0, 1):
        weights_file(path, seed)
        pruned(estimator, memory=str(tmp_path / "cache")).fit(X, y)
    assert len(dense_trainings) == 2


def test_a_state_that_a_callback_loads_is_not_seen(tmp_path):
    checkpoint = Checkpoint(dirname=str(tmp_path), monitor=None)
    sizes = {"module__n_features": 5, "module__n_outputs": 2}
    net(callbacks=[checkpoint], **sizes).fit(X.astype(np.float32), y)
    estimator = net(callbacks=[LoadInitState(checkpoint)], **sizes)
    with pytest.warns(UncachedWarning, match="'LoadInitState' loads what is in a file"):
        pruned(estimator, memory=str(tmp_path / "cache")).fit(X, y)


def test_what_the_training_froze_stays_frozen(tmp_path, dense_trainings):
    estimator = net(callbacks=[Freezer("hidden0*")])
    plain = pruned(estimator).fit(X, y)
    cold, warm = (pruned(estimator, memory=str(tmp_path)).fit(X, y) for _ in range(2))
    assert len(dense_trainings) == 2
    assert same_fit(plain, cold)
    assert same_fit(plain, warm)


class Growing(NeuralNetClassifier):
    """Has a loss that changes with the number of batches it has seen."""

    seen = 0

    def get_loss(self, y_pred, y_true, X=None, training=False):
        if training:
            self.seen = self.seen + 1
        return super().get_loss(y_pred, y_true, X, training) * (1 + self.seen)


class Falling(Callback):
    """Goes on, in a later stage, with the rate that an earlier one ended with."""

    rate = 1.0

    def on_epoch_end(self, net, **kwargs):
        self.rate *= 0.7
        net.optimizer_.param_groups[0]["lr"] = self.rate


def notebook_callback():
    """Make a callback as a notebook does: its module has no file, or is none at all."""
    scope = {"Callback": Callback, "__name__": "notebook"}
    exec("class Quiet(Callback): pass", scope)
    return scope["Quiet"]()


def test_a_callback_of_a_notebook_is_no_obstacle(tmp_path, dense_trainings):
    for _ in range(2):
        pruned(net(callbacks=[notebook_callback()]), memory=str(tmp_path)).fit(X, y)
    assert len(dense_trainings) == 1


class Locked(Callback):
    def initialize(self):
        self.lock_ = threading.Lock()
        return self


def test_a_callback_that_cannot_be_copied_is_no_obstacle(tmp_path, dense_trainings):
    for _ in range(2):
        with pytest.warns(UncachedWarning, match="cannot be copied and initialized"):
            pruned(net(callbacks=[Locked]), memory=str(tmp_path), structure="unit").fit(X, y)
    assert len(dense_trainings) == 2


@pytest.mark.parametrize(
    ("estimator", "match"),
    [
        (
            Growing(MLP, criterion=nn.CrossEntropyLoss, max_epochs=3, verbose=0),
            "attributes of the net",
        ),
        (net(callbacks=[Falling()]), "changes callback 'Falling'"),
    ],
    ids=["net", "callback"],
)
def test_a_training_with_a_memory_of_its_own_is_not_kept(
    estimator, match, tmp_path, dense_trainings
):
    plain = pruned(estimator).fit(X, y)
    for _ in range(2):
        with pytest.warns(UncachedWarning, match=match):
            again = pruned(estimator, memory=str(tmp_path)).fit(X, y)
        assert same_fit(plain, again)
    assert len(dense_trainings) == 3


def test_what_cannot_be_told_apart_is_trained_with_a_warning(tmp_path, dense_trainings):
    lock = threading.Lock()
    estimator = net(predict_nonlinearity=lambda outputs: outputs if lock else None)
    model = pruned(estimator, memory=str(tmp_path))
    for _ in range(2):
        with pytest.warns(UncachedWarning, match=r"not kept in memory.*lock.*shows nothing"):
            model.fit(X, y)
    assert len(dense_trainings) == 2


class Counting(MLP):
    """Changes beside its tensors as it trains."""

    n_calls = 0

    def forward(self, X):
        self.n_calls += self.training
        return super().forward(X)


def test_a_module_with_a_memory_of_its_own_is_trained_with_a_warning(tmp_path, dense_trainings):
    for _ in range(2):
        with pytest.warns(UncachedWarning, match="beside its tensors"):
            fitted = pruned(net(module=Counting), memory=str(tmp_path)).fit(X, y)
        assert fitted.sparsity_ == 0.5
    assert len(dense_trainings) == 2


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"", bytes.upper]
)
def test_a_damaged_entry_is_computed_again(damage, tmp_path, dense_trainings, caplog):
    plain = pruned(memory=str(tmp_path)).fit(X, y)
    (entry,) = tmp_path.rglob("output.pkl")
    entry.write_bytes(damage(entry.read_bytes()))
    with caplog.at_level(logging.WARNING):
        again = pruned(memory=str(tmp_path)).fit(X, y)
    assert len(dense_trainings) == 2
    assert "Exception while loading results" in caplog.text
    assert same_fit(plain, again)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_an_entry_with_a_flipped_bit_is_computed_again(place, tmp_path, dense_trainings):
    plain = pruned(memory=str(tmp_path)).fit(X, y)
    (entry,) = tmp_path.rglob("output.pkl")
    data = bytearray(entry.read_bytes())
    data[int(place * len(data))] ^= 1
    entry.write_bytes(data)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        again = pruned(memory=str(tmp_path)).fit(X, y)
    assert same_fit(plain, again)
    # A bit that no one reads costs nothing.
    damaged = [w for w in seen if w.category is UncachedWarning and "damaged" in str(w.message)]
    assert len(dense_trainings) == 1 + len(damaged)
    pruned(memory=str(tmp_path)).fit(X, y)
    assert len(dense_trainings) == 1 + len(damaged)


KILLED = """
import os
import joblib.numpy_pickle
from tests.training.test_dense_cache import X, pruned, y

def half(self, value):
    self.file_handle.write(b"half an entry")
    self.file_handle.flush()
    os._exit(9)

joblib.numpy_pickle.NumpyPickler.dump = half
pruned(memory={path!r}).fit(X, y)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_wrong(tmp_path, dense_trainings):
    code = KILLED.format(path=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert any(b"half an entry" in path.read_bytes() for path in files_in(tmp_path))
    fits = [pruned(memory=str(tmp_path)).fit(X, y) for _ in range(2)]
    assert len(dense_trainings) == 1
    assert all(same_fit(pruned().fit(X, y), fit) for fit in fits)


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_full_disk_costs_a_training_and_a_warning(tmp_path, dense_trainings, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileSystemStoreBackend, "_concurrency_safe_write", full)
    for _ in range(2):
        with pytest.warns((UncachedWarning, CacheWarning), match="No space left on device"):
            fitted = pruned(memory=str(tmp_path)).fit(X, y)
    assert len(dense_trainings) == 2
    assert same_fit(pruned().fit(X, y), fitted)


def test_a_folder_that_cannot_be_made_costs_a_training_and_a_warning(tmp_path, dense_trainings):
    (tmp_path / "file").write_text("no folder")
    with pytest.warns(UncachedWarning, match=r"not kept in memory.*file.* It is trained anew"):
        fitted = pruned(memory=str(tmp_path / "file" / "cache")).fit(X, y)
    assert len(dense_trainings) == 1
    assert same_fit(pruned().fit(X, y), fitted)


class Reader(Callback):
    def on_train_begin(self, net, **kwargs):
        raise FileNotFoundError("the user's own file")


def test_a_file_that_the_training_misses_is_the_users(tmp_path):
    model = pruned(net(callbacks=[Reader()]), memory=str(tmp_path))
    with pytest.raises(FileNotFoundError, match="the user's own file"):
        model.fit(X, y)


def test_entries_hold_an_array_and_no_code(tmp_path):
    pruned(memory=str(tmp_path)).fit(X, y)
    (entry,) = tmp_path.rglob("output.pkl")
    packed = joblib.load(entry)
    assert isinstance(packed, np.ndarray)
    assert packed.dtype == np.uint8
    with np.load(io.BytesIO(packed.tobytes()), allow_pickle=False) as arrays:
        assert "module_/hidden0.weight" in arrays


def test_two_processes_may_share_a_memory(tmp_path):
    fits = Parallel(n_jobs=2)(delayed(pruned(memory=str(tmp_path)).fit)(X, y) for _ in range(4))
    plain = pruned().fit(X, y)
    assert all(same_fit(plain, fit) for fit in fits)
