"""What may be given as X, y and sample_weight, and what becomes of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn import config_context
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import compute_sample_weight
from skorch.helper import SliceDict
from torch import Tensor, nn

from skprune import PrunedClassifier, PrunedRegressor
from tests.estimators.common import (
    ESTIMATORS,
    assert_equal_fits,
    binary_net,
    blobs,
    classifier_net,
    data_for,
    labels_net,
    net_for,
    outputs,
)

NAMES = ["a", "b", "c", "d"]


def pruned(kind: str, wrapped: bool = True, **params: Any) -> Any:
    """A quick estimator: a user's net of few epochs, or the default one."""
    net = net_for(kind) if wrapped else None
    return ESTIMATORS[kind](net, sparsity=0.5, random_state=0, **params)


@pytest.fixture(params=ESTIMATORS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[True, False], ids=["wrapped", "default"])
def wrapped(request: pytest.FixtureRequest) -> bool:
    return request.param


# Frames


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_frames_give_feature_names(kind: str, wrapped: bool, frame: Any) -> None:
    X, y = data_for(kind)
    table = frame(dict(zip(NAMES, X.T, strict=True)))

    fitted = pruned(kind, wrapped).fit(table, y)

    assert fitted.feature_names_in_.tolist() == NAMES
    assert fitted.n_features_in_ == 4
    np.testing.assert_array_equal(outputs(fitted, table), outputs(fitted, table[NAMES]))
    with pytest.raises(ValueError, match="feature names should match those that were passed"):
        fitted.predict(frame(dict(zip(NAMES[::-1], X.T, strict=True))))
    with pytest.raises(ValueError, match="feature names should match those that were passed"):
        fitted.partial_fit(frame(dict(zip("ABCD", X.T, strict=True))), y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        fitted.predict(X)


def test_frames_fit_as_their_values_do(kind: str, wrapped: bool) -> None:
    X, y = data_for(kind)
    table = pd.DataFrame(X, columns=NAMES)

    by_frame = pruned(kind, wrapped).fit(table, pd.Series(y, name="y"))
    by_array = pruned(kind, wrapped).fit(X, y)

    np.testing.assert_array_equal(outputs(by_frame, table), outputs(by_array, X))
    assert not hasattr(by_array, "feature_names_in_")


def test_frames_of_mixed_numbers() -> None:
    X, y = blobs()
    table = pd.DataFrame(X, columns=NAMES).assign(a=np.arange(len(X)) % 2 == 0, b=1)

    fitted = pruned("classifier").fit(table, y)

    assert fitted.module_.hidden.weight.dtype == torch.float32
    assert fitted.predict(table).shape == y.shape


def test_refit_forgets_feature_names(kind: str) -> None:
    X, y = data_for(kind)

    fitted = pruned(kind).fit(pd.DataFrame(X, columns=NAMES), y).fit(X[:, :3], y)

    assert not hasattr(fitted, "feature_names_in_")
    assert fitted.n_features_in_ == 3


# Kinds of numbers and of memory


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.uint8, np.int32, bool])
def test_numbers_of_any_type(kind: str, wrapped: bool, dtype: type) -> None:
    X, y = data_for(kind)
    X = np.abs(X * 2).round().astype(dtype)

    fitted = pruned(kind, wrapped).fit(X, y)

    # The default network is as precise as the data.
    precision = np.float32 if wrapped or dtype is np.float32 else np.float64
    assert next(fitted.module_.parameters()).detach().numpy().dtype == precision
    assert_equal_fits(fitted, pruned(kind, wrapped).fit(X.astype(precision), y), X)


class Bag(nn.Module):
    """Looks tokens up."""

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 6)
        self.hidden = nn.Linear(6, 8)
        self.output = nn.Linear(8, n_outputs)

    def forward(self, X: Tensor) -> Tensor:
        return self.output(self.hidden(self.table(X).mean(1)).relu())


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_tokens_stay_whole_numbers(kind: str, dtype: type, structure: str) -> None:
    X = np.random.default_rng(0).integers(10, size=(60, 3))
    y = X[:, 0] % 3 if kind == "classifier" else X.sum(1).astype(float)
    estimator = ESTIMATORS[kind](
        net_for(kind, Bag), sparsity=0.5, structure=structure, random_state=0
    )

    fitted = estimator.fit(X.astype(dtype), y)

    np.testing.assert_array_equal(outputs(fitted, X.astype(dtype)), outputs(fitted, X))
    assert fitted.partial_fit(X.astype(dtype), y) is fitted


