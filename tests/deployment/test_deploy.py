"""Deployed predictors predict what the estimators do, whatever computes."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
from torch import nn

from skprune import NotDeployableError, deploy
from skprune.deployment import DeployedPredictor, deploying
from skprune.deployment.deploying import RUNTIMES
from skprune.pruning import ClassOutputs, Predictor
from tests.deployment.common import (
    CLASSES,
    KINDS,
    X,
    default_classifier,
    first_rows,
    fitted,
    methods_of,
)


def check_same(deployed: Any, estimator: Any, rows: Any) -> None:
    assert methods_of(deployed) == methods_of(estimator)
    for name in methods_of(estimator):
        for n_rows in (1, 3, 80):
            few = first_rows(rows, n_rows)
            found, expected = getattr(deployed, name)(few), getattr(estimator, name)(few)
            assert found.shape == expected.shape
            assert found.dtype == expected.dtype
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
            else:
                np.testing.assert_array_equal(found, expected)


# Writing an ONNX model takes a second; the others are tried with every kind each time.
QUICK = {"torch": KINDS, "onnx": ["strings", "pipeline", "mapping"], "sparse": KINDS}


@pytest.mark.parametrize(
    ("runtime", "kind"),
    [
        pytest.param(runtime, kind, marks=[] if kind in QUICK[runtime] else pytest.mark.slow)
        for runtime in RUNTIMES
        for kind in KINDS
    ],
)
def test_predictions_are_those_of_the_estimator(runtime: str, kind: str) -> None:
    estimator, rows = fitted(kind)
    if runtime == "sparse" and kind == "mapping":
        with pytest.raises(NotDeployableError, match="inputs"):
            deploy(estimator, runtime=runtime)
        return
    deployed = deploy(estimator, rows, runtime=runtime)
    assert deployed.runtime_ == runtime
    check_same(deployed, estimator, rows)
    check_same(pickle.loads(pickle.dumps(deployed)), estimator, rows)


@pytest.mark.parametrize("kind", ["strings", "two classes", "values", "frame", "mapping"])
def test_it_is_what_scikit_learn_takes_it_for(kind: str) -> None:
    estimator, rows = fitted(kind)
    deployed = deploy(estimator, runtime="torch")
    assert is_classifier(deployed) == is_classifier(estimator)
    assert is_regressor(deployed) == is_regressor(estimator)
    check_is_fitted(deployed)
    assert clone(deployed) is deployed
    for name in ("classes_", "n_features_in_", "feature_names_in_"):
        assert hasattr(deployed, name) == hasattr(estimator, name)
        if hasattr(estimator, name):
            np.testing.assert_array_equal(getattr(deployed, name), getattr(estimator, name))
    y = estimator.predict(rows)
    assert deployed.score(rows, y) == pytest.approx(1.0)
    frozen = FrozenEstimator(deployed).fit(rows, y)
    np.testing.assert_allclose(
        *(np.unique(of.predict(rows), return_inverse=True)[1] for of in (frozen, estimator))
    )


def test_it_is_read_only() -> None:
    deployed = deploy(fitted("strings")[0], runtime="torch")
    with pytest.raises(TypeError, match=r"only predicts\. Fit the estimator"):
        deployed.fit(X, CLASSES)
    assert deployed.get_params() == {}
    assert deployed.set_params() is deployed
    with pytest.raises(ValueError, match=r"has no parameters; got \['runtime'\]"):
        deployed.set_params(runtime="onnx")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_happens_to_the_estimator_later_does_not_matter(runtime: str) -> None:
    pruned = default_classifier().fit(X, CLASSES)
    deployed = deploy(pruned, X, runtime=runtime)
    before = deployed.predict_proba(X)
    with torch.no_grad():
        for parameter in pruned.module_.parameters():
            parameter.mul_(3.0)
    assert abs(pruned.predict_proba(X) - before).max() > 0.01
    np.testing.assert_array_equal(deployed.predict_proba(X), before)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_eight_threads_get_equal_results(runtime: str) -> None:
    estimator, rows = fitted("classes")
    deployed = pickle.loads(pickle.dumps(deploy(estimator, rows, runtime=runtime)))
    many = np.tile(rows, (40, 1))
    with ThreadPoolExecutor(8) as pool:  # all of them meet the runtime before it is first used
        found = list(pool.map(lambda _: deployed.predict_proba(many), range(32)))
    for each in found:
        np.testing.assert_array_equal(each, found[0])
    np.testing.assert_allclose(found[0], estimator.predict_proba(many), atol=1e-5)


# ------------------------------------------------------------------------------------------ inputs


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_wrong_inputs_are_the_errors_of_the_estimator(runtime: str) -> None:
    estimator, rows = fitted("frame")
    deployed = deploy(estimator, rows, runtime=runtime)
    wrong = rows.rename(columns={"a": "z"})
    for bad in (wrong, rows.iloc[:, :3], rows.iloc[:0], rows.where(rows < 1)):
        with pytest.raises(ValueError) as expected:  # noqa: PT011 (it is compared)
            estimator.predict(bad)
        with pytest.raises(ValueError) as found:  # noqa: PT011
            deployed.predict(bad)
        assert str(found.value) == str(expected.value)


def test_infinite_values_are_refused_and_large_ones_are_not() -> None:
    estimator, rows = fitted("classes")
    deployed = deploy(estimator, runtime="torch")
    infinite, large = rows.copy(), rows.copy()
    infinite[3, 1] = np.inf
    with pytest.raises(ValueError, match="contains infinity"):
        deployed.predict(infinite)
    large[3, 1] = 1e30  # the square of which is infinite
    np.testing.assert_allclose(
        deployed.predict_proba(large), estimator.predict_proba(large), atol=1e-6
    )


def test_rows_come_as_lists_sparse_matrices_tensors_and_read_only() -> None:
    from scipy.sparse import csr_array

    estimator, rows = fitted("classes")
    deployed = deploy(estimator, runtime="onnx")
    expected = deployed.predict_proba(rows)
    locked = rows.copy()
    locked.flags.writeable = False
    doubled = np.asfortranarray(rows.astype(float))
    for same in (rows.tolist(), csr_array(rows), torch.from_numpy(rows), locked, doubled):
        np.testing.assert_allclose(deployed.predict_proba(same), expected, atol=1e-6)


def test_more_rows_than_a_chunk() -> None:
    estimator, rows = fitted("classes")
    many = np.tile(rows, (30, 1))[:2333]
    deployed = deploy(estimator, runtime="torch")
    np.testing.assert_allclose(
        deployed.predict_proba(many), estimator.predict_proba(many), atol=1e-6
    )


# --------------------------------------------------------------------------------------- pipelines


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-1, 2)),
        MaxAbsScaler(),
        RobustScaler(),
        RobustScaler(with_centering=False),
        RobustScaler(with_scaling=False),
    ],
    ids=str,
)
def test_a_scaler_is_folded_into_the_first_layer(scaler: Any) -> None:
    rows = (3 + X * np.array([1, 2, 3, 0.1, 0.5, 7])).astype(float)
    pipeline = make_pipeline(clone(scaler), default_classifier()).fit(rows, CLASSES)
    deployed = deploy(pipeline, runtime="torch")
    assert deployed.transformers == ()
    np.testing.assert_allclose(
        deployed.predict_proba(rows), pipeline.predict_proba(rows), atol=1e-9
    )


def test_steps_that_are_no_scalers_go_along() -> None:
    pipeline = make_pipeline(
        StandardScaler(), PCA(4), "passthrough", StandardScaler(), default_classifier()
    ).fit(X, CLASSES)
    deployed = deploy(pipeline, X, runtime="onnx")
    assert [type(step).__name__ for step in deployed.transformers] == ["StandardScaler", "PCA"]
    check_same(deployed, pipeline, X)


def test_a_scaler_that_clips_stays_a_step() -> None:
    pipeline = make_pipeline(MinMaxScaler(clip=True), default_classifier()).fit(X, CLASSES)
    deployed = deploy(pipeline, runtime="torch")
    assert len(deployed.transformers) == 1
    check_same(deployed, pipeline, 3 * X)


def test_columns_too_large_for_their_type_are_scaled_before() -> None:
    """In single precision, 1e6 + x has lost most of what x says."""
    rows = 1e6 + X.astype(float)
    net = NeuralNetClassifier(
        nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3)),
        criterion=nn.CrossEntropyLoss,
        max_epochs=1,
        train_split=None,
        verbose=0,
    )
    from sklearn.preprocessing import FunctionTransformer

    from skprune import PrunedClassifier

    narrow = FunctionTransformer(np.float32)
    pipeline = make_pipeline(StandardScaler(), narrow, PrunedClassifier(net, sparsity=0.5))
    pipeline.fit(rows, CLASSES)
    pipeline.steps[1] = ("functiontransformer", "passthrough")
    deployed = deploy(pipeline, rows, runtime="torch")
    assert len(deployed.transformers) == 1
    check_same(deployed, pipeline, rows)


class Twice(nn.Module):
    """Its inputs go into a linear layer, and around it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Any) -> Any:
        return self.layer(x) + x


