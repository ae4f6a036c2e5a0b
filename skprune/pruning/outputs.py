"""What makes predictions of a network's outputs: a class for each kind of target.

Outputs are tensors, or arrays where a network was deployed: nothing here imports torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    Nonlinearity = str | Callable[[Tensor], Tensor] | None

__all__ = [
    "BinaryOutputs",
    "ClassOutputs",
    "LabelOutputs",
    "Outputs",
    "ValueOutputs",
    "unchanged",
]


def unchanged(outputs: Any) -> Any:
    """Give outputs as they are.

    Parameters
    ----------
    outputs : Tensor or ndarray
        The outputs.

    Returns
    -------
    outputs : Tensor or ndarray
        The same.
    """
    return outputs


def _softmax(outputs: Any) -> Any:
    if not isinstance(outputs, np.ndarray):
        return outputs.softmax(dim=-1)
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def _sigmoid(outputs: Any) -> Any:
    if not isinstance(outputs, np.ndarray):
        return outputs.sigmoid()
    with np.errstate(over="ignore"):  # of an infinite power the sigmoid is zero
        return 1 / (1 + np.exp(-outputs))


_NONLINEARITIES: Mapping[Any, Callable[[Any], Any]] = MappingProxyType(
    {None: unchanged, "softmax": _softmax, "sigmoid": _sigmoid}
)


class Outputs(ABC):
    """Makes predictions of a network's outputs.

    Attributes
    ----------
    nonlinearity : {"softmax", "sigmoid"}, callable or None
        What makes probabilities of the outputs, or leaves them as they are (None).
    """

    # Names of nonlinearities that can come before the predictions.
    _known: ClassVar[tuple[str, ...]] = ()

    def __init__(self, nonlinearity: "Nonlinearity") -> None:
        if isinstance(nonlinearity, str) and nonlinearity not in self._known:
            from skprune.components import near_match

            known = ", ".join(map(repr, (*self._known, None)))
            raise ValueError(
                f"{type(self).__name__} has no nonlinearity {nonlinearity!r}."
                f"{near_match(nonlinearity, self._known)} Known: {known}, or a function of tensors."
            )
        self.nonlinearity = nonlinearity

    @property
    def has_scores(self) -> bool:
        """Whether the network's outputs are scores, as a ``decision_function`` gives them."""
        return False

    def activated(self, outputs: Any) -> Any:
        """Apply the nonlinearity.

        Parameters
        ----------
        outputs : Tensor or ndarray of shape (n_rows, ...)
            What the network puts out.

        Returns
        -------
        activated : Tensor or ndarray of shape (n_rows, ...)
            Probabilities of a classifier, values of a regressor.
        """
        nonlinearity: Any = self.nonlinearity
        return _NONLINEARITIES.get(nonlinearity, nonlinearity)(outputs)

    def deciding(self, outputs: Any) -> Any:
        """Compute what :meth:`predictions` need, which may be less than all of ``activated``.

        Parameters
        ----------
        outputs : Tensor or ndarray of shape (n_rows, ...)
            What the network puts out.

        Returns
        -------
        deciding : Tensor or ndarray of shape (n_rows, ...)
            Leads to the same predictions as ``activated``.
        """
        return self.activated(outputs)

    @abstractmethod
    def predictions(self, activated: np.ndarray) -> Any:
        """Make predictions.

        Parameters
        ----------
        activated : ndarray of shape (n_samples, ...)
            The outputs after the nonlinearity.

        Returns
        -------
        predictions : ndarray or CSR matrix
            As scikit-learn has them.
        """

    @abstractmethod
    def decoded(self, codes: np.ndarray) -> Any:
        """Make predictions of what decided in a way of its own: codes of classes, or values.

        Parameters
        ----------
        codes : ndarray of shape (n_samples, ...)
            What was decided.

        Returns
        -------
        predictions : ndarray or CSR matrix
            As scikit-learn has them.
        """

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Make the scores of a ``decision_function``, where there are any.

        Parameters
        ----------
        outputs : ndarray of shape (n_samples, ...)
            What the network puts out, without the nonlinearity.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_columns)
            Scores; one number a row for two classes.
        """
        return outputs.astype(np.float64)


class _OfClassifier(Outputs):
    """Outputs that stand for classes or labels."""

    classes: np.ndarray | None

    def probabilities(self, activated: np.ndarray) -> np.ndarray:
        """Put right what rounding did to probabilities.

        Parameters
        ----------
        activated : ndarray of shape (n_samples, n_columns)
            The outputs after the nonlinearity.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_columns)
            In double precision; rows that added up to one but for rounding do so.
        """
        exact = activated.dtype if activated.dtype.kind == "f" else np.dtype(np.float64)
        rounding = np.finfo(exact).eps * activated.shape[1]
        probabilities = activated.astype(np.float64)
        totals = probabilities.sum(axis=1, keepdims=True)
        totals[~(abs(totals - 1) <= rounding)] = 1.0  # what is more than rounding stays
        return probabilities / totals

    def decoded(self, codes: np.ndarray) -> Any:
        codes = codes.astype(int)
        return codes if self.classes is None else self.classes[codes]


class ClassOutputs(_OfClassifier):
    """A number for each class: the largest decides.

    Parameters
    ----------
    classes : array-like of shape (n_classes,), default=None
        The class labels, in the order of the outputs; their numbers if None.
    nonlinearity : {"softmax"}, callable or None, default="softmax"
        What makes probabilities of the outputs; None where they are probabilities.
    """

    _known = ("softmax",)

    def __init__(
        self,
        classes: Any = None,
        nonlinearity: "Nonlinearity" = "softmax",
    ) -> None:
        super().__init__(nonlinearity)
        self.classes = None if classes is None else np.asarray(classes)

    @property
    def has_scores(self) -> bool:
        """Whether the outputs are scores, of which a softmax makes probabilities."""
        return self.nonlinearity == "softmax"

    def deciding(self, outputs: Any) -> Any:
        """Leave a softmax out, which does not change the order; see :class:`Outputs`."""
        return outputs if self.nonlinearity == "softmax" else self.activated(outputs)

    def predictions(self, activated: np.ndarray) -> np.ndarray:
        """Give the class with the largest number; see :class:`Outputs`."""
        return self.decoded(activated.argmax(axis=1))

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Give the scores; of two classes, the second's less the first's; see :class:`Outputs`."""
        scores = outputs.astype(np.float64)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores


