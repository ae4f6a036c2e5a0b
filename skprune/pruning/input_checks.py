"""The check that a network is given inputs such as it was fitted with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import check_consistent_length

from skprune._sklearn import check_feature_names, check_n_features
from skprune.pruning.inputs import InputSpec
from skprune.tensors import is_dataset, is_tensor

__all__ = ["check_keys", "checked", "checked_mapping", "ready"]


def checked(spec: InputSpec, X: Any, name: str) -> Any:
    """Check inputs of a prediction; see :meth:`InputSpec.checked`."""
    if is_dataset(X):
        raise TypeError(
            f"{name} predicts for arrays and mappings of arrays; X is a {type(X).__name__}."
        )
    # Some sparse matrices of SciPy are mappings too.
    if isinstance(X, Mapping) and not spec.tabular and not issparse(X):
        arrays = checked_mapping(X, name)
        check_keys(arrays, spec.keys, name)
        return arrays
    if spec.keys is not None:
        raise ValueError(
            f"{name} was fitted with a mapping that has keys {sorted(spec.keys)}, but X is a "
            f"{type(X).__name__}."
        )
    X = _as_array(X)
    # scikit-learn's checks read attributes, and name the class that has them.
    fitted = type(name, (), {})()
    if spec.n_features is not None:
        fitted.n_features_in_ = spec.n_features
    if spec.feature_names is not None:
        fitted.feature_names_in_ = np.array(spec.feature_names, dtype=object)
    check_feature_names(fitted, X, reset=False)
    options: dict[str, Any] = (
        {"dtype": [np.float64, np.float32]}
        if spec.tabular
        else {"allow_nd": True, "ensure_2d": spec.row_shape != ()}
    )
    X = check_array(X, accept_sparse="csr", order="C", input_name="X", estimator=name, **options)
    check_n_features(fitted, X, reset=False)
    return ready(X)


def checked_mapping(X: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Check each input of a mapping by itself, and that they have equally many rows.

    Parameters
    ----------
    X : mapping of str to array-like, sparse matrix or Tensor
        The inputs.
    name : str
        Name of what they are given to, for messages.

    Returns
    -------
    arrays : dict of str to ndarray or CSR matrix
        The inputs.
    """
    if not X:
        raise ValueError("X is an empty mapping: it has no inputs.")
    arrays = {
        key: ready(
            check_array(
                _as_array(value),
                accept_sparse="csr",
                ensure_2d=False,
                allow_nd=True,
                order="C",
                input_name=f"X[{key!r}]",
                estimator=name,
            )
        )
        for key, value in X.items()
    }
    check_consistent_length(*arrays.values())
    return arrays


def check_keys(X: Mapping[str, Any], keys: tuple[str, ...] | None, name: str) -> None:
    """Raise an error if a mapping has other keys than that of the fit.

    Parameters
    ----------
    X : mapping of str to array
        The inputs.
    keys : tuple of str or None
        The keys of the fit; None if there was no mapping.
    name : str
        Name of what was fitted.
    """
    if keys is None or set(X) != set(keys):
        fitted_with = "no mapping" if keys is None else f"keys {sorted(keys)}"
        raise ValueError(f"X has keys {sorted(X)}, but {name} was fitted with {fitted_with}.")


def ready(X: Any) -> Any:
    """Make a checked array or CSR matrix what batches are cut from.

    Parameters
    ----------
    X : ndarray or CSR matrix
        The inputs.

    Returns
    -------
    X : ndarray or CSR matrix
        Writeable, and of sparse matrices the one form that equal ones have in common.
    """
    if issparse(X):
        return _canonical(X)
    # torch warns of memory that it may not write to, such as that of a memory-mapped file.
    return X if X.flags.writeable else X.copy()


def _as_array(X: Any) -> Any:
    return X.detach().cpu().numpy() if is_tensor(X) else X


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