def test_memory_mapped_input(kind: str, wrapped: bool, tmp_path: Path) -> None:
    X, y = data_for(kind)
    for name, array in {"X": X, "y": y}.items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    targets = np.load(tmp_path / "y.npy", mmap_mode="r")
    assert not mapped.flags.writeable

    fitted = pruned(kind, wrapped).fit(mapped, targets)  # a warning of torch would be an error

    assert_equal_fits(fitted, pruned(kind, wrapped).fit(X, y), mapped)


@pytest.mark.parametrize(
    "arrange",
    [np.asfortranarray, lambda X: np.repeat(X, 2, axis=1)[:, ::2], lambda X: X[::-1][::-1]],
    ids=["column-major", "strided", "reversed"],
)
def test_arrangement_in_memory_does_not_matter(kind: str, wrapped: bool, arrange: Any) -> None:
    X, y = data_for(kind)

    fitted = pruned(kind, wrapped).fit(arrange(X), y)

    assert_equal_fits(fitted, pruned(kind, wrapped).fit(X, y), arrange(X))


def test_lists_and_tensors(kind: str, wrapped: bool) -> None:
    X, y = data_for(kind)
    expected = pruned(kind, wrapped).fit(X, y)

    from_lists = pruned(kind, wrapped).fit(X.tolist(), y.tolist())
    from_tensors = pruned(kind, wrapped).fit(torch.from_numpy(X), torch.from_numpy(y))

    assert_equal_fits(from_lists, expected, X)
    assert_equal_fits(from_tensors, expected, torch.from_numpy(X))


def test_data_is_left_as_it_was(kind: str, wrapped: bool) -> None:
    X, y = data_for(kind)
    weights = np.linspace(0.1, 1, len(X))
    copies = X.copy(), y.copy(), weights.copy()

    pruned(kind, wrapped).fit(X, y, sample_weight=weights).partial_fit(X, y, sample_weight=weights)

    for now, before in zip((X, y, weights), copies, strict=True):
        np.testing.assert_array_equal(now, before)


# More dimensions than two, and more inputs than one


class Convolutions(nn.Module):
    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.hidden = nn.Linear(6 * 9, 12)
        self.output = nn.Linear(12, n_outputs)

    def forward(self, X: Tensor) -> Tensor:
        X = nn.functional.max_pool2d(self.conv(X).relu(), 2)
        return self.output(self.hidden(X.flatten(1)).relu())


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_images(structure: str) -> None:
    X, y = load_digits(n_class=3, return_X_y=True)
    X = X.reshape(-1, 1, 8, 8) / 16
    net = classifier_net(Convolutions, batch_size=32)

    fitted = PrunedClassifier(net, structure=structure, sparsity=0.5, random_state=0)
    fitted.fit(X[::2], y[::2])

    assert fitted.score(X[1::2], y[1::2]) > 0.9
    if structure == "unit":
        assert fitted.module_.conv.out_channels + fitted.module_.hidden.out_features == 9
    with pytest.raises(ValueError, match="X has 2 features, but PrunedClassifier is expecting 1"):
        fitted.predict(np.concatenate([X, X], axis=1))


def test_images_need_a_net_of_their_own(kind: str) -> None:
    X, y = data_for(kind)

    with pytest.raises(ValueError, match="Found array with dim 3"):
        pruned(kind, wrapped=False).fit(X[:, :, None], y)


class TwoInputs(nn.Module):
    """Takes numbers and tokens, by name."""

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.numbers = nn.Linear(4, 8)
        self.table = nn.Embedding(5, 8)
        self.output = nn.Linear(8, n_outputs)

    def forward(self, values: Tensor, token: Tensor) -> Tensor:
        return self.output((self.numbers(values) + self.table(token)).relu())


