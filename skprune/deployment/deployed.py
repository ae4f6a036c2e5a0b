"""What serves predictions: a runtime, and what makes predictions of its outputs.

To import this, to load a predictor and to predict for an array takes NumPy and the runtime: torch,
SciPy and scikit-learn are imported only where somebody asks for what they do.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Self

import numpy as np

from skprune.casting import cast_inputs
from skprune.deployment.available import available_if
from skprune.deployment.runtimes.base import Runtime
from skprune.pruning.inputs import InputSpec
from skprune.pruning.outputs import Outputs, unchanged

__all__ = ["DeployedPredictor"]


def _is_classifier(predictor: "DeployedPredictor") -> bool:
    return hasattr(predictor.outputs, "probabilities")


def _has_scores(predictor: "DeployedPredictor") -> bool:
    return predictor.outputs.has_scores


class DeployedPredictor:
    """Predicts as a fitted estimator does, and does nothing else.

    :func:`~skprune.deployment.deploy` makes one. It is a classifier or a regressor of
    scikit-learn's that is fitted for good: ``clone`` gives the predictor itself, and ``fit`` is an
    error. It can be pickled, and several threads can predict at once.

    Parameters
    ----------
    runtime : Runtime
        What computes the network's outputs.
    outputs : Outputs
        What makes predictions of them.
    inputs : InputSpec
        What inputs the network takes.
    floating : str
        NumPy's name of the type of the network's numbers.
    has_embedding : bool, default=False
        Whether whole numbers are looked up, and so stay whole.
    transformers : sequence of transformers, default=()
        Fitted steps that inputs go through first.
    name : str, default="DeployedPredictor"
        What messages call it.
    measurements : mapping of str to dict, default=None
        What :func:`~skprune.deployment.deploy` measured of each runtime.

    Attributes
    ----------
    runtime, outputs, inputs, floating, has_embedding, transformers, name
        As they were given.
    measurements_ : dict of str to dict
        By the runtime's name: ``"difference"`` from the reference, relative to its largest output;
        ``"seconds"`` by the number of rows, the median; ``"bytes"`` that it stores; or
        ``"refused"``, the reason why it is not used.
    runtime_ : str
        Name of the runtime.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier
    >>> from skprune.deployment import deploy
    >>> X, y = load_iris(return_X_y=True)
    >>> pruned = PrunedClassifier(structure="unit", random_state=0).fit(X, y)
    >>> deployed = deploy(pruned, runtime="torch")
    >>> bool((deployed.predict(X) == pruned.predict(X)).all())
    True
    >>> deployed.classes_
    array([0, 1, 2])
    """

    def __init__(
        self,
        runtime: Runtime,
        outputs: Outputs,
        inputs: InputSpec,
        floating: str,
        *,
        has_embedding: bool = False,
        transformers: Sequence[Any] = (),
        name: str = "DeployedPredictor",
        measurements: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.runtime = runtime
        self.outputs = outputs
        self.inputs = inputs
        self.floating = floating
        self.has_embedding = has_embedding
        self.transformers = tuple(transformers)
        self.name = name
        self.measurements_ = {key: dict(of) for key, of in (measurements or {}).items()}

    # ---------------------------------------------------------------------------- predictions

    def predict(self, X: Any) -> Any:
        """Predict classes, labels or values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as the estimator takes them.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or CSR matrix
            The predictions.

        Raises
        ------
        ValueError
            If X does not look like what the estimator was fitted with.
        """
        return self.outputs.predictions(self._compute(X, self.outputs.deciding))

    @available_if(_is_classifier)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict probabilities; a regressor has none.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as the estimator takes them.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Of each class, in their order. For several labels a row, of each label.
        """
        outputs: Any = self.outputs
        return outputs.probabilities(self._compute(X, outputs.activated))

    @available_if(_has_scores)
    def decision_function(self, X: Any) -> np.ndarray:
        """Compute scores: what the network puts out before a softmax or a sigmoid.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as the estimator takes them.

        Returns
        -------
        scores : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            One number a row for two classes, the log-odds of the second.
        """
        return self.outputs.scores(self._compute(X, unchanged))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute the accuracy of a classifier, or the R2 of a regressor.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as the estimator takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            One at the best.
        """
        from sklearn.metrics import accuracy_score, r2_score

        score = accuracy_score if _is_classifier(self) else r2_score
        return score(y, self.predict(X), sample_weight=sample_weight)

    def _compute(self, X: Any, apply: Callable[[Any], Any]) -> np.ndarray:
        """Check inputs, and compute the network's outputs with something applied to them."""
        for transformer in self.transformers:
            X = transformer.transform(X)
        if self.inputs.is_as_checked(X):
            try:
                return self._forward(X, apply, check_finite=True)
            except _NotFinite:  # scikit-learn's own check says where, or that all is well
                pass
        return self._forward(self.inputs.checked(X, self.name), apply, check_finite=False)

    def _forward(self, X: Any, apply: Callable[[Any], Any], *, check_finite: bool) -> np.ndarray:
        X = cast_inputs(X, self.floating, lambda: self.has_embedding)
        parts = X if isinstance(X, Mapping) else {None: X}
        n_rows, length = next(iter(parts.values())).shape[0], self.runtime.chunk_rows
        outputs = None
        for start in range(0, n_rows, length):
            chunk = {key: _dense(part[start : start + length]) for key, part in parts.items()}
            if check_finite and not _is_finite(chunk[None]):
                raise _NotFinite
            found = apply(self.runtime.outputs(chunk if isinstance(X, Mapping) else chunk[None]))
            if n_rows <= length:
                return np.asarray(found)
            if outputs is None:
                outputs = np.empty((n_rows, *found.shape[1:]), dtype=found.dtype)
            outputs[start : start + length] = found
        assert outputs is not None
        return outputs

    # ------------------------------------------------------------------ as scikit-learn has it

    @property
    def runtime_(self) -> str:
        """Name of the runtime that computes."""
        return self.runtime.name

    @property
    def classes_(self) -> np.ndarray:
        """The classes, in the order of the probabilities; a regressor has none."""
        if not _is_classifier(self):
            raise AttributeError(f"{type(self).__name__!r} of a regressor has no 'classes_'")
        outputs: Any = self.outputs
        if outputs.classes is None:
            raise AttributeError(f"{type(self).__name__!r} was not told what its classes are")
        return outputs.classes

    @property
    def n_features_in_(self) -> int:
        """Number of columns, where inputs are tables."""
        if self.inputs.n_features is None:
            raise AttributeError(f"{type(self).__name__!r} has no 'n_features_in_'")
        return self.inputs.n_features

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the columns, where the estimator was fitted with a data frame."""
        if self.inputs.feature_names is None:
            raise AttributeError(f"{type(self).__name__!r} has no 'feature_names_in_'")
        return np.array(self.inputs.feature_names, dtype=object)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Refuse: it is fitted for good.

        Parameters
        ----------
        X, y : object
            Not looked at.

        Returns
        -------
        self : object
            Never.

        Raises
        ------
        TypeError
            Always. Fit the estimator again, and deploy it.
        """
        raise TypeError(
            f"{type(self).__name__} only predicts. Fit the estimator that it was made of, and "
            "deploy it again; to use it where a fit is called, wrap it in a FrozenEstimator."
        )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give the parameters, of which there are none.

        Parameters
        ----------
        deep : bool, default=True
            Makes no difference.

        Returns
        -------
        params : dict
            Empty: what it was made of is not to be changed.
        """
        return {}

    def set_params(self, **params: Any) -> Self:
        """Refuse to set parameters, of which there are none.

        Parameters
        ----------
        **params : dict
            Must be empty.

        Returns
        -------
        self : object
            The predictor itself.

        Raises
        ------
        ValueError
            If there are any.
        """
        if params:
            raise ValueError(f"{type(self).__name__} has no parameters; got {sorted(params)}.")
        return self

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        classifies = _is_classifier(self)
        return Tags(
            estimator_type="classifier" if classifies else "regressor",
            target_tags=TargetTags(required=False),
            classifier_tags=ClassifierTags() if classifies else None,
            regressor_tags=None if classifies else RegressorTags(),
            input_tags=InputTags(),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.outputs).__name__}, runtime={self.runtime_!r})"


class _NotFinite(ValueError):
    """Inputs have a NaN, an infinity, or numbers whose squares are too large to be added up."""


def _is_finite(rows: np.ndarray) -> bool:
    flat = rows.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(np.dot(flat, flat))


def _dense(rows: Any) -> np.ndarray:
    return rows if isinstance(rows, np.ndarray) else rows.toarray()
