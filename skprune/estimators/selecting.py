"""What the selectors of features share: which net they prune, what is left of X, predictions."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import check_array, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match
from skprune.estimators.base import BasePruned
from skprune.estimators.classifier import PrunedClassifier
from skprune.estimators.delegation import Delegated, in_name_of
from skprune.estimators.regressor import PrunedRegressor
from skprune.estimators.wrapping import WrapsNet
from skprune.strategies.strategy import Strategy
from skprune.structures import FeatureRecord
from skprune.training.nets import (
    CLASSIFIER_NETS,
    REGRESSOR_NETS,
    check_net,
    default_classifier_net,
    default_regressor_net,
    unwrapped,
)

__all__ = ["SelectsFeatures", "numbered_groups"]


class SelectsFeatures(SelectorMixin, WrapsNet):
    """Selects the features that a pruned network reads, and predicts with it."""

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {
        "strategy": PrunedClassifier.axes["strategy"],
        "estimator": {"classifier": default_classifier_net, "regressor": default_regressor_net},
    }

    _parameter_constraints: ClassVar[dict] = {
        **{
            name: WrapsNet._parameter_constraints[name]
            for name in ("estimator", "fine_tune_epochs", "memory", "random_state", "verbose")
        },
        "strategy": [str, Strategy],
        "groups": [list, tuple, None],
        "class_weight": PrunedClassifier._parameter_constraints["class_weight"],
    }
    _nets = (*CLASSIFIER_NETS, *REGRESSOR_NETS)

    estimator_: BasePruned
    groups: Any
    class_weight: Any

    classes_ = Delegated("estimator_")
    n_features_in_ = Delegated("estimator_")
    feature_names_in_ = Delegated("estimator_")
    net_ = Delegated("estimator_")
    module_ = Delegated("estimator_")
    masks_ = Delegated("estimator_")
    report_ = Delegated("estimator_")
    history_ = Delegated("estimator_")
    predictor_ = Delegated("estimator_")

    @property
    def _plain_class(self) -> type[BasePruned]:
        """The estimator that does the pruning."""
        net = unwrapped(self.estimator)
        regresses = isinstance(net, REGRESSOR_NETS) or (isinstance(net, str) and net == "regressor")
        return PrunedRegressor if regresses else PrunedClassifier

    def _usual_net(self) -> Callable[[], NeuralNet]:
        return self._plain_class.axes["estimator"][None]

    def _net(self) -> Any:
        """Give the net for the plain estimator; None for a default one."""
        if not isinstance(self.estimator, str):
            check_net(self.estimator, self._nets, type(self).__name__)
            return self.estimator
        known = self.axes["estimator"]
        if self.estimator not in known:
            raise InvalidParameterError(
                f"Unknown estimator {self.estimator!r}.{near_match(self.estimator, known)} Known: "
                f"{', '.join(map(repr, known))}, or a skorch net."
            )
        return None

    def _class_weight_for_plain(self) -> dict[str, Any]:
        if issubclass(self._plain_class, PrunedClassifier):
            return {"class_weight": self.class_weight}
        if self.class_weight is not None:
            raise InvalidParameterError(
                f"class_weight={self.class_weight!r} is for classes, and the estimator of "
                f"{type(self).__name__} is a regressor. Leave class_weight out."
            )
        return {}

    @property
    def _record(self) -> FeatureRecord:
        if "estimator_" not in vars(self):
            check_is_fitted(self)
        record = self.estimator_._features
        assert record is not None
        return record

    def _set_selected(self, fitted: BasePruned) -> None:
        """Set the fitted attributes to what a fitted plain estimator has found."""
        self.estimator_ = fitted
        record = self._record
        self.support_ = record.kept
        self.ranking_ = record.ranking
        self.importances_ = record.importances
        self.n_features_ = int(record.kept.sum())

    def _get_support_mask(self) -> np.ndarray:
        return self._record.kept

    def transform(self, X: Any) -> Any:
        """Reduce X to the selected features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs, as in the fit.

        Returns
        -------
        X_r : ndarray of shape (n_samples, n_selected) or (n_samples, ...), or sparse matrix
            The selected features: columns of a table, channels of images. Where the network reads
            its inputs flattened, a row of the numbers that are selected.
        """
        record = self._record
        row_shape = self._row_shape
        if len(row_shape) == 1:
            return super().transform(X)
        X = self._as_rows(X, row_shape)
        if record.axis is None:
            X = X.reshape(len(X), -1)
        return np.compress(record.kept, X, axis=record.axis or 1)

    def inverse_transform(self, X: Any) -> Any:
        """Put selected features back into their places, with zeros for the others.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_selected) or (n_samples, ...)
            Selected features, as :meth:`transform` gives them.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features) or (n_samples, ...), or sparse matrix
            The features in the places that they had in the fit.
        """
        record = self._record
        row_shape = self._row_shape
        if len(row_shape) == 1:
            return super().inverse_transform(X)
        axis, n_selected = record.axis or 1, int(record.kept.sum())
        shape = [*row_shape] if record.axis is not None else [len(record.kept)]
        shape[axis - 1] = n_selected
        X = self._as_rows(X, tuple(shape))
        shape[axis - 1] = len(record.kept)
        result = np.zeros((len(X), *shape), dtype=X.dtype)
        result[(slice(None),) * axis + (record.kept,)] = X
        return result.reshape(len(X), *row_shape)

    @property
    def _row_shape(self) -> tuple[int, ...]:
        return tuple(self.estimator_._example.shape[1:])

    def _as_rows(self, X: Any, row_shape: tuple[int, ...]) -> np.ndarray:
        X = check_array(X, dtype=None, allow_nd=True, estimator=self, input_name="X")
        if X.shape[1:] != row_shape:
            raise ValueError(
                f"X has rows of shape {X.shape[1:]}, but {type(self).__name__} is expecting rows "
                f"of shape {row_shape}."
            )
        return X

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the selected features.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of all features. If None, those that X had in the fit, or ``"x0"``, ``"x1"``, ...

        Returns
        -------
        names : ndarray of str objects of shape (n_selected,)
            Of the selected ones.
        """
        kept = self._record.kept
        if len(self._row_shape) == 1:
            return super().get_feature_names_out(input_features)
        if input_features is None:
            input_features = [f"x{number}" for number in range(len(kept))]
        elif len(input_features) != len(kept):
            raise ValueError(
                f"input_features has {len(input_features)} names, and there are {len(kept)} "
                "features."
            )
        return np.asarray(input_features, dtype=object)[kept]

    def _speaking(self) -> Any:
        """Give what was fitted, to be asked in the name of this class."""
        if "estimator_" not in vars(self):
            check_is_fitted(self)
        return in_name_of(self, self.estimator_)

    def predict(self, X: Any) -> Any:
        """Predict with the network, which depends on the selected features alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs with all features, as in the fit.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or CSR matrix
            The predictions of ``estimator_``.
        """
        return self._speaking().predict(X)

    def _classifies(self) -> bool:
        return issubclass(self._plain_class, PrunedClassifier)

    @available_if(_classifies)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict probabilities; a regressor has none.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs with all features, as in the fit.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Of each class, in the order of ``classes_``. For several labels a row, of each label.
        """
        return self._speaking().predict_proba(X)

    @available_if(_classifies)
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithms of the probabilities; a regressor has none.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs with all features, as in the fit.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Logarithms of :meth:`predict_proba`.
        """
        return self._speaking().predict_log_proba(X)

    def _has_scores(self) -> bool:
        fitted = vars(self).get("estimator_")
        return self._classifies() if fitted is None else hasattr(fitted, "decision_function")

    @available_if(_has_scores)
    def decision_function(self, X: Any) -> np.ndarray:
        """Compute scores: what the network puts out before a softmax or a sigmoid.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs with all features, as in the fit.

        Returns
        -------
        scores : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            As those of :class:`~skprune.PrunedClassifier`.
        """
        return self._speaking().decision_function(X)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what it can do: select, and predict as what it fits."""
        tags = super().__sklearn_tags__()
        net = None if isinstance(self.estimator, str) else self.estimator
        plain = get_tags(self._plain_class(net))
        tags.estimator_type = plain.estimator_type
        tags.classifier_tags, tags.regressor_tags = plain.classifier_tags, plain.regressor_tags
        tags.target_tags, tags.input_tags = plain.target_tags, plain.input_tags
        # Half of two features may be too few to predict with; RFE says the same.
        for predicting in (tags.classifier_tags, tags.regressor_tags):
            if predicting is not None:
                predicting.poor_score = True
        return tags


def numbered_groups(groups: Sequence[Sequence[int | str]] | None, X: Any) -> list[list[int]] | None:
    """Turn names of features in groups into their numbers.

    Parameters
    ----------
    groups : sequence of sequences of int or str, or None
        The groups.
    X : object
        The inputs; the names are those of a data frame's columns.

    Returns
    -------
    groups : list of list of int, or None
        The groups by numbers.

    Raises
    ------
    InvalidParameterError
        If there is no feature of a name.
    """
    if groups is None:
        return None
    columns = [] if issparse(X) else list(getattr(X, "columns", []))
    result = []
    for number, group in enumerate(groups):
        if isinstance(group, (str, Integral)):
            raise InvalidParameterError(
                f"groups[{number}] must be a list of features; got {group!r}."
            )
        members: list[int] = []
        for feature in group:
            if not isinstance(feature, str):
                members.append(feature)
            elif feature in columns:
                members.append(columns.index(feature))
            else:
                hint = near_match(feature, columns) if columns else " X has no names of columns."
                raise InvalidParameterError(
                    f"groups[{number}] has {feature!r}, which is no feature of X.{hint}"
                )
        result.append(members)
    return result
