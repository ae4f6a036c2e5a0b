"""What comes back from a file is what was saved."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import Tensor, nn

import skprune
from skprune import (
    IncompleteWarning,
    InvalidFileError,
    PrunedClassifier,
    PrunedClassifierCV,
    Strategy,
    UnsavableError,
    prune,
)
from skprune.strategies import Magnitude
from tests.estimators.common import blobs, classifier_net
from tests.estimators.test_predictor import TASKS, assert_alike, fitted
from tests.helpers import fit_untrained
from tests.networks import NETWORKS
from tests.test_imports import WITHOUT_SKORCH, python

X, Y = blobs()
X32 = X.astype(np.float32)
NAMES = np.array(["ant", "bee", "cat"])[Y]
# Modules of tests whose networks are saved.
TRUSTED = ["tests"]


def through_a_file(estimator: Any, folder: Path, options: dict | None = None, **load: Any) -> Any:
    path = folder / "file.skprune"
    skprune.save(estimator, path, **(options or {}))
    assert [each.name for each in folder.iterdir()] == ["file.skprune"]
    return skprune.load(path, **{"trusted": TRUSTED, **load})


def assert_same_fit(one: Any, other: Any) -> None:
    """All that a fit leaves, beside predictions."""
    assert type(one) is type(other)
    for name in ("masks_", "kept_", "_masks"):
        ours, theirs = getattr(one, name), getattr(other, name)
        assert list(ours) == list(theirs)
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key])
            assert type(ours[key]) is type(theirs[key])
            assert ours[key].dtype == theirs[key].dtype
    for name in ("classes_", "feature_names_in_", "n_features_in_", "sparsity_", "_keys"):
        assert hasattr(one, name) == hasattr(other, name)
        np.testing.assert_array_equal(getattr(one, name, None), getattr(other, name, None))
        ours = getattr(one, name, None)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == getattr(other, name).dtype
    assert repr(one.report_) == repr(other.report_)
    assert repr(one.module_) == repr(other.module_)
    assert repr(one) == repr(other)
    for (name, ours), theirs in zip(
        one.module_.named_parameters(), other.module_.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, msg=name)
        assert ours.requires_grad == theirs.requires_grad


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("task", TASKS)
def test_an_estimator_comes_back(task: str, structure: str, tmp_path: Path) -> None:
    estimator, rows = fitted(task, structure=structure)
    loaded = through_a_file(estimator, tmp_path)
    assert_alike(loaded, estimator, rows)
    assert_same_fit(loaded, estimator)
    assert_alike(loaded.predictor_, estimator.predictor_, rows)


@pytest.mark.parametrize("task", TASKS)
def test_a_predictor_comes_back(task: str, tmp_path: Path) -> None:
    estimator, rows = fitted(task)
    loaded = through_a_file(estimator.predictor_, tmp_path)
    assert_alike(loaded, estimator.predictor_, rows)
    assert loaded.inputs == estimator.predictor_.inputs
    assert_alike(through_a_file(loaded, tmp_path), estimator.predictor_, rows)


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("network", NETWORKS)
def test_networks_of_many_kinds_come_back(network: str, structure: str, tmp_path: Path) -> None:
    """They are modules that the user built: of torch's layers, or to be given again."""
    example = NETWORKS[network]
    try:
        estimator = fit_untrained(
            "PrunedClassifier", example.build(), example, structure=structure, sparsity=0.5
        )
    except skprune.UntraceableError:
        return
    loaded = through_a_file(estimator, tmp_path, module=example.build(seed=1))
    rows = example.inputs(8)
    np.testing.assert_array_equal(loaded.predict_proba(rows), estimator.predict_proba(rows))
    for name in ("masks_", "kept_"):
        for key, value in getattr(estimator, name).items():
            np.testing.assert_array_equal(getattr(loaded, name)[key], value)


