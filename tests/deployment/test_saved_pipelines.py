"""Pipelines come back from files, and from what else scikit-learn's users keep estimators in."""

import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

import skprune
from skprune import InvalidFileError, PrunedClassifier, UnsavableError
from tests.estimators.common import blobs, classifier_net
from tests.estimators.test_predictor import assert_alike, fitted

X, Y = blobs()
NAMES = np.array(["ant", "bee", "cat"])[Y]
FRAME = pd.DataFrame(X, columns=["one", "two", "three", "four"]).assign(
    kind=np.array(["x", "y", "z"])[np.arange(60) % 3]
)


def pruned() -> PrunedClassifier:
    return PrunedClassifier(random_state=0, sparsity=0.5).set_params(estimator__max_epochs=3)


def columns() -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer(
        [("numbers", numbers, ["one", "two"]), ("kinds", OneHotEncoder(), ["kind"])],
        remainder="drop",
    )


PIPELINES: dict[str, tuple[Any, Any]] = {
    "scaled": (lambda: make_pipeline(StandardScaler(), pruned()), X),
    "columns": (lambda: Pipeline([("columns", columns()), ("net", pruned())]), FRAME),
    "many steps": (
        lambda: make_pipeline(
            MinMaxScaler(),
            "passthrough",
            RobustScaler(),
            QuantileTransformer(n_quantiles=10),
            KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
            PCA(3, svd_solver="full"),
            pruned(),
        ),
        X,
    ),
    "codes": (lambda: make_pipeline(OrdinalEncoder(), StandardScaler(), pruned()), FRAME),
    "names": (
        lambda: make_pipeline(StandardScaler().set_output(transform="pandas"), pruned()),
        FRAME.drop(columns="kind"),
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_comes_back(name: str, tmp_path: Path) -> None:
    make, rows = PIPELINES[name]
    pipeline = make().fit(rows, NAMES)
    path = tmp_path / "file.skprune"
    skprune.save(pipeline, path)
    loaded = skprune.load(path)
    assert_alike(loaded, pipeline, rows)
    assert repr(loaded) == repr(pipeline)
    np.testing.assert_array_equal(loaded.classes_, pipeline.classes_)
    for (_, one), (_, other) in zip(loaded.steps, pipeline.steps, strict=True):
        assert type(one) is type(other)
    if name == "columns":
        with pytest.raises(ValueError, match=r"columns are missing: {'one'}"):
            loaded.predict(FRAME.drop(columns="one"))
    loaded.fit(rows, NAMES)
    assert_alike(loaded, pipeline, rows)


def test_steps_that_are_no_plain_data_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.skprune"
    with_lambda = make_pipeline(FunctionTransformer(lambda X: X), pruned()).fit(X, NAMES)
    with pytest.raises(UnsavableError, match=r"steps\[0\]\[1\]\.func is <function .*<lambda>"):
        skprune.save(with_lambda, path)
    other = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, NAMES)
    with pytest.raises(
        UnsavableError, match=r"a Pipeline that ends in a LogisticRegression.*skops"
    ):
        skprune.save(other, path)
    assert not path.exists()


def test_functions_and_other_steps_have_to_be_trusted(tmp_path: Path) -> None:
    path = tmp_path / "file.skprune"
    pipeline = make_pipeline(FunctionTransformer(doubled), pruned()).fit(X, NAMES)
    skprune.save(pipeline, path)
    with pytest.raises(InvalidFileError, match=r"FunctionTransformer, which is not trusted"):
        skprune.load(path)
    transformer = "sklearn.preprocessing._function_transformer.FunctionTransformer"
    with pytest.raises(InvalidFileError, match=r"doubled, which is not trusted"):
        skprune.load(path, trusted=[transformer])
    assert_alike(skprune.load(path, trusted=[transformer, doubled]), pipeline, X)


def doubled(X: np.ndarray) -> np.ndarray:
    return 2 * X


def test_another_version_of_scikit_learn_is_told(tmp_path: Path) -> None:
    """As its pickles do it."""
    path = tmp_path / "file.skprune"
    pipeline = make_pipeline(StandardScaler(), pruned()).fit(X, NAMES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn.base.__version__", "1.0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            skprune.save(pipeline, path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        skprune.load(path)
    messages = {str(each.message)[:66] for each in told}
    assert "Trying to unpickle estimator StandardScaler from version 1.0 when " in messages


@pytest.mark.parametrize(
    "task", ["classes", "one output", "values", "mapping", "default regressor"]
)
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_joblib_keeps_estimators_and_predictors(task: str, structure: str, tmp_path: Path) -> None:
    estimator, rows = fitted(task, structure=structure)
    for kept in (estimator, estimator.predictor_):
        joblib.dump(kept, tmp_path / "file.joblib")
        assert_alike(joblib.load(tmp_path / "file.joblib"), kept, rows)


def test_a_saved_estimator_can_be_kept_by_joblib_again(tmp_path: Path) -> None:
    estimator = PrunedClassifier(classifier_net(), random_state=0).fit(X, NAMES)
    skprune.save(estimator, tmp_path / "file")
    loaded = skprune.load(tmp_path / "file", trusted=["tests"])
    joblib.dump(loaded, tmp_path / "again")
    assert_alike(joblib.load(tmp_path / "again"), estimator, X)
