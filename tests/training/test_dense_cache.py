"""Dense networks kept in memory: found for equal trainings only, and never a wrong one."""

import json
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from joblib import Memory, Parallel, delayed
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, Freezer, LoadInitState
from skorch.dataset import ValidSplit
from torch import nn

from skprune import PrunedClassifier, PrunedRegressor, UncachedWarning
from skprune.network import MLP
from skprune.training.dense_entry import DamagedEntry, read_entry, write_entry

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

    def counted(self, stage, **options):
        if stage.purpose.startswith("training the dense"):
            count.append(stage.epochs)
        return train(self, stage, **options)

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
        with pytest.warns(UncachedWarning, match="shows nothing of its content"):
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


def entry_in(folder):
    (entry,) = folder.rglob("*.safetensors")
    return entry


def truncated(path):
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path):
    path.write_bytes(b"")


def turned_into_a_folder(path):
    path.unlink()
    (path / "inside").mkdir(parents=True)


class Planted:
    def __reduce__(self):
        return os.mkdir, (Planted.path,)


def planted(path):
    Planted.path = str(path.parent / "executed")
    path.write_bytes(pickle.dumps(Planted()))


def rewritten(change):
    """Change an entry, and give it a checksum that fits."""

    def rewrite(path):
        key = path.stem
        tensors, about = read_entry(path.parent, key)
        key, tensors, about = change(key, tensors, json.loads(about))
        write_entry(path.parent, key, tensors, json.dumps(about))
        if key != path.stem:
            (path.parent / f"{key}.safetensors").replace(path)

    return rewrite


WEIGHT = "module_/hidden0.weight"


def with_none(key, tensors, about):
    tensors.pop(WEIGHT)
    about["tensors"][WEIGHT] = None
    return key, tensors, about


