"""What a fitted estimator has to teach: its predictions as a network's outputs could be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skprune._sklearn import InvalidParameterError, safe_indexing
from skprune.seeding import preserve_rng
from skprune.strategies.learning import FitData, Learning

__all__ = ["Teacher", "log_odds"]


class Teacher:
    """A fitted estimator that a network learns from.

    Parameters
    ----------
    estimator : estimator
        What the user gave.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.name = type(estimator).__name__

    def check(self, learning: Learning) -> None:
        """Raise an error if the estimator cannot teach a network.

        Parameters
        ----------
        learning : Learning
            What the network learns.

        Raises
        ------
        NotFittedError
            If the teacher is not fitted.
        InvalidParameterError
            If it is a class, is of another task, knows other features or other classes, or gives
            predictions of another shape.
        """
        if isinstance(self.estimator, type):
            name = self.estimator.__name__
            raise InvalidParameterError(
                f"The teacher of Distill is the class {name}. Give it a fitted estimator: "
                f"{name}().fit(X, y)."
            )
        try:
            check_is_fitted(self.estimator)
        except NotFittedError as error:
            raise NotFittedError(
                f"The teacher of Distill, a {self.name}, is not fitted. Fit it before the network "
                "that is to learn from it. Clones of Distill keep it as it is; where a search is "
                "to choose between teachers, put them into a FrozenEstimator, since it clones its "
                "values."
            ) from error
        data, labelled = learning.data, learning.outputs.kind == "labels"
        self._check_task(data)
        known, seen = getattr(self.estimator, "n_features_in_", None), _n_features(data.X)
        if None not in (known, seen) and known != seen:
            raise InvalidParameterError(
                f"The teacher of Distill, a {self.name}, was fitted with {known} features, and X "
                f"has {seen}. Put what makes the features of the one from those of the other into "
                "a pipeline with it."
            )
        if data.classes is not None and self.has_labels:
            if labelled:
                self._check_labels(learning.target_shape[0])
            else:
                self._check_classes(data.classes)
        # What an estimator gives in the end, such as a net, shows only when it is asked.
        some = _some_rows(data.X)
        with preserve_rng():
            if data.classes is None:
                self.targets(some, learning.target_shape)
            else:
                self.logits(some, data.classes, "labels" if labelled else "classes")

    @property
    def has_labels(self) -> bool:
        """Whether it knows the labels of its classes, and not their codes alone."""
        return hasattr(self.estimator, "classes_")

    def logits(self, X: Any, classes: np.ndarray, kind: str) -> np.ndarray:
        """Give the logits of a classifier's probabilities.

        Parameters
        ----------
        X : array, data frame, or mapping of arrays
            Rows, as the estimator takes them.
        classes : ndarray of shape (n_classes,)
            The classes in the order of their codes.
        kind : {"classes", "binary", "labels"}
            What the network puts out.

        Returns
        -------
        logits : ndarray of shape (n_samples, n_classes), (n_samples,) or (n_samples, n_labels)
            Logarithms of the probabilities, one for each class; or log-odds, of the second class,
            or of each label. They are infinite for probabilities of zero and one.
        """
        probabilities = self.probabilities(X, kind)
        if np.ndim(probabilities) != 2 or np.shape(probabilities)[1] != len(classes):
            raise InvalidParameterError(
                f"The teacher of Distill, a {self.name}, gives probabilities of shape "
                f"{np.shape(probabilities)}, and y has {len(classes)} "
                f"{'labels a row' if kind == 'labels' else 'classes'}."
            )
        self._check_finite(probabilities)
        # Rounding may have taken them a little beyond.
        probabilities = np.clip(np.asarray(probabilities, dtype=np.float64), 0.0, 1.0)
        if kind == "labels":
            return log_odds(probabilities)
        if self.has_labels:
            own = np.asarray(self.estimator.classes_).tolist()
            place = {label: i for i, label in enumerate(own)}
            probabilities = probabilities[:, [place[label] for label in classes.tolist()]]
        if kind == "binary":
            return log_odds(probabilities[:, 1])
        with np.errstate(divide="ignore"):
            return np.log(probabilities)

    def targets(self, X: Any, shape: Sequence[int]) -> np.ndarray:
        """Give the predictions of a regressor in the shape that the network's targets have.

        Parameters
        ----------
        X : array, data frame, or mapping of arrays
            Rows, as the estimator takes them.
        shape : sequence of int
            The shape of a row's target.

        Returns
        -------
        predictions : ndarray of shape (n_samples, *shape)
            The predictions.
        """
        predictions = np.asarray(self.predictions(X), dtype=np.float64)
        n_values = int(np.prod(shape, dtype=int))
        if int(np.prod(predictions.shape[1:], dtype=int)) != n_values:
            raise InvalidParameterError(
                f"The teacher of Distill, a {self.name}, predicts rows of shape "
                f"{predictions.shape[1:]}, and y has rows of shape {tuple(shape)}."
            )
        self._check_finite(predictions)
        return predictions.reshape(len(predictions), *shape)

    def probabilities(self, X: Any, kind: str) -> Any:
        """Give what the estimator's ``predict_proba`` does, a column for each class or label."""
        probabilities = self.estimator.predict_proba(X)
        if not isinstance(probabilities, list):
            return probabilities
        # Some estimators give the probabilities of both values of each label.
        columns = [
            column[:, list(known).index(1)] if 1 in known else np.zeros(len(column))
            for column, known in zip(probabilities, self.estimator.classes_, strict=True)
        ]
        return np.stack(columns, axis=1)

    def predictions(self, X: Any) -> Any:
        """Give what the estimator's ``predict`` does."""
        return self.estimator.predict(X)

    def _check_task(self, data: FitData) -> None:
        if data.classes is None:
            if is_classifier(self.estimator) or not hasattr(self.estimator, "predict"):
                raise InvalidParameterError(
                    f"The teacher of Distill is a {self.name}, and the network learns a "
                    "regression: use a fitted regressor."
                )
            return
        if is_regressor(self.estimator):
            raise InvalidParameterError(
                f"The teacher of Distill is a regressor, {self.name}, and the network learns "
                "classes: use a fitted classifier."
            )
        if not hasattr(self.estimator, "predict_proba"):
            raise InvalidParameterError(
                f"The teacher of Distill, a {self.name}, has no predict_proba. Fit a "
                "CalibratedClassifierCV of it, or use a classifier that gives probabilities."
            )

    def _check_classes(self, classes: np.ndarray) -> None:
        known = self.estimator.classes_
        own = set(known.tolist()) if isinstance(known, np.ndarray) else set()
        wanted = set(classes.tolist())
        if own == wanted:
            return
        missing = sorted(wanted - own, key=str)
        extra = sorted(own - wanted, key=str)
        details = [f"it does not know {missing}"] if missing else []
        details += [f"y has no {extra}"] if extra else []
        raise InvalidParameterError(
            f"The teacher of Distill, a {self.name}, has other classes than y: "
            f"{', and '.join(details)}."
        )

    def _check_labels(self, n_labels: int) -> None:
        known = self.estimator.classes_
        if len(known) != n_labels:
            raise InvalidParameterError(
                f"The teacher of Distill, a {self.name}, has {len(known)} classes or labels, and "
                f"y has {n_labels} labels a row."
            )

    def _check_finite(self, predictions: np.ndarray) -> None:
        if not np.isfinite(predictions).all():
            raise ValueError(
                f"The teacher of Distill, a {self.name}, gives predictions that are not finite."
            )


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Give the logarithm of the odds; infinite for probabilities of zero and one."""
    with np.errstate(divide="ignore"):
        return np.log(probabilities) - np.log1p(-probabilities)


def _some_rows(X: Any) -> Any:
    if isinstance(X, Mapping):
        return {name: _some_rows(rows) for name, rows in X.items()}
    return safe_indexing(X, slice(2))


def _n_features(X: Any) -> int | None:
    shape: tuple[int, ...] = getattr(X, "shape", ())
    return shape[1] if len(shape) > 1 else None