def test_a_network_of_torchs_layers_needs_nobody(tmp_path: Path) -> None:
    layers = nn.Sequential(
        nn.Linear(4, 16), nn.BatchNorm1d(16), nn.PReLU(), nn.Dropout(0.1), nn.Linear(16, 3)
    )
    for structure in ("weight", "unit"):
        estimator = PrunedClassifier(
            classifier_net(layers), structure=structure, random_state=0
        ).fit(X32, NAMES)
        loaded = through_a_file(estimator, tmp_path, trusted=())
        assert_alike(loaded, estimator, X32)
        pruned = prune(layers, torch.from_numpy(X32[:4]), structure=structure)
        assert_alike(through_a_file(pruned.predictor, tmp_path, trusted=()), pruned.predictor, X32)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_it_can_be_trained_on(structure: str, training: bool, tmp_path: Path) -> None:
    net = classifier_net(optimizer=torch.optim.Adam, callbacks=[LRScheduler("StepLR", step_size=2)])
    estimator = PrunedClassifier(net, structure=structure, random_state=0).fit(X32, NAMES)
    loaded = through_a_file(estimator, tmp_path, {"training": training})
    again = through_a_file(estimator, tmp_path, {"training": training})
    assert list(loaded.history_) == (list(estimator.history_) if training else [])
    for _ in range(2):
        for each in (estimator, loaded, again):
            each.partial_fit(X32, NAMES)
    weights = [each.module_.hidden.weight for each in (estimator, loaded, again)]
    torch.testing.assert_close(weights[1], weights[2], rtol=0, atol=0)
    assert torch.equal(weights[0], weights[1]) is training
    for name, mask in loaded._masks.items():
        assert not loaded.module_.get_parameter(name)[~mask].any()


def test_it_can_be_fitted_again_and_cloned(tmp_path: Path) -> None:
    strategy = Strategy(importance=Magnitude(p=1), schedule="cubic")
    net = classifier_net(
        callbacks=[("stop", EarlyStopping(patience=50, monitor="train_loss"))],
        criterion__weight=torch.tensor([1.0, 2.0, 1.0]),
    )
    options = {"strategy": strategy, "random_state": 3, "class_weight": {"ant": 2.0, "bee": 1.0}}
    estimator = PrunedClassifier(net, sparsity=0.6, protect=["output"], **options)
    estimator.fit(X32, NAMES)
    loaded = through_a_file(estimator, tmp_path)
    for each in (loaded, clone(loaded)):
        assert shown(each.get_params()) == shown(estimator.get_params())
        each.fit(X32, NAMES)
        assert_alike(each, estimator, X32)


def shown(params: dict[str, Any]) -> str:
    params = {n: value for n, value in params.items() if not n.startswith("estimator___")}
    return re.sub(r" at 0x\w+", "", repr(params))


def test_half_precision_rounds_the_weights_and_no_more(tmp_path: Path) -> None:
    estimator, rows = fitted("default regressor")
    loaded = through_a_file(estimator, tmp_path, {"dtype": "float16"})
    for name, tensor in estimator.module_.named_parameters():
        ours = loaded.module_.get_parameter(name)
        assert ours.dtype == tensor.dtype
        torch.testing.assert_close(ours, tensor.half().to(tensor.dtype), rtol=0, atol=0)
    for name, buffer in estimator.module_.named_buffers():
        torch.testing.assert_close(loaded.module_.get_buffer(name), buffer, rtol=0, atol=0)
    np.testing.assert_allclose(loaded.predict(rows), estimator.predict(rows), rtol=0.02, atol=0.02)
    with torch.no_grad():
        next(estimator.module_.parameters())[0, 0] = 1e5
        estimator._masks["hidden0.weight"][0, 0] = True
    with pytest.raises(UnsavableError, match=r"hidden0\.weight has a weight of 1e\+05"):
        skprune.save(estimator, tmp_path / "file.skprune", dtype="float16")
    with pytest.raises(ValueError, match="dtype must be None or 'float16'; got 'int8'"):
        skprune.save(estimator, tmp_path / "file.skprune", dtype="int8")


def test_values_of_every_float_come_back(tmp_path: Path) -> None:
    """Bit for bit: not a number, infinities, denormal ones, negative zeros outside the masks."""
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        module = nn.Linear(16, 16, dtype=dtype)
        info = torch.finfo(dtype)
        special = [np.nan, np.inf, -np.inf, info.tiny, -info.max, info.smallest_normal / 2, 0.0]
        with torch.no_grad():
            module.weight[0, :7] = torch.tensor(special, dtype=dtype)
        predictor = skprune.pruning.Predictor(module)
        loaded = through_a_file(predictor, tmp_path)
        ours, theirs = loaded.module.weight, module.weight
        assert ours.dtype == dtype
        assert torch.equal(ours.view(torch.uint8), theirs.view(torch.uint8))


