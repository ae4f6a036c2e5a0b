"""Scores of a network that is pruned in one layer alone."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold

from skprune import PrunedClassifier, PrunedRegressor, Strategy, sensitivity
from skprune._sklearn import InvalidParameterError
from tests.estimators.common import net_for
from tests.estimators.cv_common import PLAIN, count_stages, data_for, every_kind

SPARSITIES = [0.5, 0.9]


def plain_for(kind: str, **params: object):
    return PLAIN[kind](net_for(kind), random_state=0, **params)


@every_kind
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_a_score_is_that_of_a_fit_which_prunes_the_layer_alone(kind: str, structure: str) -> None:
    X, y = data_for(kind)
    plain = plain_for(kind, structure=structure, strategy="lamp")
    cv = KFold(2)
    results = sensitivity(plain, X, y, sparsities=SPARSITIES, cv=cv)
    layers = list(dict.fromkeys(results["param_layer"]))
    assert len(layers) == (1 if structure == "unit" else 2)
    frame = pd.DataFrame(results)
    assert frame.groupby("param_layer", sort=False).size().tolist() == [3] * len(layers)
    for number, (train, test) in enumerate(cv.split(X, y)):
        for point in frame.itertuples():
            alone = clone(plain).set_params(
                strategy=Strategy("lamp", {point.param_layer: point.param_sparsity}),
                sparsity=None if point.param_sparsity else 0.0,
                fine_tune_epochs=0,
            )
            alone.fit(X[train], y[train])
            assert alone.score(X[test], y[test]) == getattr(point, f"split{number}_test_score")
            if point.param_sparsity:
                (kept,) = alone.kept_.values()
                assert point.n_elements == len(kept)
                assert point.n_removed == (~kept).sum()
    splits = frame[["split0_test_score", "split1_test_score"]].to_numpy()
    np.testing.assert_array_equal(frame["mean_test_score"], splits.mean(1))
    np.testing.assert_array_equal(frame["std_test_score"], splits.std(1))


def test_the_dense_network_is_trained_once_a_split(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data_for("classifier")
    stages = count_stages(monkeypatch)
    sensitivity(plain_for("classifier"), X, y, sparsities=SPARSITIES, cv=2)
    assert len(stages) == 2


def test_the_smallest_weights_of_the_layer_go() -> None:
    X, y = data_for("classifier")
    plain = plain_for("classifier")
    dense = clone(plain).set_params(sparsity=0.0, fine_tune_epochs=0).fit(X, y)
    results = sensitivity(
        plain, X, y, sparsities=[0.75], layers=["output"], cv=[(np.arange(len(X)),) * 2]
    )
    weights = {name: w.detach().numpy().copy() for name, w in dense.module_.named_parameters()}
    smallest = np.argsort(np.abs(weights["output.weight"]), axis=None, kind="stable")
    weights["output.weight"].ravel()[smallest[: round(0.75 * smallest.size)]] = 0
    hidden = np.maximum(X @ weights["hidden.weight"].T + weights["hidden.bias"], 0)
    outputs = hidden @ weights["output.weight"].T + weights["output.bias"]
    expected = accuracy_score(y, dense.classes_[outputs.argmax(1)])
    assert results["mean_test_score"].tolist() == [dense.score(X, y), expected]


def test_what_was_fine_tuned_scores_otherwise() -> None:
    X, y = data_for("regressor")
    plain = plain_for("regressor")
    short, long = (
        sensitivity(plain, X, y, sparsities=[0.9], cv=2, fine_tune_epochs=n) for n in (0, 20)
    )
    one = short["param_sparsity"] > 0
    assert (long["mean_test_score"][one] > short["mean_test_score"][one]).all()
    assert (long["mean_test_score"][~one] == short["mean_test_score"][~one]).all()


def test_several_metrics_and_jobs() -> None:
    X, y = data_for("classifier")
    options = {"sparsities": [0.5], "cv": 2, "scoring": ["accuracy", "neg_log_loss"]}
    one = sensitivity(plain_for("classifier"), X, y, **options)
    with parallel_config("threading"):
        other = sensitivity(plain_for("classifier"), X, y, n_jobs=2, **options)
    assert "mean_test_neg_log_loss" in one
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


def test_weights_of_rows_count_in_loss_and_score() -> None:
    X, y = data_for("classifier")
    weights = np.linspace(0.1, 3, len(X))
    cv = KFold(2)
    plain = plain_for("classifier")
    results = sensitivity(
        plain, X, y, sparsities=[0.5], layers=["output"], cv=cv, sample_weight=weights
    )
    train, test = next(cv.split(X))
    dense = (
        clone(plain)
        .set_params(sparsity=0.0, fine_tune_epochs=0)
        .fit(X[train], y[train], weights[train])
    )
    expected = dense.score(X[test], y[test], weights[test])
    assert results["split0_test_score"][0] == expected


def test_what_would_empty_a_layer_is_left_out() -> None:
    X, y = data_for("classifier")
    plain = plain_for("classifier", structure="unit")
    n_units = sensitivity(plain, X, y, sparsities=[0.5], cv=2)["n_elements"][0]
    results = sensitivity(plain, X, y, sparsities=[0.5, 0.501, 0.9999], cv=2)
    assert results["param_sparsity"].tolist() == [0.0, 0.5]
    assert results["n_removed"].tolist() == [0, n_units / 2]


def test_the_estimator_stays_as_it_is() -> None:
    X, y = data_for("classifier")
    plain = plain_for("classifier", budget="macs")
    before = repr(plain.get_params(deep=False))
    sensitivity(plain, X, y, sparsities=[0.5], cv=2)
    assert repr(plain.get_params(deep=False)) == before
    assert not hasattr(plain, "masks_")


@pytest.mark.parametrize("sparsities", [[], [0.0], [1.0], [0.5, -0.1]])
def test_sparsities_are_fractions(sparsities: list) -> None:
    with pytest.raises(InvalidParameterError, match=r"numbers in \(0, 1\)"):
        sensitivity(PrunedRegressor(), [[0.0]], [0.0], sparsities=sparsities)


def test_an_unknown_layer_is_named() -> None:
    X, y = data_for("classifier")
    with pytest.raises(InvalidParameterError, match=r"no layer 'outptu' to prune.*'output'"):
        sensitivity(plain_for("classifier"), X, y, layers=["outptu"])


def test_a_structure_that_fixes_the_sparsity_is_refused() -> None:
    X, y = data_for("classifier")
    with pytest.raises(InvalidParameterError, match="structure='2:4' fixes the sparsity"):
        sensitivity(PrunedClassifier(structure="2:4", sparsity=None), X, y)