def two_inputs(kind: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    X, y = data_for(kind)
    return {"values": X, "token": np.arange(len(X)) % 5}, y


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_inputs_by_name(kind: str, structure: str) -> None:
    X, y = two_inputs(kind)
    estimator = ESTIMATORS[kind](
        net_for(kind, TwoInputs), structure=structure, sparsity=0.5, random_state=0
    )

    fitted = estimator.fit(X, y)
    fitted.partial_fit(X, y, sample_weight=np.ones(len(y)))

    expected = fitted.net_.predict_proba(
        {"values": X["values"].astype(np.float32), "token": X["token"]}
    )
    np.testing.assert_allclose(
        outputs(fitted, X).reshape(len(y), -1), expected, rtol=1e-5, atol=1e-6
    )
    assert not hasattr(fitted, "n_features_in_")
    if structure == "unit":
        assert fitted.module_.numbers.out_features == 4


def test_wrong_inputs_by_name() -> None:
    X, y = two_inputs("classifier")
    estimator = pruned("classifier").set_params(estimator__module=TwoInputs)

    fitted = estimator.fit(X, y)

    with pytest.raises(ValueError, match=r"X has keys \['token'\], but PrunedClassifier was"):
        fitted.predict({"token": X["token"]})
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.predict({"values": X["values"], "token": X["token"][:-1]})
    with pytest.raises(ValueError, match="X is an empty mapping"):
        estimator.fit({}, y)
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        estimator.fit(X, None)
    with pytest.raises(ValueError, match=r"Input X\['values'\] contains NaN"):
        estimator.fit({**X, "values": np.full_like(X["values"], np.nan)}, y)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_fitted_by_table_or_by_name_only_takes_the_same(kind: str) -> None:
    X, y = data_for(kind)

    by_table = pruned(kind).fit(X, y)
    by_name = pruned(kind).set_params(estimator__module__n_features=4).fit({"X": X}, y)

    np.testing.assert_array_equal(outputs(by_name, {"X": X}), outputs(by_table, X))
    with pytest.raises(ValueError, match=r"X has keys \['X'\].* was fitted with no mapping"):
        by_table.predict({"X": X})
    with pytest.raises(ValueError, match=r"a mapping that has keys \['X'\], but X is a ndarray"):
        by_name.predict(X)
    assert by_name.fit(X, y).predict(X).shape == y.shape


def test_inputs_by_name_in_a_search(kind: str) -> None:
    X, y = two_inputs(kind)
    estimator = ESTIMATORS[kind](net_for(kind, TwoInputs), random_state=0)

    search = GridSearchCV(
        estimator, {"sparsity": [0.2, 0.7]}, cv=KFold(2), error_score="raise"
    ).fit(SliceDict(**X), y)

    assert search.predict(SliceDict(**X)).shape == y.shape
    assert search.best_estimator_.sparsity_ == pytest.approx(
        search.best_params_["sparsity"], abs=0.02
    )


# Labels


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["cat", "dog", "owl"]),
        np.array(["owl", "dog", "cat"], dtype=object),
        np.array([7, -2, 3]),
        np.array([0.0, 2.0, 1.0]),
        np.array([200, 3, 77], dtype=np.uint8),
    ],
    ids=["strings", "objects", "integers", "whole floats", "bytes"],
)
def test_labels_of_any_kind(wrapped: bool, labels: np.ndarray) -> None:
    X, codes = blobs()
    y = labels[codes]

    fitted = pruned("classifier", wrapped).fit(X, y)

    np.testing.assert_array_equal(fitted.classes_, np.unique(y))
    assert fitted.classes_.dtype == y.dtype
    assert fitted.predict(X).dtype == y.dtype
    assert fitted.score(X, y) > 0.8
    best = fitted.classes_[fitted.predict_proba(X).argmax(1)]
    np.testing.assert_array_equal(fitted.predict(X), best)


@pytest.mark.parametrize("labels", [[False, True], ["no", "yes"], [1, -1]])
@pytest.mark.parametrize("net", [classifier_net(), binary_net(), None], ids=["two", "one", "none"])
def test_two_labels_of_any_kind(net: Any, labels: list) -> None:
    X, codes = blobs(n_classes=2)
    y = np.array(labels)[codes]

    fitted = PrunedClassifier(net, sparsity=0.5, random_state=0).fit(X, y)

    np.testing.assert_array_equal(fitted.classes_, np.unique(y))
    assert fitted.score(X, y) > 0.9
    np.testing.assert_array_equal(fitted.predict(X), fitted.predict(X.tolist()))


def test_labels_in_a_frame_and_in_lists() -> None:
    X, codes = blobs()
    y = pd.Series(np.array(["cat", "dog", "owl"])[codes])

    in_frame = pruned("classifier").fit(X, y)
    in_polars = pruned("classifier").fit(X, pl.Series(y.tolist()))
    in_list = pruned("classifier").fit(X, y.tolist())

    assert_equal_fits(in_frame, in_list, X)
    assert_equal_fits(in_polars, in_list, X)
    assert in_frame.classes_.tolist() == ["cat", "dog", "owl"]


# Weights of rows and of classes