class Changed(nn.Module):
    """What it computes hangs on more than its arguments and its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(4, 3)
        self.temperature = 1.0

    def forward(self, X: Tensor) -> Tensor:
        return self.output(X) / self.temperature


def test_a_network_that_would_not_come_back_is_refused(tmp_path: Path) -> None:
    estimator = PrunedClassifier(classifier_net(Changed), random_state=0).fit(X32, Y)
    path = tmp_path / "file.skprune"
    skprune.save(estimator, path)
    before = path.read_bytes()
    estimator.module_.temperature = 2.0
    with pytest.raises(UnsavableError, match="attribute of the Changed that was changed"):
        skprune.save(estimator, path)
    assert path.read_bytes() == before


class Taking(nn.Module):
    """Takes a module, which no file describes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, X: Tensor) -> Tensor:
        return self.inner(X)


def test_a_network_that_no_file_makes_is_given(tmp_path: Path) -> None:
    def make() -> nn.Module:
        return Taking(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)))

    estimator = PrunedClassifier(classifier_net(make()), structure="unit", random_state=0)
    estimator.fit(X32, Y)
    path = tmp_path / "file.skprune"
    skprune.save(estimator, path)
    with pytest.raises(InvalidFileError, match="weights of a Taking, and nothing that makes one"):
        skprune.load(path)
    given = make()
    before = {name: tensor.clone() for name, tensor in given.state_dict().items()}
    loaded = skprune.load(path, module=given)
    assert_alike(loaded, estimator, X32)
    assert repr(loaded.report_) == repr(estimator.report_)
    assert repr(clone(loaded)) == repr(loaded)
    for name, tensor in given.state_dict().items():
        assert torch.equal(tensor, before[name])
    with pytest.raises(InvalidFileError, match="had 16 channels on side 'out'"):
        skprune.load(path, module=Taking(nn.Sequential(nn.Linear(4, 8), nn.ReLU())))
    with pytest.raises(TypeError, match="module must be a network"):
        skprune.load(path, module=Taking)


# ------------------------------------------------------------------------ what cannot be written


class Noting(Callback):
    def __init__(self, note: Any) -> None:
        self.note = note


def test_an_estimator_without_all_of_its_net_predicts_and_says_so(tmp_path: Path) -> None:
    net = classifier_net(
        callbacks=[Noting(lambda: None)],
        train_split=predefined_split(Dataset(X32, Y.astype(np.int64))),
    )
    estimator = PrunedClassifier(net, random_state=0).fit(X32, Y)
    path = tmp_path / "file.skprune"
    lacks = "has no estimator__callbacks, estimator__train_split of this PrunedClassifier"
    with pytest.warns(IncompleteWarning, match=lacks):
        skprune.save(estimator, path)
    with pytest.warns(IncompleteWarning, match=lacks):
        loaded = skprune.load(path, trusted=TRUSTED)
    assert_alike(loaded, estimator, X32)
    with pytest.raises(ValueError, match="a file that has no estimator__callbacks, estimator__tr"):
        loaded.partial_fit(X32, Y)
    with pytest.raises(ValueError, match="FrozenEstimator around a net that is not fitted"):
        loaded.fit(X32, Y)
    assert_alike(loaded, estimator, X32)


def test_a_teacher_is_left_out(tmp_path: Path) -> None:
    teacher = PrunedClassifier(classifier_net(), sparsity=0, random_state=0).fit(X32, Y).net_
    strategy = Strategy(recovery=skprune.strategies.Distill(teacher=teacher))
    estimator = PrunedClassifier(classifier_net(), strategy=strategy, random_state=0).fit(X32, Y)
    with pytest.warns(IncompleteWarning, match="no strategy of this PrunedClassifier"):
        skprune.save(estimator, tmp_path / "file.skprune")


