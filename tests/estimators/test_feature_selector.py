"""Selecting features by pruning: which ones, how many, and what is left."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from skprune import PrunedClassifier, PrunedFeatureSelector, PrunedRegressor, Strategy
from skprune._sklearn import InvalidParameterError
from skprune.structures import Feature
from tests.estimators.common import classifier_net, regressor_net

RELEVANT = [1, 4]


def data(kind: str, n_rows: int = 200, n_features: int = 8) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(n_rows, n_features))
    y = 2 * X[:, 1] - 1.5 * X[:, 4]
    return X, (y > 0).astype(int) if kind == "classifier" else y


def selector(kind: str = "classifier", **params: Any) -> PrunedFeatureSelector:
    params = {"n_features_to_select": 2, "random_state": 0, "estimator__max_epochs": 30} | params
    return PrunedFeatureSelector(kind).set_params(**params)


both = pytest.mark.parametrize("kind", ["classifier", "regressor"])


@both
@pytest.mark.parametrize(
    "strategy",
    ["magnitude", "sparse_optimization", "l0", "gradient", "hessian", "layer_obs", "lamp"],
)
def test_it_finds_what_matters(kind: str, strategy: str) -> None:
    X, y = data(kind)
    fitted = selector(kind, strategy=strategy, estimator__max_epochs=100).fit(X, y)
    assert fitted.get_support(indices=True).tolist() == RELEVANT


@pytest.mark.parametrize(
    "strategy", ["random", "set", "rigl", "snip", "movement", "lottery_ticket"]
)
def test_every_way_to_prune_selects_as_many_as_asked_for(strategy: str) -> None:
    X, y = data("classifier")
    fitted = selector(strategy=strategy, n_features_to_select=3).fit(X, y)
    assert fitted.n_features_ == fitted.get_support().sum() == 3


@both
def test_what_remains_predicts(kind: str) -> None:
    X, y = data(kind)
    fitted = selector(kind).fit(X, y)
    assert is_classifier(fitted) == (kind == "classifier")
    assert is_regressor(fitted) == (kind == "regressor")
    scrambled = X.copy()
    scrambled[:, ~fitted.get_support()] = 1e3
    np.testing.assert_allclose(fitted.predict(scrambled), fitted.predict(X))
    assert fitted.score(X, y) > 0.9
    assert fitted.score(X, y) == fitted.estimator_.score(X, y)
    assert hasattr(fitted, "predict_proba") == (kind == "classifier")
    assert hasattr(fitted, "decision_function") == (kind == "classifier")


@both
def test_it_is_the_plain_estimator_with_a_structure_of_features(kind: str) -> None:
    X, y = data(kind)
    plain = {"classifier": PrunedClassifier, "regressor": PrunedRegressor}[kind]
    one = selector(kind, strategy="gradual_magnitude").fit(X, y).estimator_
    other = plain(
        structure="feature", sparsity=0.75, strategy="gradual_magnitude", random_state=0
    ).set_params(estimator__max_epochs=30)
    np.testing.assert_array_equal(one.predict(X), other.fit(X, y).predict(X))
    assert type(one) is plain


def test_how_many_is_said_in_one_of_three_ways() -> None:
    X, y = data("classifier")

    def number(**params: Any) -> int:
        return (
            selector(n_features_to_select=None, strategy="magnitude", **params)
            .fit(X, y)
            .n_features_
        )

    assert number() == 4
    assert number(sparsity=0.25) == 6
    assert selector(n_features_to_select=0.3).fit(X, y).n_features_ == 2
    assert selector(n_features_to_select=0.01).fit(X, y).n_features_ == 1
    assert selector(n_features_to_select=8).fit(X, y).n_features_ == 8
    with pytest.raises(InvalidParameterError, match=r"_select=2, sparsity=0\.5\. Give"):
        selector(sparsity=0.5).fit(X, y)
    with pytest.raises(InvalidParameterError, match="n_features_to_select=9 is more than there"):
        selector(n_features_to_select=9).fit(X, y)


@pytest.mark.parametrize("threshold", [0.1, "mean", "median", "1.1*mean"])
def test_a_threshold_is_compared_with_the_importances_before_anything_is_removed(
    threshold: Any,
) -> None:
    X, y = data("classifier")
    params = {"strategy": "magnitude", "n_features_to_select": None}
    fitted = selector(threshold=threshold, **params).fit(X, y)
    norms = dense_norms(X, y)
    shares = norms / norms.sum()
    limit = {"mean": 1 / 8, "median": np.median(shares), "1.1*mean": 1.1 / 8}.get(threshold, 0.1)
    np.testing.assert_array_equal(fitted.get_support(), shares >= limit)
    np.testing.assert_allclose(fitted.importances_, shares)


def dense_norms(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    dense = PrunedClassifier(sparsity=0.0, fine_tune_epochs=0, random_state=0)
    dense.set_params(estimator__max_epochs=30).fit(X, y)
    return dense.module_.hidden0.weight.detach().norm(dim=0).numpy()


def test_a_threshold_that_nothing_reaches_is_an_error() -> None:
    X, y = data("classifier")
    with pytest.raises(ValueError, match=r"threshold=0\.9 or more; the largest is 0\."):
        selector(threshold=0.9, n_features_to_select=None).fit(X, y)
    with pytest.raises(ValueError, match="whose training it has watched"):
        selector(threshold=0.1, n_features_to_select=None, strategy="movement").fit(X, y)


@pytest.mark.parametrize("strategy", ["magnitude", "gradual_magnitude", "hessian", "random"])
def test_importances_agree_with_the_ranking(strategy: str) -> None:
    X, y = data("classifier")
    fitted = selector(strategy=strategy).fit(X, y)
    ranking, importances = fitted.ranking_, fitted.importances_
    np.testing.assert_array_equal(ranking == 1, fitted.get_support())
    assert sorted(ranking) == [1, 1, *range(2, 8)]
    assert importances.sum() == pytest.approx(1)
    assert (np.diff(importances[np.argsort(ranking)][2:]) <= 1e-12).all()
    assert importances[ranking == 1].min() >= importances[ranking == 2].max()


def test_a_ranking_says_when_a_feature_went() -> None:
    """Against the same removals, made one number of features after another."""
    X, y = data("classifier")
    ranking = selector(strategy="gradual_magnitude").fit(X, y).ranking_
    strategy = Strategy(schedule="cubic")
    gone_by = selector(strategy=strategy, n_features_to_select=5).fit(X, y)
    # The first step of both is the same network, whose worst features are the last of the ranking.
    first = np.argsort(dense_norms(X, y))[0]
    assert ranking[first] == 7
    assert gone_by.ranking_[first] == 4


def test_groups_go_together() -> None:
    X, y = data("classifier")
    fitted = selector(groups=[[4, 0], [2, 3, 7]]).fit(X, y)
    assert fitted.get_support(indices=True).tolist() == [0, 1, 4]
    assert fitted.ranking_[0] == fitted.ranking_[4] == 1
    assert len({*fitted.ranking_[[2, 3, 7]]}) == 1
    assert fitted.importances_[0] == fitted.importances_[4]
    assert fitted.estimator_.kept_["hidden0"].tolist() == [True, True, False, False, False]
    with pytest.raises(InvalidParameterError, match="X has 5 groups of features"):
        selector(groups=[[4, 0], [2, 3, 7]], n_features_to_select=6).fit(X, y)


def test_groups_by_the_names_of_columns() -> None:
    X, y = data("classifier")
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    fitted = selector(groups=[["e", "a"]]).set_output(transform="pandas").fit(frame, y)
    assert list(fitted.transform(frame)) == list(fitted.get_feature_names_out()) == ["a", "b", "e"]
    with pytest.raises(InvalidParameterError, match="has 'k', which is no feature of X"):
        selector(groups=[["e", "k"]]).fit(frame, y)
    with pytest.raises(InvalidParameterError, match="X has no names of columns"):
        selector(groups=[["e", "k"]]).fit(X, y)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0, 1], [1, 2]], r"Feature 1 is in groups\[0\] and in groups\[1\]; a feature can only"),
        ([[3, 3]], r"Feature 3 is twice in groups\[0\]"),
        ([[0, 8]], r"groups\[0\] has 8: features are numbered from 0 to 7"),
        ([[-1]], r"groups\[0\] has -1"),
        ([[]], r"groups\[0\] must be a list of one or more"),
        ([0, 1], r"groups\[0\] must be a list"),
        ([[0.5]], r"groups\[0\] has 0\.5"),
    ],
)
def test_groups_that_make_no_sense_are_an_error(groups: Any, message: str) -> None:
    X, y = data("classifier")
    with pytest.raises(InvalidParameterError, match=message):
        selector(groups=groups).fit(X, y)


def test_groups_of_a_structure_are_those_of_a_plain_estimator() -> None:
    X, y = data("classifier")
    plain = PrunedClassifier(structure=Feature([[1, 0]]), sparsity=6 / 7, random_state=0)
    assert plain.fit(X, y).feature_importances_.nonzero()[0].tolist() == [0, 1]


# Data that are out of the ordinary.


@both
def test_of_correlated_duplicates_one_at_least_is_selected(kind: str) -> None:
    X, y = data(kind)
    X = np.hstack([X, X[:, RELEVANT]])
    chosen = {*selector(kind, n_features_to_select=4).fit(X, y).get_support(indices=True)}
    assert chosen & {1, 8}
    assert chosen & {4, 9}


@both
def test_constant_columns_go_first(kind: str) -> None:
    X, y = data(kind)
    X[:, [0, 3]], X[:, 6] = 0.0, 5.0
    fitted = selector(kind, n_features_to_select=5, strategy="magnitude").fit(X, y)
    assert fitted.get_support(indices=True).tolist() == [1, 2, 4, 5, 7]
    assert (fitted.importances_[[0, 3, 6]] == 0).all()
    few = selector(kind, n_features_to_select=6, strategy="magnitude").fit(csr_matrix(X), y)
    assert {1, 2, 4, 5, 7} < {*few.get_support(indices=True)}
    flat = selector(kind).fit(np.ones_like(X), y)
    assert flat.n_features_ == 2


def test_a_feature_of_nan_is_an_error() -> None:
    X, y = data("classifier")
    X[:, 2] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN\.\nPrunedFeatureSelector does"):
        selector().fit(X, y)


@both
def test_one_feature(kind: str) -> None:
    X, y = data(kind)
    fitted = selector(kind, n_features_to_select=None).fit(X[:, :1], y)
    assert fitted.transform(X[:, :1]).shape == (200, 1)
    assert fitted.importances_ == [1.0]


@both
def test_more_features_than_rows(kind: str) -> None:
    X, y = data(kind, n_rows=60, n_features=100)
    fitted = selector(kind, n_features_to_select=10).fit(X, y)
    assert {*RELEVANT} <= {*fitted.get_support(indices=True)}


def test_ten_thousand_features() -> None:
    X, y = data("classifier", n_rows=100, n_features=10_000)
    net = {"estimator__module__hidden_layer_sizes": 8, "estimator__max_epochs": 10}
    fitted = selector(**net, n_features_to_select=10).fit(X.astype(np.float32), y)
    assert fitted.transform(X).shape == (100, 10)
    assert sorted(fitted.ranking_[~fitted.get_support()]) == [*range(2, 9992)]


# Inputs that are no tables.


class OfChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(5, 6, 3)
        self.output = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.conv(x).relu().mean(2))


class OfSteps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(5, 6, batch_first=True)
        self.output = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.rnn(x)[0].mean(1))


class OfPixels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(20, 6)
        self.output = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x.flatten(1)).relu())


@pytest.mark.parametrize(
    ("module", "row_shape", "axis", "n_features"),
    [(OfChannels, (5, 7), 1, 5), (OfSteps, (7, 5), 2, 5), (OfPixels, (4, 5), None, 20)],
)
def test_features_lie_where_the_network_reads_them(
    module: type[nn.Module], row_shape: tuple[int, ...], axis: int | None, n_features: int
) -> None:
    X = np.random.default_rng(0).normal(size=(120, *row_shape)).astype(np.float32)
    columns = X.reshape(120, -1) if axis is None else X
    seen = np.take(columns, 3, axis=axis or 1)
    y = (seen.reshape(120, -1).mean(1) > 0).astype(int)
    net = classifier_net(module, max_epochs=15)
    fitted = selector(net, estimator__max_epochs=15, n_features_to_select=2).fit(X, y)
    support = fitted.get_support(indices=True)
    assert fitted.get_support().shape == (n_features,)
    assert 3 in support
    selected = fitted.transform(X)
    np.testing.assert_array_equal(selected, np.take(columns, support, axis=axis or 1))
    back = fitted.inverse_transform(selected)
    assert back.shape == X.shape
    np.testing.assert_array_equal(fitted.transform(back), selected)
    np.testing.assert_allclose(fitted.predict_proba(back), fitted.predict_proba(X), atol=1e-6)
    assert list(fitted.get_feature_names_out()) == [f"x{i}" for i in support]
    names = [f"sensor{i}" for i in range(n_features)]
    assert list(fitted.get_feature_names_out(names)) == [names[i] for i in support]
    with pytest.raises(ValueError, match="input_features has 1 names"):
        fitted.get_feature_names_out(["one"])
    with pytest.raises(ValueError, match="is expecting rows of shape"):
        fitted.transform(X[:, :2])


# The estimator's own manners.


@pytest.mark.parametrize("frozen", [False, True])
def test_a_fitted_net_is_not_trained_again(frozen: bool) -> None:
    X, y = data("classifier")
    X, y = X[:, :4], (X[:, 1] > 0).astype(int)
    net = classifier_net(module__n_features=4, module__n_outputs=2).fit(X.astype(np.float32), y)
    before = {name: w.clone() for name, w in net.module_.state_dict().items()}
    fitted = PrunedFeatureSelector(
        FrozenEstimator(net) if frozen else net, n_features_to_select=1, random_state=0
    ).fit(X.astype(np.float32), y)
    assert fitted.get_support(indices=True).tolist() == [1]
    assert all(torch.equal(w, before[name]) for name, w in net.module_.state_dict().items())
    assert "training the dense network" not in {*fitted.history_[:, "stage"]}


def test_it_is_cloned_pickled_and_repeated() -> None:
    X, y = data("classifier")
    fitted = selector().fit(X, y)
    again = clone(fitted).fit(X, y)
    loaded = pickle.loads(pickle.dumps(fitted))
    for other in (again, loaded):
        np.testing.assert_array_equal(other.ranking_, fitted.ranking_)
        np.testing.assert_array_equal(other.predict_proba(X), fitted.predict_proba(X))
    assert (
        repr(PrunedFeatureSelector("regressor")) == "PrunedFeatureSelector(estimator='regressor')"
    )
    assert "NeuralNetRegressor(module=Perceptron" in repr(PrunedFeatureSelector(regressor_net()))


def test_sample_weights_decide_what_matters() -> None:
    X, y = data("classifier")
    y[100:] = (X[100:, 6] > 0).astype(int)
    first = np.repeat([1.0, 0.0], 100)
    chosen = selector().fit(X, y, sample_weight=first).get_support(indices=True)
    other = selector(n_features_to_select=1).fit(X, y, sample_weight=1 - first)
    assert chosen.tolist() == RELEVANT
    assert other.get_support(indices=True).tolist() == [6]
    assert other.score(X, y, sample_weight=1 - first) > other.score(X, y)


def test_in_a_pipeline_before_another_estimator() -> None:
    from sklearn.linear_model import LogisticRegression

    X, y = data("classifier")
    model = make_pipeline(StandardScaler(), selector(), LogisticRegression()).fit(X, y)
    assert model[-1].n_features_in_ == 2
    assert model.score(X, y) > 0.95


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"estimator": "clasifier"}, "Unknown estimator 'clasifier'. Did you mean 'classifier'"),
        ({"estimator": nn.Linear(2, 2)}, "estimator of PrunedFeatureSelector must be a skorch"),
        ({"strategy": "magnitud"}, "Unknown strategy 'magnitud'"),
        ({"sparsity": 1.0, "n_features_to_select": None}, "The 'sparsity' parameter of PrunedF"),
        ({"n_features_to_select": 0}, "The 'n_features_to_select' parameter of PrunedFeatureSele"),
        ({"threshold": "most", "n_features_to_select": None}, "Expected threshold='mean'"),
    ],
)
def test_a_wrong_parameter_is_an_error(params: dict[str, Any], message: str) -> None:
    X, y = data("classifier")
    fitted = selector().fit(X, y)
    before = dict(vars(fitted))
    params = {"random_state": 0, **params}
    for name, value in params.items():
        setattr(fitted, name, value)
    with pytest.raises(ValueError, match=message):
        fitted.fit(X, y)
    assert {key: vars(fitted)[key] for key in before if key not in params} == {
        key: value for key, value in before.items() if key not in params
    }


def test_weights_of_classes_are_for_a_classifier() -> None:
    X, y = data("regressor")
    with pytest.raises(InvalidParameterError, match="is for classes, and the estimator of Pruned"):
        selector("regressor", class_weight="balanced").fit(X, y)