def one_batch(kind: str, **params: Any) -> Any:
    """The default estimator, for which the rows here are one batch in float64."""
    return ESTIMATORS[kind](sparsity=0.5, random_state=0, **params)


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_whole_weights_are_repeated_rows(kind: str, structure: str) -> None:
    X, y = data_for(kind)
    weights = np.random.default_rng(0).integers(0, 4, len(X))

    weighted = one_batch(kind, structure=structure).fit(X, y, sample_weight=weights)
    repeated = one_batch(kind, structure=structure).fit(
        np.repeat(X, weights, axis=0), np.repeat(y, weights, axis=0)
    )

    assert_equal_fits(weighted, repeated, X, rtol=1e-6, atol=1e-8)
    unweighted = one_batch(kind, structure=structure).fit(X, y)
    assert not np.allclose(outputs(weighted, X), outputs(unweighted, X), atol=1e-3)


def test_weight_zero_removes_a_row(kind: str) -> None:
    X, y = data_for(kind)
    kept = np.arange(len(X)) % 3 > 0

    weighted = one_batch(kind).fit(X, y, sample_weight=kept)

    assert_equal_fits(weighted, one_batch(kind).fit(X[kept], y[kept]), X, rtol=1e-6, atol=1e-8)


def test_equal_weights_change_nothing(kind: str, wrapped: bool) -> None:
    X, y = data_for(kind)

    weighted = pruned(kind, wrapped).fit(X, y, sample_weight=np.full(len(X), 2.5))

    tolerance = {"rtol": 1e-3, "atol": 1e-4} if wrapped else {"rtol": 1e-6, "atol": 1e-8}
    assert_equal_fits(weighted, pruned(kind, wrapped).fit(X, y), X, **tolerance)


def test_weights_hold_in_partial_fit(kind: str) -> None:
    X, y = data_for(kind)
    weights = np.arange(len(X)) % 3

    weighted = one_batch(kind).fit(X, y).partial_fit(X, y, sample_weight=weights)
    repeated = (
        one_batch(kind)
        .fit(X, y)
        .partial_fit(np.repeat(X, weights, axis=0), np.repeat(y, weights, axis=0))
    )

    assert_equal_fits(weighted, repeated, X, rtol=1e-6, atol=1e-8)
    unweighted = one_batch(kind).fit(X, y).partial_fit(X, y)
    assert not np.allclose(outputs(weighted, X), outputs(unweighted, X), rtol=1e-5)


@pytest.mark.parametrize("net", [binary_net, labels_net])
def test_whole_weights_are_repeated_rows_for_every_loss(net: Any) -> None:
    X, y = blobs(n_classes=2)
    if net is labels_net:
        y = np.column_stack([y, X[:, 0] > 0]).astype(int)
    weights = np.arange(len(X)) % 3
    estimator = PrunedClassifier(net(batch_size=-1), sparsity=0.5, random_state=0)

    weighted = estimator.fit(X, y, sample_weight=weights).predict_proba(X)
    repeated = estimator.fit(np.repeat(X, weights, 0), np.repeat(y, weights, 0)).predict_proba(X)
    unweighted = estimator.fit(X, y).predict_proba(X)

    np.testing.assert_allclose(weighted, repeated, atol=1e-4)
    assert not np.allclose(weighted, unweighted, atol=1e-3)


def test_class_weight_is_a_weight_of_rows() -> None:
    X, y = blobs()
    keep = (y > 0) | (np.arange(len(y)) % 2 == 0)
    X, y = X[keep], y[keep]
    by_class = {0: 3.0, 1: 1.0, 2: 0.5}

    as_dict = one_batch("classifier", class_weight=by_class).fit(X, y)
    balanced = one_batch("classifier", class_weight="balanced").fit(X, y)

    rows = np.array([by_class[label] for label in y])
    assert_equal_fits(as_dict, one_batch("classifier").fit(X, y, rows), X)
    rows = compute_sample_weight("balanced", y)
    assert_equal_fits(balanced, one_batch("classifier").fit(X, y, rows), X)
    plain = one_batch("classifier").fit(X, y)
    assert not np.allclose(balanced.predict_proba(X), plain.predict_proba(X), atol=1e-3)


def test_class_weight_and_sample_weight_multiply() -> None:
    X, y = blobs()
    names = np.array(["cat", "dog", "owl"])[y]
    rows = np.linspace(0.5, 2, len(X))

    both = one_batch("classifier", class_weight={"cat": 4.0}).fit(X, names, sample_weight=rows)

    product = np.where(names == "cat", 4.0, 1.0) * rows
    assert_equal_fits(both, one_batch("classifier").fit(X, names, sample_weight=product), X)


