"""What an estimator learns of its targets: classes, labels or values."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, is_multilabel, type_of_target
from skorch import NeuralNet
from torch import Tensor, nn

from skprune.network.dtypes import module_dtype
from skprune.network.losses import ScaledMSELoss
from skprune.pruning.outputs import (
    BinaryOutputs,
    ClassOutputs,
    LabelOutputs,
    Outputs,
    ValueOutputs,
)
from skprune.training.inference import nonlinearity_of
from skprune.training.nets import (
    check_probabilities,
    is_binary,
    takes_labels,
    takes_only_labels,
    wants_probabilities,
)

__all__ = ["Classes", "Labels", "TaskTarget", "Values", "check_seen", "learn_classes"]


class TaskTarget(ABC):
    """What is known of the targets of a task.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,) or None
        The class labels, or the numbers of the labels of a row; None for values.
    """

    classes: np.ndarray | None = None

    @abstractmethod
    def arguments(
        self, net: NeuralNet, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> dict[str, Any]:
        """Say what the targets determine of a net; see :func:`skprune.training.nets.fill_in`.

        Parameters
        ----------
        net : NeuralNet
            A net that is not initialized.
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The targets.
        sample_weight : ndarray of shape (n_samples,) or None
            Weights of the rows.

        Returns
        -------
        arguments : dict of str to object
            The criterion, and arguments of the module, by name.
        """

    @abstractmethod
    def check(self, y: np.ndarray, name: str) -> None:
        """Raise an error if targets that come later do not agree with those that were learned of.

        Parameters
        ----------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The targets.
        name : str
            Name of what was fitted.
        """

    @abstractmethod
    def encode(self, y: np.ndarray, net: NeuralNet, outputs: Tensor) -> np.ndarray:
        """Give targets as a net's loss takes them.

        Parameters
        ----------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The targets.
        net : NeuralNet
            The net, initialized.
        outputs : Tensor of shape (n_rows, ...)
            What it puts out for a few rows.

        Returns
        -------
        encoded : ndarray of shape (n_samples, ...)
            The targets.

        Raises
        ------
        ValueError
            If the net cannot learn such targets.
        """

    def encode_validation(self, y: np.ndarray, net: NeuralNet, outputs: Tensor) -> np.ndarray:
        """Encode the targets of a validation set, which are to be known; see :meth:`encode`."""
        return self.encode(y, net, outputs)

    def row_weights(
        self, y: np.ndarray, sample_weight: np.ndarray | None, class_weight: Any
    ) -> np.ndarray | None:
        """Combine the weights of rows with those of their classes, where there are classes.

        Parameters
        ----------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The targets.
        sample_weight : ndarray of shape (n_samples,) or None
            Weights of the rows.
        class_weight : dict, list of dict, "balanced" or None
            Weights of the classes, as in scikit-learn.

        Returns
        -------
        weights : ndarray of shape (n_samples,) or None
            None where all rows count alike.
        """
        return sample_weight

    @abstractmethod
    def outputs(self, net: NeuralNet) -> Outputs:
        """Say how predictions are made of the outputs of a net's module.

        Parameters
        ----------
        net : NeuralNet
            The net as it is now, which has a threshold and a nonlinearity.

        Returns
        -------
        outputs : Outputs
            Makes the predictions.
        """


def learn_classes(y: Any, net: NeuralNet | None, name: str) -> "Classes | Labels":
    """Learn of the targets of a classifier.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_labels), or CSR matrix
        The targets.
    net : NeuralNet or None
        A net that was trained before.
    name : str
        Name of the classifier.

    Returns
    -------
    target : Classes or Labels
        What they are.

    Raises
    ------
    ValueError
        If they are neither one class a row nor several labels a row, or of one class alone, or not
        those that the net was trained on.
    """
    sparse = issparse(y)
    if sparse and not is_multilabel(y):
        raise ValueError(
            "A sparse y has a column of zeros and ones for each of several labels a row. For "
            "anything else, give y.toarray()."
        )
    check_classification_targets(y)
    if type_of_target(y, input_name="y") == "multilabel-indicator":
        return Labels(y.shape[1], sparse=sparse)
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"y has {y.shape[1]} columns of classes. Give one column, or several of zeros and "
            "ones for several labels a row."
        )
    classes = np.unique(column_or_1d(y))
    if net is not None:
        classes = _classes_of(net, classes)
    if len(classes) < 2:
        raise ValueError(
            f"{name} needs samples of at least 2 classes; the data has one class: "
            f"{classes.tolist()}"
        )
    return Classes(classes)


class _OfClassifier(TaskTarget):
    """Targets that have classes with weights."""

    classes: np.ndarray

    def row_weights(
        self, y: np.ndarray, sample_weight: np.ndarray | None, class_weight: Any
    ) -> np.ndarray | None:
        if class_weight is None:
            return sample_weight
        class_weight = self._present(class_weight, y)
        _check_class_weight(class_weight)
        weights = compute_sample_weight(class_weight, y)
        if sample_weight is not None:
            weights = weights * sample_weight
        if not weights.any():
            raise ValueError(
                "class_weight leaves all rows without weight: there is nothing to learn from."
            )
        return weights

    def _present(self, class_weight: Any, y: np.ndarray) -> Any:
        return class_weight


class Classes(_OfClassifier):
    """One class a row.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The class labels, sorted.
    """

    def __init__(self, classes: np.ndarray) -> None:
        self.classes = classes

    def arguments(
        self, net: NeuralNet, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> dict[str, Any]:
        """Give the number of outputs and the loss of classes; see :class:`TaskTarget`."""
        return {
            "n_outputs": 1 if is_binary(net) else len(self.classes),
            "criterion": nn.CrossEntropyLoss,
            "output_activation": "softmax" if wants_probabilities(net) else None,
        }

    def check(self, y: np.ndarray, name: str) -> None:
        """Raise an error if there is a new class; see :class:`TaskTarget`."""
        check_seen(y, self.classes)

    def encode(self, y: np.ndarray, net: NeuralNet, outputs: Tensor) -> np.ndarray:
        """Give the numbers of the classes; see :class:`TaskTarget`."""
        codes = np.searchsorted(self.classes, column_or_1d(y, warn=True))
        if is_binary(net):
            if len(self.classes) != 2:
                raise ValueError(
                    f"{type(net).__name__} takes 2 classes; y has {len(self.classes)}. "
                    "Use a NeuralNetClassifier."
                )
            return codes.astype(_float_of(net))
        if takes_only_labels(net):
            raise ValueError(
                f"y has one class a row, and {type(net.criterion_).__name__} takes several labels "
                "a row. Use a criterion such as torch.nn.CrossEntropyLoss, or give y as columns of "
                "zeros and ones."
            )
        _check_width(outputs, len(self.classes), "classes")
        check_probabilities(net, outputs)
        return codes.astype(np.int64)

    def encode_validation(self, y: np.ndarray, net: NeuralNet, outputs: Tensor) -> np.ndarray:
        """Encode targets without a new class among them; see :class:`TaskTarget`."""
        check_seen(y, self.classes, "The y of predefined_split")
        return self.encode(y, net, outputs)

    def _present(self, class_weight: Any, y: np.ndarray) -> Any:
        if not isinstance(class_weight, dict):
            return class_weight
        # Rows to go on with may lack a class that has a weight, which is no mistake.
        absent = np.setdiff1d(self.classes, y)
        return {c: weight for c, weight in class_weight.items() if c not in absent}

    def outputs(self, net: NeuralNet) -> Outputs:
        """Decide by the largest output, or by a threshold; see :class:`TaskTarget`."""
        if is_binary(net):
            return BinaryOutputs(self.classes, nonlinearity_of(net), net.threshold)
        return ClassOutputs(self.classes, nonlinearity_of(net))


class Labels(_OfClassifier):
    """Several labels a row, each there or not.

    Parameters
    ----------
    n_labels : int
        Number of labels.
    sparse : bool
        Whether they were given as a sparse matrix, and are predicted so.
    """

    def __init__(self, n_labels: int, *, sparse: bool) -> None:
        self.classes = np.arange(n_labels)
        self.sparse = sparse

    def arguments(
        self, net: NeuralNet, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> dict[str, Any]:
        """Give the number of outputs and the loss of labels; see :class:`TaskTarget`."""
        return {
            "n_outputs": 1 if is_binary(net) else len(self.classes),
            "criterion": nn.BCEWithLogitsLoss,
            "output_activation": "softmax" if wants_probabilities(net) else None,
        }

    def check(self, y: np.ndarray, name: str) -> None:
        """Raise an error if there are more or fewer labels; see :class:`TaskTarget`."""
        if y.ndim != 2 or y.shape[1] != len(self.classes):
            raise ValueError(
                f"y has shape {y.shape}, but {name} was fitted with {len(self.classes)} labels a "
                "row."
            )

    def encode(self, y: np.ndarray, net: NeuralNet, outputs: Tensor) -> np.ndarray:
        """Give zeros and ones as the network's numbers; see :class:`TaskTarget`."""
        if not takes_labels(net):
            raise ValueError(
                f"y has several labels a row, which {type(net).__name__} with "
                f"{type(net.criterion_).__name__} cannot learn. Use a NeuralNetClassifier with "
                "criterion=torch.nn.BCEWithLogitsLoss and train_split=None (skorch's own split "
                "is by class), or estimator=None."
            )
        _check_width(outputs, y.shape[1], "labels")
        return y.astype(_float_of(net))

    def outputs(self, net: NeuralNet) -> Outputs:
        """Decide on each label by its probability; see :class:`TaskTarget`."""
        return LabelOutputs(nonlinearity_of(net), self.sparse)


