"""What inputs a network takes.

A deployed predictor holds this, and is to be loaded in no time: torch and scikit-learn are imported
where they are needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["InputSpec"]


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
        from torch import Tensor

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
        from skprune.pruning.input_checks import checked

        return checked(self, X, name)
