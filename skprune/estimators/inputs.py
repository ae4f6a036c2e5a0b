"""Inputs as scikit-learn's users give them, checked and made into arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import check_consistent_length, validate_data

__all__ = ["as_dense", "is_as_fitted", "validate_inputs"]


def validate_inputs(
    estimator: Any, X: Any, y: Any, *, reset: bool, plain: bool
) -> tuple[Any, np.ndarray | None]:
    """Check inputs, and targets if there are any.

    Parameters
    ----------
    estimator : object
        The estimator; with `reset`, its ``n_features_in_`` and ``feature_names_in_`` are set.
    X : array-like, sparse matrix, data frame, or mapping of str to these
        The inputs.
    y : array-like, sparse matrix, or None
        The targets; None for a prediction.
    reset : bool
        Whether the inputs are new, or have to agree with earlier ones.
    plain : bool
        Whether X can only be a table of real numbers. Otherwise it may have more dimensions, whole
        numbers, or be a mapping.

    Returns
    -------
    X : ndarray, CSR matrix, or dict of these
        The inputs.
    y : ndarray, CSR matrix, or None
        The targets; sparse where they are several labels a row that were given so.
    """
    if issparse(y) and estimator._estimator_type_is_regressor:
        raise TypeError(
            f"Sparse data was passed for y, and {type(estimator).__name__} learns numbers. Give it "
            "y.toarray()."
        )
    # Some sparse matrices of SciPy are mappings too.
    if isinstance(X, Mapping) and not plain and not issparse(X):
        return _validate_mapping(estimator, X, y, reset=reset)
    if reset:
        vars(estimator).pop("_keys", None)
    elif hasattr(estimator, "_keys"):
        raise ValueError(
            f"{type(estimator).__name__} was fitted with a mapping that has keys "
            f"{sorted(estimator._keys)}, but X is a {type(X).__name__}."
        )
    options: dict[str, Any] = {"accept_sparse": "csr", "order": "C", "ensure_all_finite": True}
    options |= {"dtype": [np.float64, np.float32]} if plain else {"allow_nd": True}
    if y is None and not reset:
        return _ready(validate_data(estimator, X, reset=reset, **options)), None
    X, y = validate_data(
        estimator,
        X,
        y,
        reset=reset,
        multi_output=True,
        y_numeric=estimator._estimator_type_is_regressor,
        **options,
    )
    return _ready(X), y


def as_dense(y: Any) -> Any:
    """Make targets or predictions dense where they are sparse."""
    return y.toarray() if issparse(y) else y


def is_as_fitted(estimator: Any, X: Any) -> bool:
    """Whether scikit-learn's checks would pass X on as it is, which they are slow to say.

    Parameters
    ----------
    estimator : object
        A fitted estimator.
    X : object
        Inputs of a prediction.

    Returns
    -------
    as_fitted : bool
        True for an array like those that it was fitted with; its numbers may still not be finite.
    """
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in (np.float32, np.float64)
        and X.flags.c_contiguous
        and X.flags.writeable
        and len(X) > 0
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")
        and not hasattr(estimator, "_keys")
    )


def _ready(X: Any) -> Any:
    """Make a checked array or CSR matrix what batches are cut from."""
    if issparse(X):
        return _canonical(X)
    # torch warns of memory that it may not write to, such as that of a memory-mapped file.
    return X if X.flags.writeable else X.copy()


def _canonical(X: Any) -> csr_matrix:
    """Give the one form that equal sparse matrices have in common: equal content, equal bytes.

    It is a matrix and not a sparse array, since skorch takes the rows of these for matrices.
    """
    # Made of its parts, it has the smallest type of indices that will do.
    X = csr_matrix((X.data, X.indices, X.indptr), shape=X.shape)
    repeated = not X.has_canonical_format
    if repeated or not X.data.all():
        X = X.copy()  # the user's own stays as it is
        X.sum_duplicates()
        X.eliminate_zeros()
    if repeated:
        assert_all_finite(X.data, input_name="X")  # sums of finite numbers may not be
    return X


def _validate_mapping(
    estimator: Any, X: Mapping[str, Any], y: Any, *, reset: bool
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    if not X:
        raise ValueError("X is an empty mapping: it has no inputs.")
    arrays = {}
    for key, value in X.items():
        arrays[key] = _ready(
            check_array(
                value,
                accept_sparse="csr",
                ensure_2d=False,
                allow_nd=True,
                order="C",
                input_name=f"X[{key!r}]",
                estimator=estimator,
            )
        )
    check_consistent_length(*arrays.values())
    if reset:
        for name in ("n_features_in_", "feature_names_in_"):
            vars(estimator).pop(name, None)
        estimator._keys = tuple(arrays)
    elif set(arrays) != set(getattr(estimator, "_keys", ())):
        fitted_with = (
            f"keys {sorted(estimator._keys)}" if hasattr(estimator, "_keys") else "no mapping"
        )
        raise ValueError(
            f"X has keys {sorted(arrays)}, but {type(estimator).__name__} was fitted with "
            f"{fitted_with}."
        )
    if y is None:
        if reset:
            raise ValueError(
                f"This {type(estimator).__name__} estimator requires y to be passed, but the "
                "target y is None."
            )
        return arrays, None
    y = check_array(
        y, accept_sparse="csr", ensure_2d=False, dtype=None, input_name="y", estimator=estimator
    )
    check_consistent_length(y, *arrays.values())
    return arrays, y