class Values(TaskTarget):
    """Numbers.

    Parameters
    ----------
    shape : tuple of int
        Shape of a row's target, ``()`` for one number a row.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def arguments(
        self, net: NeuralNet, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> dict[str, Any]:
        """Give the number of outputs, and where and how wide they lie; see :class:`TaskTarget`."""
        columns = y.reshape(len(y), -1).astype(np.float64)
        mean = np.average(columns, axis=0, weights=sample_weight)
        spread = np.sqrt(np.average((columns - mean) ** 2, axis=0, weights=sample_weight))
        spread[spread == 0] = 1.0
        return {
            "criterion": ScaledMSELoss,
            "criterion_options": {"scale": spread.tolist()},
            "n_outputs": int(np.prod(self.shape, dtype=int)),
            "output_shift": mean.tolist(),
            "output_scale": spread.tolist(),
        }

    def check(self, y: np.ndarray, name: str) -> None:
        """Raise an error if rows have another shape; see :class:`TaskTarget`."""
        if y.shape[1:] != self.shape:
            raise ValueError(
                f"y has shape {y.shape}, but {name} was fitted with rows of shape {self.shape}."
            )

    def encode(self, y: np.ndarray, net: NeuralNet, outputs: Tensor) -> np.ndarray:
        """Give the values as the network's numbers, in the shape of its outputs."""
        y = y.astype(_float_of(net))
        # One number a row each may be in a column or not.
        if np.prod(self.shape, dtype=int) == 1 == np.prod(outputs.shape[1:], dtype=int):
            y = y.reshape(len(y), *outputs.shape[1:])
        if y.shape[1:] != outputs.shape[1:]:
            raise ValueError(
                f"y has shape {y.shape}, but the network's output has shape "
                f"{tuple(outputs.shape)} for {len(outputs)} rows."
            )
        return y

    def outputs(self, net: NeuralNet) -> Outputs:
        """Give the values in the shape of the targets; see :class:`TaskTarget`."""
        return ValueOutputs(self.shape, nonlinearity_of(net))


