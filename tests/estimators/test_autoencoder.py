"""Autoencoders whose narrow layer is pruned."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.metrics import r2_score
from torch import Tensor, nn

from skprune import PrunedAutoencoder
from skprune._sklearn import InvalidParameterError
from tests.estimators.common import regressor_net


def data(n_rows: int = 200) -> np.ndarray:
    """Six features of which two would do."""
    known = np.random.default_rng(0).uniform(-1, 1, size=(n_rows, 2))
    return np.hstack([known, np.sin(2 * known), known**2]) * [1, 10, 1, 1, 1, 100] + 5


def autoencoder(**params: Any) -> PrunedAutoencoder:
    quick = {"estimator__max_epochs": 60, "estimator__batch_size": 50, "estimator__lr": 5e-3}
    return PrunedAutoencoder(random_state=0).set_params(**{**quick, **params})


def test_a_number_of_components() -> None:
    X = data()
    fitted = autoencoder(n_components=2).fit(X)
    codes = fitted.transform(X)
    assert codes.shape == (200, 2)
    assert fitted.n_components_ == 2
    assert fitted.cv_results_ is None
    module = fitted.estimator_.module_
    assert (module.bottleneck.out_features, module.encoder.out_features) == (2, 100)
    with torch.no_grad():
        scaled = (torch.from_numpy(X) - module.shift) / module.scale
        expected = module.bottleneck(module.encoder(scaled).relu())
    np.testing.assert_allclose(codes, expected.numpy(), atol=1e-9)
    assert fitted.score(X) > 0.9
    assert list(fitted.get_feature_names_out()) == ["prunedautoencoder0", "prunedautoencoder1"]


def test_codes_are_decoded_as_in_the_network() -> None:
    X = data()
    fitted = autoencoder(n_components=3).fit(X)
    back = fitted.inverse_transform(fitted.transform(X))
    np.testing.assert_allclose(back, fitted.reconstruct(X), rtol=1e-9)
    assert fitted.inverse_transform(np.zeros((1, 3))).shape == (1, 6)
    with pytest.raises(ValueError, match="X has 2 components, but PrunedAutoencoder is expect"):
        fitted.inverse_transform(np.zeros((1, 2)))


def test_the_number_of_components_is_chosen() -> None:
    X = data()
    fitted = autoencoder(cv=2).fit(X)
    numbers, means = (fitted.cv_results_[key] for key in ("param_n_components", "mean_test_score"))
    assert list(numbers) == [6, 5, 4, 3, 2, 1]
    assert means[numbers == 1] < 0.7
    assert fitted.n_components_ >= 2
    share = 0.8
    fewer = autoencoder(cv=2, n_components=share).fit(X)
    assert fewer.n_components_ == min(numbers[means >= share])
    with pytest.raises(ValueError, match=r"No number of units explains n_components=0\.99999 of"):
        autoencoder(cv=2, n_components=0.99999).fit(X)


def test_rows_unlike_the_others_score_low() -> None:
    X = data()
    fitted = autoencoder(n_components=2).fit(X)
    strange = X[:20].copy()
    strange[:, 2] = X[20:40, 2]  # no longer what belongs to the first feature
    assert np.median(fitted.score_samples(strange)) < np.quantile(fitted.score_samples(X), 0.1)
    errors = (fitted.reconstruct(X) - X) / X.std(axis=0)
    np.testing.assert_allclose(fitted.score_samples(X), -(errors**2).mean(axis=1))
    expected = r2_score(X, fitted.reconstruct(X), multioutput="variance_weighted")
    assert fitted.score(X) == pytest.approx(expected)


class Series(nn.Module):
    """Gives series of two channels back."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Linear(12, 8)
        self.codes = nn.Linear(8, 5)
        self.up = nn.Linear(5, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.codes(self.down(x.flatten(1)).relu()))


def test_a_net_of_the_users_own() -> None:
    X = np.random.default_rng(0).normal(size=(80, 2, 6)).astype(np.float32)
    net = regressor_net(Series, max_epochs=3)
    fitted = PrunedAutoencoder(net, layer="codes", n_components=3, random_state=0).fit(X)
    assert fitted.transform(X).shape == (80, 3)
    assert fitted.inverse_transform(fitted.transform(X)).shape == X.shape
    assert fitted.score_samples(X).shape == (80,)
    assert not net.initialized_
    with pytest.raises(InvalidParameterError, match="layer='bottleneck' is no layer of the net"):
        PrunedAutoencoder(net, n_components=3).fit(X)
    with pytest.raises(InvalidParameterError, match="n_components=6 is more than layer 'codes'"):
        PrunedAutoencoder(net, layer="codes", n_components=6).fit(X)


def test_tables_of_other_kinds() -> None:
    X = data()
    fitted = autoencoder(n_components=2).fit(X)
    frame = pd.DataFrame(X, columns=list("abcdef"))
    named = autoencoder(n_components=2).set_output(transform="pandas").fit(frame)
    assert list(named.feature_names_in_) == list("abcdef")
    np.testing.assert_array_equal(named.transform(frame).to_numpy(), fitted.transform(X))
    with pytest.raises(ValueError, match="feature names"):
        named.transform(frame[list("fedcba")])
    sparse = autoencoder(n_components=2).fit(csr_matrix(X))
    np.testing.assert_allclose(sparse.transform(csr_matrix(X)), fitted.transform(X))
    np.testing.assert_allclose(sparse.score_samples(csr_matrix(X)), fitted.score_samples(X))


def test_it_is_repeated_pickled_and_left_as_it_was_by_an_error() -> None:
    X = data()
    fitted = autoencoder(n_components=2).fit(X)
    again, loaded = clone(fitted).fit(X), pickle.loads(pickle.dumps(fitted))
    for other in (again, loaded):
        np.testing.assert_array_equal(other.transform(X), fitted.transform(X))
    with pytest.raises(ValueError, match="contains NaN"):
        loaded.fit(np.full_like(X, np.nan))
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    assert repr(PrunedAutoencoder(n_components=2)) == "PrunedAutoencoder(n_components=2)"


def test_weights_decide_what_is_given_back() -> None:
    X = data()
    X[100:, 0] *= -1  # the second half is of another kind
    weights = np.repeat([1.0, 0.0], 100)
    fitted = autoencoder(n_components=2).fit(X, sample_weight=weights)
    scores = fitted.score_samples(X)
    assert scores[:100].mean() > scores[100:].mean()
