"""Inputs as scikit-learn's users give them, checked and made into arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import is_regressor
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length, validate_data
from torch import Tensor

from skprune.pruning.input_checks import check_keys, checked_mapping, ready
from skprune.pruning.inputs import InputSpec
from skprune.training.loading import collates
from skprune.training.nets import is_net, unwrapped
from skprune.training.rows import Rows, is_dataset, read_targets

__all__ = [
    "arguments_of_inputs",
    "as_dense",
    "as_rows",
    "example_of",
    "spec_of_inputs",
    "validate_inputs",
    "with_targets",
]

# An export tells by two rows that there can be any number; each pickle holds them.
_N_EXAMPLE_ROWS = 2


def validate_inputs(
    estimator: Any, X: Any, y: Any, *, reset: bool, plain: bool
) -> tuple[Any, np.ndarray | None]:
    """Check inputs, and targets if there are any.

    Parameters
    ----------
    estimator : object
        The estimator; with `reset`, its ``n_features_in_`` and ``feature_names_in_`` are set.
    X : array-like, sparse matrix, data frame, mapping of str to these, Dataset, or rows of \
            different lengths
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
    X : ndarray, CSR matrix, dict of these, or Rows
        The inputs.
    y : ndarray, CSR matrix, or None
        The targets; sparse where they are several labels a row that were given so.
    """
    if issparse(y) and is_regressor(estimator):
        raise TypeError(
            f"Sparse data was passed for y, and {type(estimator).__name__} learns numbers. Give it "
            "y.toarray()."
        )
    X = as_rows(estimator, X, reset=reset)
    if isinstance(X, Rows):
        return _validate_rows(estimator, X, y, reset=reset)
    # Some sparse matrices of SciPy are mappings too.
    if isinstance(X, Mapping) and not plain and not issparse(X):
        return _validate_mapping(estimator, X, y, reset=reset)
    if reset:
        for attribute in ("_keys", "_by_rows"):
            vars(estimator).pop(attribute, None)
    elif hasattr(estimator, "_keys"):
        raise ValueError(
            f"{type(estimator).__name__} was fitted with a mapping that has keys "
            f"{sorted(estimator._keys)}, but X is a {type(X).__name__}."
        )
    options: dict[str, Any] = {"accept_sparse": "csr", "order": "C", "ensure_all_finite": True}
    options |= {"dtype": [np.float64, np.float32]} if plain else {"allow_nd": True}
    if y is None and not reset:
        return ready(validate_data(estimator, X, reset=reset, **options)), None
    X, y = validate_data(
        estimator,
        X,
        y,
        reset=reset,
        multi_output=True,
        y_numeric=is_regressor(estimator),
        **options,
    )
    return ready(X), y


def with_targets(estimator: Any, X: Any, y: Any, *, reset: bool = True) -> tuple[Any, Any]:
    """Take a ``Dataset``, or rows of different lengths, as rows that are read one by one.

    Parameters
    ----------
    estimator : object
        The estimator, whose net says how batches are made.
    X : object
        The inputs.
    y : object
        The targets. A ``SliceDataset`` of them is read; if None, those of a ``Dataset`` X are.
    reset : bool, default=True
        Whether the inputs are new, or those of a fitted estimator.

    Returns
    -------
    X : Rows or object
        Other inputs are passed through.
    y : ndarray or object
        The targets; the inputs that had to be read with them are not kept.

    Raises
    ------
    TypeError
        If X is a ``Dataset`` whose rows cannot be counted.
    """
    X = as_rows(estimator, X, reset=reset)
    if y is None and isinstance(X, Rows) and X.has_targets:
        return X, X.targets()
    return X, read_targets(y)


def as_rows(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Take inputs that only the net's own loader can read as rows; see :func:`with_targets`."""
    if is_dataset(X):
        return Rows(X)
    if isinstance(X, Rows) or (not isinstance(X, list) and getattr(X, "ndim", None) != 1):
        return X
    # A few rows may have the same length by chance.
    alike = not reset and hasattr(estimator, "_by_rows")
    return Rows(_objects(X)) if _is_of_rows(X, _own_batches(estimator), alike) else X


def _own_batches(estimator: Any) -> bool:
    net = unwrapped(estimator.estimator)
    return is_net(net) and collates(net)


def _is_of_rows(X: Any, own_batches: bool, alike: bool) -> bool:
    """Whether X is a sequence of rows of different lengths, or of rows that the net collates."""
    if not all(isinstance(row, (str, list, tuple, np.ndarray, Tensor)) for row in X):
        return False
    if own_batches and (alike or not isinstance(X, list) or any(isinstance(x, str) for x in X)):
        return True
    lengths = {
        len(row) for row in X if isinstance(row, (list, tuple)) or getattr(row, "ndim", None)
    }
    return len(lengths) > 1


def _objects(X: Any) -> np.ndarray:
    result = np.empty(len(X), dtype=object)
    result[:] = list(X)
    return result