def test_a_trained_net_stays_outside(tmp_path: Path) -> None:
    """The file would be as large as that of the dense network."""
    sizes = {"module__n_features": 4, "module__n_outputs": 3, "module__hidden": 200}
    net = classifier_net(**sizes).fit(X32, Y)
    for given in (net, FrozenEstimator(net)):
        estimator = PrunedClassifier(given, sparsity=0.95, random_state=0).fit(X32, Y)
        loaded = through_a_file(estimator, tmp_path)
        assert (tmp_path / "file.skprune").stat().st_size < 1500
        assert_alike(loaded, estimator, X32)
        loaded.partial_fit(X32, Y)
        with pytest.raises(ValueError, match="FrozenEstimator around a net that is not fitted"):
            loaded.fit(X32, Y)
        repr(loaded), clone(loaded)


def test_what_predictions_need_and_cannot_be_written_is_refused(tmp_path: Path) -> None:
    net = classifier_net(predict_nonlinearity=lambda X: X.softmax(1))
    estimator = PrunedClassifier(net, random_state=0).fit(X32, Y)
    with pytest.raises(UnsavableError, match=r"predict_nonlinearity is <function.*by a name"):
        skprune.save(estimator, tmp_path / "file.skprune")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_fitted_estimator_of_skprunes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.skprune"
    with pytest.raises(Exception, match="not fitted yet"):
        skprune.save(PrunedClassifier(), path)
    with pytest.raises(UnsavableError, match=r"got a Linear.*skops"):
        skprune.save(nn.Linear(2, 2), path)
    search = PrunedClassifierCV(classifier_net(), sparsities=[0.5], cv=2, random_state=0)
    with pytest.raises(UnsavableError, match="Save what predicts: its best_estimator_"):
        skprune.save(search.fit(X32, Y), path)
    loaded = through_a_file(search.best_estimator_, tmp_path)
    assert_alike(loaded, search.best_estimator_, X32)
    pruned = prune(nn.Linear(4, 3), torch.from_numpy(X32[:4]))
    with pytest.raises(UnsavableError, match="its predictor"):
        skprune.save(pruned, path)


def test_no_row_of_the_data_is_in_a_file(tmp_path: Path) -> None:
    estimator, _ = fitted("classes")
    loaded = through_a_file(estimator, tmp_path)
    example = loaded.predictor_.example
    assert example.shape == estimator.predictor_.example.shape
    assert example.dtype == estimator.predictor_.example.dtype
    assert not (example == estimator.predictor_.example).any()


def test_the_global_generators_are_left_alone(tmp_path: Path) -> None:
    estimator, _ = fitted("classes")
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    through_a_file(estimator, tmp_path)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


# ------------------------------------------------------------------------------------- the file


def test_a_file_keeps_its_rights_and_a_link_its_place(tmp_path: Path) -> None:
    estimator, _ = fitted("classes")
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o600)
    link.symlink_to(real)
    skprune.save(estimator, link)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert skprune.load(str(link), trusted=TRUSTED).predict(X32).shape == (60,)


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    estimator, _ = fitted("classes")
    with pytest.raises(FileNotFoundError):
        skprune.save(estimator, tmp_path / "none" / "file")
    with pytest.raises(FileNotFoundError):
        skprune.load(tmp_path / "none")


KILLED = """
import os, signal, sys, time
from torch import nn
import skprune
from skprune.pruning import Predictor

path = sys.argv[1]
predictors = [Predictor(nn.Linear(100 + i, 300)) for i in range(2)]
skprune.save(predictors[0], path)
for attempt in range(8):
    child = os.fork()
    if not child:
        while True:
            for predictor in predictors:
                skprune.save(predictor, path)
    time.sleep(0.02 + 0.007 * attempt)
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert skprune.load(path).module.in_features in (100, 101)
"""


def test_a_process_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file.skprune"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", KILLED, path],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert {each.suffix for each in tmp_path.iterdir()} <= {".skprune", ".part"}


LOAD = (
    WITHOUT_SKORCH
    + """
import numpy as np
import skprune

loaded = skprune.load("file.skprune", trusted=["tests"])
np.save("found.npy", loaded.predict_proba(np.load("rows.npy")))
assert not any(name.partition(".")[0] == "skorch" for name in sys.modules)
"""
)


def test_a_predictor_is_loaded_without_skorch(tmp_path: Path) -> None:
    estimator, rows = fitted("default classifier")
    skprune.save(estimator.predictor_, tmp_path / "file.skprune")
    np.save(tmp_path / "rows.npy", rows)
    python(LOAD, path=tmp_path)
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, estimator.predict_proba(rows), rtol=1e-12)