class BinaryOutputs(_OfClassifier):
    """One number for two classes: the second is predicted where its probability is high enough.

    Parameters
    ----------
    classes : array-like of shape (2,), default=None
        The class labels; 0 and 1 if None.
    nonlinearity : {"sigmoid"}, callable or None, default="sigmoid"
        What makes the second class's probability of the output; None where it is one. A function
        gives the probabilities of both, in two columns.
    threshold : float, default=0.5
        The probability that the second class has to be above.
    """

    _known = ("sigmoid",)

    def __init__(
        self,
        classes: Any = None,
        nonlinearity: "Nonlinearity" = "sigmoid",
        threshold: float = 0.5,
    ) -> None:
        super().__init__(nonlinearity)
        self.classes = None if classes is None else np.asarray(classes)
        self.threshold = threshold

    @property
    def has_scores(self) -> bool:
        """Whether the output is a score, of which a sigmoid makes a probability."""
        return self.nonlinearity == "sigmoid"

    def activated(self, outputs: Any) -> Any:
        """Give the probabilities of both classes; see :class:`Outputs`."""
        activated = super().activated(_column(outputs))
        if callable(self.nonlinearity):
            return activated
        if isinstance(activated, np.ndarray):
            return np.stack((1 - activated, activated), 1)
        from torch import stack

        return stack((1 - activated, activated), 1)

    def predictions(self, activated: np.ndarray) -> np.ndarray:
        """Give the second class where it is probable enough; see :class:`Outputs`."""
        return self.decoded(activated[:, 1] > self.threshold)

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Give the log-odds of the second class; see :class:`Outputs`."""
        return _column(outputs).astype(np.float64)


class LabelOutputs(_OfClassifier):
    """A number for each of several labels a row: those above one half are predicted.

    Parameters
    ----------
    nonlinearity : {"sigmoid"}, callable or None, default="sigmoid"
        What makes probabilities of the outputs; None where they are probabilities.
    sparse : bool, default=False
        Whether predictions are a CSR matrix.
    """

    _known = ("sigmoid",)

    def __init__(
        self,
        nonlinearity: "Nonlinearity" = "sigmoid",
        sparse: bool = False,
    ) -> None:
        super().__init__(nonlinearity)
        self.classes = None
        self.sparse = sparse

    @property
    def has_scores(self) -> bool:
        """Whether the outputs are scores, of which a sigmoid makes probabilities."""
        return self.nonlinearity == "sigmoid"

    def predictions(self, activated: np.ndarray) -> Any:
        """Give a one for each label that is probable; see :class:`Outputs`."""
        return self.decoded(activated > 0.5)

    def decoded(self, codes: np.ndarray) -> Any:
        """Give zeros and ones, sparse where that is wanted; see :class:`Outputs`."""
        codes = codes.astype(int)
        if not self.sparse:
            return codes
        from scipy.sparse import csr_matrix  # which takes longer than to predict a row

        return csr_matrix(codes)

    def probabilities(self, activated: np.ndarray) -> np.ndarray:
        """Give the probability of each label, in double precision.

        Parameters
        ----------
        activated : ndarray of shape (n_samples, n_labels)
            The outputs after the nonlinearity.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_labels)
            Each by itself, so that rows need not add up to one.
        """
        return activated.astype(np.float64)


class ValueOutputs(Outputs):
    """Numbers, which are the predictions.

    Parameters
    ----------
    shape : tuple of int, default=None
        Shape of a row's target, ``()`` for one number a row; that of a row's outputs if None.
    nonlinearity : {"softmax", "sigmoid"}, callable or None, default=None
        What the outputs go through first.
    """

    _known = ("softmax", "sigmoid")

    def __init__(
        self,
        shape: tuple[int, ...] | None = None,
        nonlinearity: "Nonlinearity" = None,
    ) -> None:
        super().__init__(nonlinearity)
        self.shape = shape

    def predictions(self, activated: np.ndarray) -> np.ndarray:
        """Give the values in the shape of the targets; see :class:`Outputs`."""
        return self.decoded(activated)

    def decoded(self, codes: np.ndarray) -> np.ndarray:
        """Give the values in the shape of the targets; see :class:`Outputs`."""
        shape = codes.shape[1:] if self.shape is None else self.shape
        return codes.reshape(len(codes), *shape).astype(np.float64)


def _column(outputs: Any) -> Any:
    """Give the single output of each row as a number."""
    if outputs.ndim > 2 or (outputs.ndim == 2 and outputs.shape[1] != 1):
        raise ValueError(
            f"The network's output has shape {tuple(outputs.shape)}; two classes by one output "
            "need (n,) or (n, 1)."
        )
    return outputs.reshape(-1)