@pytest.mark.parametrize("module", [Twice(), nn.Sequential(nn.Tanh(), nn.Linear(6, 3))])
def test_a_scaler_before_anything_else_stays(module: nn.Module) -> None:
    from skprune.deployment.folding import with_affine

    scale, shift = np.full(6, 2.0), np.full(6, 1.0)
    assert with_affine(module, scale, shift, torch.from_numpy(X)) is None


def test_a_search_deploys_what_it_found() -> None:
    search = GridSearchCV(default_classifier(), {"sparsity": [0.3, 0.6]}, cv=2).fit(X, CLASSES)
    check_same(deploy(search, runtime="torch"), search, X)


# ------------------------------------------------------------------------------------------ choice


def test_auto_measures_all_and_says_what() -> None:
    estimator, rows = fitted("classes")
    deployed = deploy(estimator, rows, batch_sizes=(1, 50))
    assert deployed.measurements_.keys() == RUNTIMES.keys()
    for measured in deployed.measurements_.values():
        assert measured["difference"] <= 1e-5
        assert measured["bytes"] > 0
        assert measured["seconds"].keys() == {1, 50}

    def product(name: str) -> float:
        return float(np.prod(list(deployed.measurements_[name]["seconds"].values())))

    assert deployed.runtime_ == min(RUNTIMES, key=product)
    check_same(deployed, estimator, rows)


