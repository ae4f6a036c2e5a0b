"""What a fitted estimator has to teach: its predictions as a net's outputs could be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from skprune._sklearn import InvalidParameterError, safe_indexing
from skprune.network.dtypes import as_input_dtype
from skprune.seeding import preserve_rng
from skprune.training.inference import net_outputs, sigmoid_of_labels
from skprune.training.rows import Rows

__all__ = ["FitData", "check_teacher", "log_odds", "predicted_logits", "predicted_targets"]


@dataclass(frozen=True)
class FitData:
    """What a fit was given.

    Attributes
    ----------
    X : array, sparse matrix, data frame, mapping of arrays, or Rows
        All rows, before they are made what the net takes.
    classes : ndarray of shape (n_classes,) or None
        The labels in the order of their codes, or the numbers of several labels a row; None for
        a regression.
    """

    X: Any
    classes: np.ndarray | None


def check_teacher(teacher: Any, given: FitData, y: np.ndarray) -> None:
    """Raise an error if an estimator cannot teach a net.

    Parameters
    ----------
    teacher : estimator
        What the user gave.
    given : FitData
        What the net's estimator is fitted on.
    y : ndarray of shape (n_samples, ...)
        The targets as the net's loss takes them.

    Raises
    ------
    NotFittedError
        If the teacher is not fitted.
    InvalidParameterError
        If it is a class, is of another task, knows other features or other classes, or gives
        predictions of another shape.
    """
    if isinstance(teacher, type):
        raise InvalidParameterError(
            f"The teacher of Distill is the class {teacher.__name__}. Give it a fitted estimator: "
            f"{teacher.__name__}().fit(X, y)."
        )
    name = type(teacher).__name__
    if isinstance(given.X, Rows):
        raise InvalidParameterError(
            f"The teacher of Distill, a {name}, takes arrays, and X is read row by row (a Dataset, "
            "or rows of different lengths). Let the dense network teach: teacher=None."
        )
    try:
        check_is_fitted(teacher)
    except NotFittedError as error:
        raise NotFittedError(
            f"The teacher of Distill, a {name}, is not fitted. Fit it before the network that is "
            "to learn from it. Clones of Distill keep it as it is; where a search is to choose "
            "between teachers, put them into a FrozenEstimator, since it clones its values."
        ) from error
    _check_task(teacher, name, given)
    known, seen = getattr(teacher, "n_features_in_", None), _n_features(given.X)
    if None not in (known, seen) and known != seen:
        raise InvalidParameterError(
            f"The teacher of Distill, a {name}, was fitted with {known} features, and X has "
            f"{seen}. Put what makes the features of the one from those of the other into a "
            "pipeline with it."
        )
    if given.classes is not None and _has_labels(teacher):
        if y.ndim == 2:
            _check_labels(teacher, name, y.shape[1])
        else:
            _check_classes(teacher, name, given.classes)
    # What an estimator gives in the end, such as a net, shows only when it is asked.
    some = _some_rows(given.X)
    with preserve_rng():
        if given.classes is None:
            predicted_targets(teacher, some, y.shape[1:])
        else:
            predicted_logits(teacher, some, given.classes, "labels" if y.ndim == 2 else "classes")


def _some_rows(X: Any) -> Any:
    if isinstance(X, Mapping):
        return {name: _some_rows(rows) for name, rows in X.items()}
    return safe_indexing(X, slice(2))


def _check_task(teacher: Any, name: str, given: FitData) -> None:
    if given.classes is None:
        if is_classifier(teacher) or not hasattr(teacher, "predict"):
            raise InvalidParameterError(
                f"The teacher of Distill is a {name}, and the network learns a regression: use a "
                "fitted regressor."
            )
        return
    if is_regressor(teacher):
        raise InvalidParameterError(
            f"The teacher of Distill is a regressor, {name}, and the network learns classes: use a "
            "fitted classifier."
        )
    if not hasattr(teacher, "predict_proba"):
        raise InvalidParameterError(
            f"The teacher of Distill, a {name}, has no predict_proba. Fit a CalibratedClassifierCV "
            "of it, or use a classifier that gives probabilities."
        )


def _n_features(X: Any) -> int | None:
    shape: tuple[int, ...] = getattr(X, "shape", ())
    return shape[1] if len(shape) > 1 else None


def _check_classes(teacher: Any, name: str, classes: np.ndarray) -> None:
    known = teacher.classes_
    own = set(known.tolist()) if isinstance(known, np.ndarray) else set()
    wanted = set(classes.tolist())
    if own == wanted:
        return
    missing = sorted(wanted - own, key=str)
    extra = sorted(own - wanted, key=str)
    details = [f"it does not know {missing}"] if missing else []
    details += [f"y has no {extra}"] if extra else []
    raise InvalidParameterError(
        f"The teacher of Distill, a {name}, has other classes than y: {', and '.join(details)}."
    )


def _check_labels(teacher: Any, name: str, n_labels: int) -> None:
    known = teacher.classes_
    if len(known) != n_labels:
        raise InvalidParameterError(
            f"The teacher of Distill, a {name}, has {len(known)} classes or labels, and y has "
            f"{n_labels} labels a row."
        )


def predicted_logits(teacher: Any, X: Any, classes: np.ndarray, kind: str) -> np.ndarray:
    """Give the logits of a classifier's probabilities.

    Parameters
    ----------
    teacher : estimator
        A fitted classifier.
    X : array, data frame, or mapping of arrays
        Rows, as it takes them.
    classes : ndarray of shape (n_classes,)
        The classes in the order of their codes.
    kind : {"classes", "binary", "labels"}
        What the net puts out.

    Returns
    -------
    logits : ndarray of shape (n_samples, n_classes), (n_samples,) or (n_samples, n_labels)
        Logarithms of the probabilities, one for each class; or log-odds, of the second class, or
        of each label. They are infinite for probabilities of zero and one.
    """
    probabilities = _probabilities(teacher, X, kind)
    if np.ndim(probabilities) != 2 or np.shape(probabilities)[1] != len(classes):
        raise InvalidParameterError(
            f"The teacher of Distill, a {type(teacher).__name__}, gives probabilities of shape "
            f"{np.shape(probabilities)}, and y has {len(classes)} "
            f"{'labels a row' if kind == 'labels' else 'classes'}."
        )
    _check_finite(probabilities, teacher)
    # Rounding may have taken them a little beyond.
    probabilities = np.clip(np.asarray(probabilities, dtype=np.float64), 0.0, 1.0)
    if kind == "labels":
        return log_odds(probabilities)
    if _has_labels(teacher):
        place = {label: i for i, label in enumerate(np.asarray(teacher.classes_).tolist())}
        probabilities = probabilities[:, [place[label] for label in classes.tolist()]]
    if kind == "binary":
        return log_odds(probabilities[:, 1])
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def predicted_targets(teacher: Any, X: Any, shape: Sequence[int]) -> np.ndarray:
    """Give the predictions of a regressor in the shape that the net's targets have.

    Parameters
    ----------
    teacher : estimator
        A fitted regressor.
    X : array, data frame, or mapping of arrays
        Rows, as it takes them.
    shape : sequence of int
        The shape of a row's target.

    Returns
    -------
    predictions : ndarray of shape (n_samples, *shape)
        The predictions.
    """
    predictions = np.asarray(teacher.predict(_rows_for(teacher, X)), dtype=np.float64)
    n_values = int(np.prod(shape, dtype=int))
    if int(np.prod(predictions.shape[1:], dtype=int)) != n_values:
        raise InvalidParameterError(
            f"The teacher of Distill, a {type(teacher).__name__}, predicts rows of shape "
            f"{predictions.shape[1:]}, and y has rows of shape {tuple(shape)}."
        )
    _check_finite(predictions, teacher)
    return predictions.reshape(len(predictions), *shape)


def _probabilities(teacher: Any, X: Any, kind: str) -> Any:
    if isinstance(teacher, NeuralNet):
        nonlinearity = sigmoid_of_labels(teacher) if kind == "labels" else None
        return net_outputs(teacher, _rows_for(teacher, X), nonlinearity)
    probabilities = teacher.predict_proba(X)
    if not isinstance(probabilities, list):
        return probabilities
    # Some estimators give the probabilities of both values of each label.
    columns = [
        column[:, list(known).index(1)] if 1 in known else np.zeros(len(column))
        for column, known in zip(probabilities, teacher.classes_, strict=True)
    ]
    return np.stack(columns, axis=1)


def _has_labels(teacher: Any) -> bool:
    """Whether a classifier knows the labels of its classes; a net knows their codes alone."""
    return not isinstance(teacher, NeuralNet) and hasattr(teacher, "classes_")


def _rows_for(teacher: Any, X: Any) -> Any:
    if isinstance(teacher, NeuralNet):
        rows = X if isinstance(X, Mapping) or issparse(X) else np.asarray(X)
        return as_input_dtype(rows, teacher.module_)
    return X


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Give the logarithm of the odds; infinite for probabilities of zero and one."""
    with np.errstate(divide="ignore"):
        return np.log(probabilities) - np.log1p(-probabilities)


def _check_finite(predictions: np.ndarray, teacher: Any) -> None:
    if not np.isfinite(predictions).all():
        raise ValueError(
            f"The teacher of Distill, a {type(teacher).__name__}, gives predictions that are not "
            "finite."
        )