def test_class_weight_holds_in_partial_fit() -> None:
    X, y = blobs()
    by_class = {0: 4.0}

    weighted = one_batch("classifier", class_weight=by_class).fit(X, y).partial_fit(X, y)

    rows = np.where(y == 0, 4.0, 1.0)
    plain = one_batch("classifier").fit(X, y, rows).partial_fit(X, y, sample_weight=rows)
    assert_equal_fits(weighted, plain, X)
    # A batch may lack a class that has a weight.
    weighted.partial_fit(X[y > 0], y[y > 0])


def test_weights_that_do_not_fit_the_rows(kind: str) -> None:
    X, y = data_for(kind)

    with pytest.raises(ValueError, match=r"sample_weight.shape == \(59,\), expected \(60,\)"):
        pruned(kind).fit(X, y, sample_weight=np.ones(59))
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        pruned(kind).fit(X, y, sample_weight=-np.ones(60))
    with pytest.raises(ValueError, match="Input sample_weight contains NaN"):
        pruned(kind).fit(X, y, sample_weight=np.full(60, np.nan))


class WholeBatchLoss(nn.MSELoss):
    """A loss that is one number for a batch, whatever it is told."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return super().forward(input, target).mean()


def test_loss_that_cannot_be_weighted() -> None:
    X, y = data_for("regressor")
    estimator = pruned("regressor").set_params(estimator__criterion=WholeBatchLoss)

    estimator.fit(X, y)
    with pytest.raises(ValueError, match="WholeBatchLoss gives no loss per row"):
        estimator.fit(X, y, sample_weight=np.ones(len(X)))


# Metadata routing


def routed(kind: str, structure: str = "weight") -> Any:
    with config_context(enable_metadata_routing=True):
        estimator = one_batch(kind, structure=structure)
        estimator.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        return make_pipeline(StandardScaler().set_fit_request(sample_weight=False), estimator)


def fit_by_hand(kind: str, X: np.ndarray, y: np.ndarray, weights: np.ndarray) -> Any:
    scaler = StandardScaler().fit(X)
    return make_pipeline(scaler, one_batch(kind).fit(scaler.transform(X), y, sample_weight=weights))


def test_weights_are_routed_through_a_pipeline(kind: str) -> None:
    X, y = data_for(kind)
    weights = np.arange(len(X)) % 3

    with config_context(enable_metadata_routing=True):
        model = routed(kind).fit(X, y, sample_weight=weights)

    assert_equal_fits(model[-1], fit_by_hand(kind, X, y, weights)[-1], X)


@pytest.mark.slow
def test_weights_are_routed_through_a_search_and_cross_validation(kind: str) -> None:
    X, y = data_for(kind)
    weights = np.arange(len(X)) % 3
    cv = KFold(2, shuffle=True, random_state=0)
    step = f"pruned{kind}"

    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(routed(kind), {f"{step}__sparsity": [0.5]}, cv=cv)
        search.fit(X, y, sample_weight=weights)
        scores = cross_validate(routed(kind), X, y, cv=cv, params={"sample_weight": weights})

    assert_equal_fits(search.best_estimator_[-1], fit_by_hand(kind, X, y, weights)[-1], X)
    expected = [
        fit_by_hand(kind, X[train], y[train], weights[train]).score(
            X[test], y[test], **{"sample_weight": weights[test]}
        )
        for train, test in cv.split(X)
    ]
    np.testing.assert_array_equal(scores["test_score"], expected)
    np.testing.assert_array_equal(
        [search.cv_results_[f"split{i}_test_score"][0] for i in range(2)], expected
    )


def test_partial_fit_requests_its_metadata() -> None:
    with config_context(enable_metadata_routing=True):
        estimator = PrunedClassifier().set_partial_fit_request(sample_weight=True, classes=True)
        assert PrunedRegressor().set_partial_fit_request(sample_weight=True)
        requests = estimator.get_metadata_routing().partial_fit.requests
    assert requests == {"sample_weight": True, "classes": True}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_numbers_too_large_for_the_type_of_the_network(kind: str) -> None:
    X, y = data_for(kind)
    net = net_for(kind)
    large = np.where(np.arange(X.size).reshape(X.shape) == 5, 1e39, X)
    with pytest.raises(ValueError, match=r"value too large for dtype\('float32'\), the type of"):
        ESTIMATORS[kind](net, fine_tune_epochs=0).fit(large, y)
    fitted = ESTIMATORS[kind](net, fine_tune_epochs=0).fit(X, y)
    with pytest.raises(ValueError, match="too large for dtype"):
        fitted.predict(large)
