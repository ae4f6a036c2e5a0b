"""What inputs a network takes, and the check that it is given such."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, issparse
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import check_consistent_length
from torch import Tensor

from skprune._sklearn import check_feature_names, check_n_features

__all__ = ["InputSpec", "check_keys", "checked_mapping", "ready"]


@dataclass(frozen=True)
class InputSpec:
    """What inputs a network takes.

    Attributes
    ----------
    row_shape : tuple of int, dict of str to tuple of int, or None
        Shape of a row, in a mapping by its keys; None if it is not known.
    dtype : torch.dtype, dict of str to torch.dtype, or None
        Type of the tensors that the network is given, in a mapping by its keys.
    keys : tuple of str or None
        Keys of a mapping; None where the input is one array.
    n_features : int or None
        Number of columns of an array; None if it is not known or does not matter.
    feature_names : tuple of str or None
        Names of the columns, where there are any.
    tabular : bool
        Whether an array can only be a table of real numbers. Otherwise it may have more
        dimensions, and whole numbers.
    """

    row_shape: Any = None
    dtype: Any = None
    keys: tuple[str, ...] | None = None
    n_features: int | None = None
    feature_names: tuple[str, ...] | None = None
    tabular: bool = False

    @classmethod
    def of_example(cls, example: Any, **known: Any) -> "InputSpec":
        """Take the shapes and types of a few rows.

        Parameters
        ----------
        example : Tensor, mapping of str to Tensor, or None
            A few rows as the network takes them; None if there are none.
        **known : dict
            The other attributes. The keys are those of a mapping in any case, and n_features, where
            it is not given, is the width of rows of one dimension.

        Returns
        -------
        spec : InputSpec
            What inputs such rows are.

        Raises
        ------
        TypeError
            If the rows are neither tensors nor a mapping of them.
        """
        if example is None:
            return cls(**known)
        parts = example if isinstance(example, Mapping) else {None: example}
        if not parts or not all(isinstance(part, Tensor) for part in parts.values()):
            raise TypeError(
                "The example input must be a tensor, or a mapping of names to tensors, of a few "
                f"rows each; got a {type(example).__name__}."
            )
        if isinstance(example, Mapping):
            known["row_shape"] = {key: tuple(part.shape[1:]) for key, part in example.items()}
            known["dtype"] = {key: part.dtype for key, part in example.items()}
            return cls(**{**known, "keys": tuple(example), "n_features": None})
        if example.dim() == 2:
            known.setdefault("n_features", example.shape[1])
        return cls(row_shape=tuple(example.shape[1:]), dtype=example.dtype, **known)

    def is_as_checked(self, X: Any) -> bool:
        """Whether the checks would pass X on as it is, which they are slow to say.

        Parameters
        ----------
        X : object
            Inputs of a prediction.

        Returns
        -------
        as_checked : bool
            True for a table of the right width; its numbers may still not be finite.
        """
        return (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype in (np.float32, np.float64)
            and X.flags.c_contiguous
            and X.flags.writeable
            and len(X) > 0
            and X.shape[1] == self.n_features
            and self.feature_names is None
            and self.keys is None
        )

    def checked(self, X: Any, name: str) -> Any:
        """Check inputs of a prediction.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame, Tensor, or mapping of str to these
            The inputs.
        name : str
            Name of what predicts, for messages.

        Returns
        -------
        X : ndarray, CSR matrix, or dict of these
            The inputs.

        Raises
        ------
        TypeError
            If X is a ``Dataset``.
        ValueError
            If X does not look like what the network was fitted with.
        """
        if isinstance(X, torch.utils.data.Dataset):
            raise TypeError(
                f"{name} predicts for arrays and mappings of arrays; X is a {type(X).__name__}."
            )
        # Some sparse matrices of SciPy are mappings too.
        if isinstance(X, Mapping) and not self.tabular and not issparse(X):
            arrays = checked_mapping(X, name)
            check_keys(arrays, self.keys, name)
            return arrays
        if self.keys is not None:
            raise ValueError(
                f"{name} was fitted with a mapping that has keys {sorted(self.keys)}, but X is a "
                f"{type(X).__name__}."
            )
        X = _as_array(X)
        # scikit-learn's checks read attributes, and name the class that has them.
        fitted = type(name, (), {})()
        if self.n_features is not None:
            fitted.n_features_in_ = self.n_features
        if self.feature_names is not None:
            fitted.feature_names_in_ = np.array(self.feature_names, dtype=object)
        check_feature_names(fitted, X, reset=False)
        options: dict[str, Any] = (
            {"dtype": [np.float64, np.float32]}
            if self.tabular
            else {"allow_nd": True, "ensure_2d": self.row_shape != ()}
        )
        X = check_array(
            X, accept_sparse="csr", order="C", input_name="X", estimator=name, **options
        )
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
    return X.detach().cpu().numpy() if isinstance(X, Tensor) else X


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
