"""A fitted skorch net that another network learns from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import issparse

from skprune.network.dtypes import as_input_dtype
from skprune.strategies.recovery.teachers import Teacher
from skprune.training.inference import net_outputs, sigmoid_of_labels

__all__ = ["NetTeacher"]


class NetTeacher(Teacher):
    """A net, which takes rows as its module does, and knows no more of classes than their codes.

    Parameters
    ----------
    estimator : NeuralNet
        The net.
    """

    @property
    def has_labels(self) -> bool:
        """Whether it knows the labels of its classes; a net never does."""
        return False

    def probabilities(self, X: Any, kind: str) -> np.ndarray:
        """Give the net's probabilities, a column for each class or label."""
        nonlinearity = sigmoid_of_labels(self.estimator) if kind == "labels" else None
        return net_outputs(self.estimator, self._rows(X), nonlinearity)

    def predictions(self, X: Any) -> Any:
        """Give what the net's ``predict`` does."""
        return self.estimator.predict(self._rows(X))

    def _rows(self, X: Any) -> Any:
        rows = X if isinstance(X, Mapping) or issparse(X) else np.asarray(X)
        return as_input_dtype(rows, self.estimator.module_)