def test_auto_keeps_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {name: float(i) for i, name in enumerate(RUNTIMES, 1)} | {"onnx": 0.5}

    def measured(functions: Any) -> Any:
        return {name: times[name] for name in functions}

    monkeypatch.setattr(deploying, "measured_in_turns", measured)
    assert deploy(fitted("classes")[0]).runtime_ == "onnx"


def test_auto_does_without_what_is_missing_or_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    from skprune.deployment.runtimes.onnx import OnnxRuntime

    right = OnnxRuntime.outputs
    monkeypatch.setattr(OnnxRuntime, "outputs", lambda self, X: right(self, X) * 1.001)
    estimator, _ = fitted("classes")
    with pytest.raises(NotDeployableError, match=r"other outputs|something else"):
        deploy(estimator, runtime="onnx")
    deployed = deploy(estimator)
    assert deployed.runtime_ != "onnx"
    assert "something else" in deployed.measurements_["onnx"]["refused"]


def test_a_nonlinearity_of_ones_own_needs_torch() -> None:
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    outputs = ClassOutputs([0, 1, 2], nonlinearity=lambda outputs: outputs.exp())
    predictor = Predictor(module, outputs, example=torch.from_numpy(X[:4]))
    deployed = deploy(predictor)
    assert deployed.runtime_ == "torch"
    check_same(deployed, predictor, X)
    with pytest.raises(NotDeployableError, match="runtime='torch' can"):
        deploy(predictor, runtime="onnx")


def test_a_predictor_without_an_example_needs_a_sample() -> None:
    predictor = Predictor(nn.Linear(6, 3).eval(), ClassOutputs())
    with pytest.raises(ValueError, match="pass X_sample"):
        deploy(predictor)
    assert isinstance(deploy(predictor, X, runtime="onnx"), DeployedPredictor)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "onxx"}, "Unknown runtime 'onxx'. Did you mean 'onnx'"),
        ({"batch_sizes": ()}, "batch_sizes must be"),
        ({"batch_sizes": (0,)}, "batch_sizes must be"),
        ({"n_threads": 0}, "n_threads must be at least 1"),
    ],
)
def test_wrong_options(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        deploy(fitted("classes")[0], **options)


def test_what_cannot_be_deployed() -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(TypeError, match=r"got a LogisticRegression"):
        deploy(LogisticRegression().fit(X, CLASSES))
    with pytest.raises(NotFittedError):
        deploy(default_classifier())
