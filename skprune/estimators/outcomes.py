"""What several networks say of the same test rows, scored with the rows counted differently."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import (
    accuracy_score,
    get_scorer,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)
from sklearn.utils import get_tags

from skprune._sklearn import ScorerParts, scorer_parts
from skprune.estimators.inputs import as_dense
from skprune.estimators.scoring import params_of_rows
from skprune.model_selection.bias_correction import Outcome

__all__ = ["Responses", "outcome_of", "responses_of"]

# What a network gives for the test rows, by the name of the method: of predict_proba and others.
Responses = Mapping[str, np.ndarray]


def responses_of(scorer: Any, fitted: Any, X: Any) -> Responses | None:
    """Keep what a scorer looks at of a network.

    Parameters
    ----------
    scorer : callable
        The scorer that decides.
    fitted : estimator
        The network.
    X : array-like or mapping of arrays
        The test rows.

    Returns
    -------
    responses : mapping of str to ndarray, or None
        None if the scorer is a function of its own, which may look at anything.
    """
    parts = _parts(scorer, fitted)
    if parts is None:
        return None
    method = next((name for name in parts.methods if hasattr(fitted, name)), None)
    return None if method is None else {method: as_dense(getattr(fitted, method)(X))}


def _parts(scorer: Any, fitted: Any) -> ScorerParts | None:
    parts = scorer_parts(scorer)
    if parts is None or parts.function is not None:
        return parts
    return scorer_parts(get_scorer("accuracy" if is_classifier(fitted) else "r2"))


def outcome_of(
    scorer: Any, of_points: Sequence[Responses], fitted: Any, y: Any, params: Mapping[str, Any]
) -> Outcome:
    """Say how several networks score on the same rows, with the rows counted as one likes.

    Parameters
    ----------
    scorer : callable
        The scorer that decides.
    of_points : sequence of mapping of str to ndarray
        What each network gave for the rows.
    fitted : estimator
        One of the networks, to know the kind of the task.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        The targets of the rows.
    params : mapping of str to object
        The metadata of the rows that the scorer asks for.

    Returns
    -------
    outcome : Outcome
        Gives the score of each network.
    """
    parts = _parts(scorer, fitted)
    assert parts is not None
    weights = params.get("sample_weight")
    y = np.asarray(y)
    if not parts.options and params.keys() <= {"sample_weight"}:
        values = [next(iter(responses.values())) for responses in of_points]
        if parts.function is accuracy_score:
            right = np.stack([_all_equal(value, y) for value in values])
            return _MeanOfRows(right, weights)
        if parts.function is r2_score:
            squares = [(_matrix(value) - _matrix(y)) ** 2 for value in values]
            return _R2(np.stack(squares), _matrix(y), weights)
        if parts.function in (mean_squared_error, mean_absolute_error):
            power = 2 if parts.function is mean_squared_error else 1
            errors = [np.abs(_matrix(v) - _matrix(y)) ** power for v in values]
            return _MeanOfRows(parts.sign * np.stack(errors).mean(axis=2), weights)
    return _ByScorer(scorer, of_points, fitted, y, params)


def _matrix(values: Any) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values.reshape(len(values), -1)


def _all_equal(predicted: Any, y: np.ndarray) -> np.ndarray:
    """Whether a row is right: in all of its labels, if it has several."""
    equal = np.asarray(as_dense(predicted)).reshape(len(y), -1) == y.reshape(len(y), -1)
    return equal.all(axis=1).astype(np.float64)


class _MeanOfRows:
    """Scores that are means over the rows."""

    is_fast = True

    def __init__(self, values: np.ndarray, weights: Any) -> None:
        self.values = values
        self.weights = _as_weights(weights, values.shape[1])

    def __call__(self, counts: np.ndarray, only: int | None = None) -> np.ndarray:
        weights = counts * self.weights
        with np.errstate(invalid="ignore"):
            return _those(self.values, only) @ weights / weights.sum()

    def some(self, kept: list[int]) -> "_MeanOfRows":
        """Say the same of some of the networks."""
        return _MeanOfRows(self.values[kept], self.weights)

    def joined(self, others: Sequence["_MeanOfRows"]) -> "_MeanOfRows":
        """Say the same of these rows and others."""
        parts = [self, *others]
        values = np.concatenate([part.values for part in parts], axis=1)
        return _MeanOfRows(values, np.concatenate([part.weights for part in parts]))


class _R2:
    """Coefficients of determination; their mean over several targets."""

    is_fast = True

    def __init__(self, squares: np.ndarray, y: np.ndarray, weights: Any) -> None:
        self.y = y
        self.squares = squares
        self.weights = _as_weights(weights, len(y))

    def __call__(self, counts: np.ndarray, only: int | None = None) -> np.ndarray:
        weights = counts * self.weights
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = weights @ (self.y - weights @ self.y / weights.sum()) ** 2
            errors = np.einsum("i,kio->ko", weights, _those(self.squares, only))
            return np.where(spread > 0, 1 - errors / spread, np.nan).mean(axis=1)

    def some(self, kept: list[int]) -> "_R2":
        """Say the same of some of the networks."""
        return _R2(self.squares[kept], self.y, self.weights)

    def joined(self, others: Sequence["_R2"]) -> "_R2":
        """Say the same of these rows and others."""
        parts = [self, *others]
        return _R2(
            np.concatenate([part.squares for part in parts], axis=1),
            np.concatenate([part.y for part in parts]),
            np.concatenate([part.weights for part in parts]),
        )


class _ByScorer:
    """Scores by any scorer, of networks that give what they gave before."""

    is_fast = False

    def __init__(
        self, scorer: Any, of_points: Sequence[Responses], fitted: Any, y: np.ndarray, params: Any
    ) -> None:
        self.scorer = scorer
        self.networks = [_Replayed(responses, fitted) for responses in of_points]
        self.y = y
        self.params = dict(params)

    def __call__(self, counts: np.ndarray, only: int | None = None) -> np.ndarray:
        rows = np.repeat(np.arange(len(self.y)), counts)
        of_rows = params_of_rows(np.arange(len(self.y)), self.params, rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of rows that a metric has no value for
            return np.array(
                [
                    _or_nan(self.scorer, network, rows, self.y[rows], of_rows)
                    for network in _those(self.networks, only)
                ]
            )

    def some(self, kept: list[int]) -> "_ByScorer":
        """Say the same of some of the networks."""
        responses = [self.networks[i].responses for i in kept]
        return _ByScorer(self.scorer, responses, self.networks[0], self.y, self.params)

    def joined(self, others: Sequence["_ByScorer"]) -> "_ByScorer":
        """Say the same of these rows and others."""
        parts = [self, *others]
        names = self.networks[0].responses
        responses = [
            {name: np.concatenate([each.responses[name] for each in same]) for name in names}
            for same in zip(*(part.networks for part in parts), strict=True)
        ]
        n_rows = [len(part.y) for part in parts]
        params = {
            name: np.concatenate([np.asarray(part.params[name]) for part in parts])
            if np.ndim(value) and len(value) == n_rows[0]
            else value
            for name, value in self.params.items()
        }
        y = np.concatenate([part.y for part in parts])
        return _ByScorer(self.scorer, responses, self.networks[0], y, params)


def _as_weights(weights: Any, n_rows: int) -> np.ndarray:
    return np.ones(n_rows) if weights is None else np.asarray(weights, dtype=np.float64)


def _those(values: Any, only: int | None) -> Any:
    return values if only is None else values[only : only + 1]


def _or_nan(scorer: Any, *arguments: Any) -> float:
    *positional, params = arguments
    try:
        return float(scorer(*positional, **params))
    except ValueError:  # such as of rows of one class
        return np.nan


class _Replayed(BaseEstimator):
    """Gives for the numbers of rows what a network gave for the rows."""

    def __init__(self, responses: Responses, fitted: Any) -> None:
        self.responses = responses
        self._tags = get_tags(fitted)
        if hasattr(fitted, "classes_"):
            self.classes_ = fitted.classes_

    def __getattr__(self, name: str) -> Any:
        responses = vars(self).get("responses", {})
        if name not in responses:
            raise AttributeError(name)

        def respond(rows: np.ndarray) -> np.ndarray:
            return responses[name][rows]

        respond.__name__ = name  # by which scikit-learn knows what the values are
        return respond

    def __sklearn_tags__(self) -> Any:
        return self._tags

    def __sklearn_is_fitted__(self) -> bool:
        return True