DAMAGES = {
    "truncated": truncated,
    "emptied": emptied,
    "a folder": turned_into_a_folder,
    "planted code": planted,
    "of another training": rewritten(lambda key, t, about: (key[::-1], t, about)),
    "without a tensor": rewritten(
        lambda key, t, about: (key, {n: each for n, each in t.items() if n != WEIGHT}, about)
    ),
    "with None": rewritten(with_none),
    "with another type": rewritten(
        lambda key, t, about: (key, {**t, WEIGHT: t[WEIGHT].double()}, about)
    ),
    "with another shape": rewritten(
        lambda key, t, about: (key, {**t, WEIGHT: t[WEIGHT][:1].clone()}, about)
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_replaced(damage, tmp_path, dense_trainings):
    plain = pruned(memory=tmp_path).fit(X, y)
    DAMAGES[damage](entry_in(tmp_path))
    with pytest.warns(UncachedWarning, match="damaged"):
        again = pruned(memory=tmp_path).fit(X, y)
    assert same_fit(plain, again)
    assert same_fit(plain, pruned(memory=tmp_path).fit(X, y))
    assert len(dense_trainings) == 2
    assert not list(tmp_path.rglob("executed"))


def test_an_entry_with_a_flipped_bit_is_never_taken(tmp_path):
    tensors = {"a": torch.arange(40.0), "b": torch.tensor([True, False]), "c": torch.zeros(0)}
    write_entry(tmp_path, "key", tensors, "about")
    path, rng = entry_in(tmp_path), np.random.default_rng(0)
    whole = path.read_bytes()
    harmless = 0
    for place in rng.choice(8 * len(whole), 300, replace=False):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            found, about = read_entry(tmp_path, "key")
        except DamagedEntry:
            continue
        harmless += 1  # such as the order of what the file's head lists
        assert about == "about"
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert harmless < 10


KILLED = """
import os, signal, sys, threading, time
import torch
from pathlib import Path
from skprune.training.dense_entry import write_entry

tensors = {{str(n): torch.full((20_000,), float(n)) for n in range(20)}}
delay = float(sys.argv[1])
folder = Path({path!r})
write_entry(folder, "first", tensors, "about")
threading.Timer(delay, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
while True:
    write_entry(folder, "key", tensors, "about")
"""


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_writes_leaves_nothing_wrong(tmp_path):
    for number in range(5):
        code = KILLED.format(path=str(tmp_path))
        command = [sys.executable, "-c", code, str(0.01 + 0.003 * number)]
        assert subprocess.run(command, check=False).returncode == -9
        found = read_entry(tmp_path, "key")
        if found is not None:
            assert all((found[0][str(n)] == n).all() for n in range(20))


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_full_disk_costs_a_training_and_a_warning(tmp_path, dense_trainings, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for _ in range(2):
        with pytest.warns(UncachedWarning, match="No space left on device"):
            fitted = pruned(memory=str(tmp_path)).fit(X, y)
    assert len(dense_trainings) == 2
    assert not files_in(tmp_path)
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


class Lazy(MLP):
    """Has buffers that are made, or change their type, in the training."""

    def __init__(self, n_features, n_outputs, **sizes):
        super().__init__(n_features, n_outputs, **sizes)
        self.register_buffer("late", None)
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64), persistent=False)
        self.register_buffer("empty", torch.zeros(0))

    def forward(self, X):
        if self.training:
            self.late = X.mean(0).detach()
            self.count = self.count + 0.5
            self.empty = X[:2].detach().clone()
        return super().forward(X)


def test_buffers_that_the_training_made_come_back(tmp_path, dense_trainings):
    fits = [pruned(net(module=Lazy), memory=tmp_path, fine_tune_epochs=0).fit(X, y) for _ in "ab"]
    assert len(dense_trainings) == 1
    first, second = (dict(fit.module_.named_buffers()) for fit in fits)
    assert first.keys() == second.keys() == {"late", "count", "empty"}
    for name, buffer in first.items():
        assert buffer.dtype == second[name].dtype
        assert torch.equal(buffer, second[name])
    assert "count" not in fits[1].module_.state_dict()


def test_a_history_comes_back_with_its_types(tmp_path, dense_trainings):
    estimator = net(train_split=ValidSplit(3))
    fits = [pruned(estimator, memory=tmp_path).fit(X, y) for _ in "ab"]
    assert len(dense_trainings) == 1
    for cold, warm in zip(*(list(fit.history_) for fit in fits), strict=True):
        assert {k: type(v) for k, v in cold.items()} == {k: type(v) for k, v in warm.items()}


def test_a_memory_without_a_seed_keeps_nothing_and_says_so(tmp_path):
    with pytest.warns(UncachedWarning, match="random_state=None"):
        pruned(memory=tmp_path, random_state=None).fit(X, y)
    assert not files_in(tmp_path)


def test_a_memory_is_a_folder_or_in_one(tmp_path, dense_trainings):
    memory = Memory(tmp_path, verbose=0)
    for each in (str(tmp_path), tmp_path, memory):
        pruned(memory=each).fit(X, y)
    assert len(dense_trainings) == 1
    memory.clear(warn=False)
    pruned(memory=Memory(None)).fit(X, y)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_two_processes_may_share_a_memory(tmp_path):
    fits = Parallel(n_jobs=2)(delayed(pruned(memory=str(tmp_path)).fit)(X, y) for _ in range(4))
    plain = pruned().fit(X, y)
    assert all(same_fit(plain, fit) for fit in fits)


def test_modules_and_criteria_that_are_given_as_objects(tmp_path, dense_trainings):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    given = NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss(),
        lr=0.1,
        max_epochs=3,
        train_split=None,
        verbose=0,
    )
    first = pruned(given, memory=tmp_path).fit(X, y)
    second = pruned(given, memory=tmp_path).fit(X, y)
    assert dense_trainings == [3]
    assert same_fit(first, second)
    assert same_fit(first, pruned(given).fit(X, y))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 6, batch_first=True)
        self.output = nn.Linear(6, 2)

    def forward(self, X):
        return self.output(self.lstm(X.unsqueeze(-1))[0][:, -1])


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_a_recurrent_layer_lists_its_weights_and_is_kept(structure, tmp_path, dense_trainings):
    recurrent = NeuralNetClassifier(
        Recurrent, criterion=nn.CrossEntropyLoss, max_epochs=2, train_split=None, verbose=0
    )
    single = X.astype(np.float32)
    plain = pruned(recurrent, structure=structure).fit(single, y)
    cold = pruned(recurrent, structure=structure, memory=tmp_path).fit(single, y)
    warm = pruned(recurrent, structure=structure, memory=tmp_path).fit(single, y)
    assert dense_trainings == [2, 2]
    assert same_fit(plain, cold)
    assert same_fit(plain, warm)
    other = clone(recurrent).set_params(optimizer=torch.optim.Adam)
    pruned(other, structure=structure, memory=tmp_path).fit(single, y)
    assert dense_trainings == [2, 2, 2]


class Swapping(nn.Linear):
    """Its list of weights is another after a forward pass."""

    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.order = [self.weight, self.bias]

    def forward(self, X):
        if self.training:
            self.order = self.order[::-1]
        return super().forward(X)


def test_a_list_of_weights_that_the_training_changes_is_not_kept(tmp_path, dense_trainings):
    net = NeuralNetClassifier(
        nn.Sequential(Swapping(5, 8), nn.ReLU(), nn.Linear(8, 2)),
        criterion=nn.CrossEntropyLoss,
        max_epochs=3,
        train_split=None,
        verbose=0,
    )
    for _ in range(2):
        with pytest.warns(UncachedWarning, match="attributes of the module beside its tensors"):
            pruned(net, memory=tmp_path).fit(X.astype(np.float32), y)
    assert dense_trainings == [3, 3]