def _validate_rows(
    estimator: Any, X: Rows, y: Any, *, reset: bool
) -> tuple[Rows, np.ndarray | None]:
    name = type(estimator).__name__
    if not len(X):
        raise ValueError(f"Found array with 0 sample(s) (shape=(0,)) while {name} needs some.")
    own_batches = _own_batches(estimator)
    if isinstance(X.source, np.ndarray) and not own_batches:
        raise ValueError(
            "The rows of X have different lengths, and nothing says how they make a batch. Wrap a "
            "net with iterator_train__collate_fn and iterator_valid__collate_fn, which pad them "
            "for example."
        )
    first = None if own_batches else X.first
    n_features = len(first) if first is not None and first.ndim == 1 else None
    real = n_features is not None and getattr(first, "dtype", None) in (np.float32, np.float64)
    if estimator.estimator is None and not real:
        what = "no array" if first is None else f"of shape {first.shape} and type {first.dtype}"
        raise ValueError(
            f"The default network of {name} takes rows of real numbers, and the first row of X is "
            f"{what}. Wrap a net of your own that takes such rows."
        )
    if reset:
        for attribute in ("n_features_in_", "feature_names_in_", "_keys", "_by_rows"):
            vars(estimator).pop(attribute, None)
        if n_features is not None:
            estimator.n_features_in_ = n_features
        if isinstance(X.source, np.ndarray):
            estimator._by_rows = True
        if y is None:
            raise ValueError(
                f"This {name} estimator requires y to be passed, but the target y is None."
            )
    elif n_features is not None and n_features != getattr(estimator, "n_features_in_", n_features):
        raise ValueError(
            f"X has {n_features} features, but {name} is expecting {estimator.n_features_in_} "
            "features as input."
        )
    if y is None:
        return X, None
    return X, _checked_targets(estimator, y, X)


def _checked_targets(estimator: Any, y: Any, *inputs: Any) -> Any:
    y = check_array(
        y,
        accept_sparse="csr",
        ensure_2d=False,
        dtype="numeric" if is_regressor(estimator) else None,
        input_name="y",
        estimator=estimator,
    )
    check_consistent_length(y, *inputs)
    return y


def as_dense(y: Any) -> Any:
    """Make targets or predictions dense where they are sparse."""
    return y.toarray() if issparse(y) else y


def arguments_of_inputs(estimator: Any, X: Any) -> dict[str, Any]:
    """Say what inputs determine of a module, by the name of its argument.

    Parameters
    ----------
    estimator : object
        The estimator, which has checked the inputs.
    X : ndarray, CSR matrix, dict of these, or Rows
        The inputs.

    Returns
    -------
    arguments : dict of str to object
        The ``dtype``; ``n_features`` where rows have one dimension.
    """
    if isinstance(X, Rows):
        dtype, n_features = getattr(X.first, "dtype", None), vars(estimator).get("n_features_in_")
    elif isinstance(X, Mapping):
        dtype = n_features = None
    else:
        dtype, n_features = X.dtype, X.shape[1] if X.ndim == 2 else None
    arguments: dict[str, Any] = {"dtype": torch.float32 if dtype == np.float32 else torch.float64}
    if n_features is not None:
        arguments["n_features"] = n_features
    return arguments


def example_of(inputs: Any) -> Any:
    """Keep a few of the rows that a network is given.

    Parameters
    ----------
    inputs : Tensor, dict of str to Tensor, or another nest of tensors
        The rows, on any device.

    Returns
    -------
    example : Tensor, dict of str to Tensor, or None
        Two rows, on the CPU; None where the input is neither a tensor nor a mapping of these.
    """
    if isinstance(inputs, Tensor):
        return inputs[:_N_EXAMPLE_ROWS].detach().cpu().clone()  # not a view of all rows
    if isinstance(inputs, Mapping) and all(isinstance(part, Tensor) for part in inputs.values()):
        return {key: example_of(part) for key, part in inputs.items()}
    return None


def spec_of_inputs(estimator: Any, example: Any) -> InputSpec | None:
    """Say what inputs a fitted estimator takes, where they are arrays or mappings of arrays.

    Parameters
    ----------
    estimator : object
        An estimator that has seen the data.
    example : Tensor, dict of str to Tensor, or None
        A few rows as the network takes them.

    Returns
    -------
    spec : InputSpec or None
        None where only the net's own loader makes inputs of the rows.
    """
    known = vars(estimator)
    keys = known.get("_keys")
    if example is None or "_by_rows" in known or isinstance(example, Mapping) != (keys is not None):
        return None
    names = known.get("feature_names_in_")
    return InputSpec.of_example(
        example,
        n_features=known.get("n_features_in_"),
        feature_names=None if names is None else tuple(names),
        tabular=estimator.estimator is None,
    )


def _validate_mapping(
    estimator: Any, X: Mapping[str, Any], y: Any, *, reset: bool
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    name = type(estimator).__name__
    arrays = checked_mapping(X, name)
    if reset:
        for attribute in ("n_features_in_", "feature_names_in_", "_by_rows"):
            vars(estimator).pop(attribute, None)
        estimator._keys = tuple(arrays)
    else:
        check_keys(arrays, getattr(estimator, "_keys", None), name)
    if y is None:
        if reset:
            raise ValueError(
                f"This {name} estimator requires y to be passed, but the target y is None."
            )
        return arrays, None
    return arrays, _checked_targets(estimator, y, *arrays.values())