def check_seen(y: Any, known: np.ndarray, whose: str = "y") -> None:
    """Raise an error if targets have a class that is not known.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        The targets.
    known : ndarray of shape (n_classes,)
        The known classes.
    whose : str, default="y"
        What the targets are called.

    Raises
    ------
    ValueError
        The message names the classes.
    """
    unknown = np.setdiff1d(y, known)
    if len(unknown):
        raise ValueError(
            f"{whose} has classes that were not there before: {unknown.tolist()}. "
            f"Known: {known.tolist()}."
        )


def _classes_of(net: NeuralNet, seen: np.ndarray) -> np.ndarray:
    """Classes of a trained net, in the labels of the data at hand."""
    try:
        known = np.asarray(net.classes_)
    except AttributeError:  # weights were loaded into it: it never saw labels
        return seen
    if seen.dtype.kind == known.dtype.kind and np.isin(seen, known).all():
        return known
    if len(seen) == len(known):
        return seen
    raise ValueError(
        f"The trained net knows {len(known)} classes, {known.tolist()}; y has {len(seen)}, "
        f"{seen.tolist()}, so that it is not clear which is which."
    )


def _check_class_weight(class_weight: Any) -> None:
    several = class_weight if isinstance(class_weight, list) else [class_weight]
    for weights in several:
        for label, weight in weights.items() if isinstance(weights, dict) else ():
            if not weight >= 0:
                raise ValueError(
                    f"class_weight[{label!r}] is {weight!r}; the weight of a class must be 0 or "
                    "more."
                )


def _check_width(outputs: Tensor, n_expected: int, what: str) -> None:
    if outputs.dim() < 2 or outputs.shape[1] != n_expected:
        raise ValueError(
            f"The network's output has shape {tuple(outputs.shape)} for {len(outputs)} rows; "
            f"{n_expected} {what} need {n_expected} columns."
        )


def _float_of(net: NeuralNet) -> Any:
    """Type of the numbers that a loss compares with the network's."""
    return np.float64 if module_dtype(net.module_) == torch.float64 else np.float32
