"""The hidden activations of a pruned network as features."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from skprune._sklearn import HasMethods, InvalidParameterError, StrOptions, fit_context
from skprune.estimators.delegation import Delegated
from skprune.network.hidden import POOLS, HiddenLayer
from skprune.pruning.predictor import Predictor

__all__ = ["PrunedTransformer"]


class PrunedTransformer(TransformerMixin, MetaEstimatorMixin, BaseEstimator):
    """What a layer of a pruned network puts out, as features for what follows in a pipeline.

    A pruned network is smaller where it was wider than it had to be, so that its hidden layers are
    compact representations of X: for a linear model, a search for neighbours, or a picture.

    Parameters
    ----------
    estimator : PrunedClassifier, PrunedRegressor, their CV twins or selectors
        What is fitted, and has the network. One in a ``FrozenEstimator`` is taken as it is.
        ``structure="unit"`` makes the representation narrower.
    layer : str, default=None
        Name of the layer whose output is taken, such as ``"hidden0"``, as
        ``estimator_.module_.named_modules()`` lists them. None is the penultimate layer: what the
        last layer with weights is given, after activation functions and all.
    pool : {"mean", "max", "flatten"}, default="mean"
        What becomes of a layer that puts out several numbers a channel, at the positions of an
        image or the steps of a series.

        - ``"mean"``: their mean, for each channel.
        - ``"max"``: their maximum, for each channel.
        - ``"flatten"``: all of them, one after another.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    layer_ : str
        Name of the layer; of the last layer with weights, whose input is taken, if `layer` is None.
    n_features_out_ : int
        Number of columns of what :meth:`transform` gives.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has names that are all strings.

    See Also
    --------
    PrunedAutoencoder : A representation that needs no targets.
    PrunedFeatureSelector : Features of X itself.

    References
    ----------
    Bengio, Y., Courville, A., & Vincent, P. (2013). Representation learning: a review and new
    perspectives. IEEE Transactions on Pattern Analysis and Machine Intelligence, 35(8), 1798-1828.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from skprune import PrunedClassifier, PrunedTransformer
    >>> X, y = load_digits(return_X_y=True)
    >>> pruned = PrunedClassifier(structure="unit", sparsity=0.9, random_state=0)
    >>> model = make_pipeline(PrunedTransformer(pruned), KNeighborsClassifier()).fit(X, y)
    >>> model[0].n_features_out_
    10
    >>> bool(model.score(X, y) > 0.95)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "layer": [str, None],
        "pool": [StrOptions(set(POOLS))],
    }

    n_features_in_ = Delegated("estimator_")
    feature_names_in_ = Delegated("estimator_")

    def __init__(self, estimator: Any, layer: str | None = None, *, pool: str = "mean") -> None:
        self.estimator = estimator
        self.layer = layer
        self.pool = pool

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the estimator, and find the layer in its network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as the net's module takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        InvalidParameterError
            If the estimator has no network that is pruned, or the network no such layer.
        """
        params = {} if sample_weight is None else {"sample_weight": sample_weight}
        fitted = clone(self.estimator).fit(X, y, **params)
        predictor = self._predictor_of(fitted)
        predictor.module.eval()
        hidden = HiddenLayer(predictor.module, predictor.example, self.layer, self.pool)
        self.estimator_ = fitted
        self._hidden = hidden
        self.layer_, self.n_features_out_ = hidden.name, hidden.width
        return self

    def _predictor_of(self, fitted: Any) -> Predictor:
        """Give the network of an estimator, with all that it takes to run it."""
        predictor = fitted.predictor_ if hasattr(fitted, "report_") else None
        if not isinstance(predictor, Predictor):
            raise InvalidParameterError(
                f"estimator of PrunedTransformer must be a PrunedClassifier, a PrunedRegressor, or "
                f"one of skprune's estimators around these; got a {type(self.estimator).__name__}."
            )
        return predictor

    def transform(self, X: Any) -> np.ndarray:
        """Compute what the layer puts out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as in the fit.

        Returns
        -------
        activations : ndarray of shape (n_samples, n_features_out)
            A row for each row of X, in the precision of the network.
        """
        check_is_fitted(self)
        predictor = self.estimator_.predictor_
        predictor.name = type(self).__name__
        return predictor.hidden(X, self._hidden)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns of what :meth:`transform` gives.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Not used: the columns are no features of X.

        Returns
        -------
        names : ndarray of str objects of shape (n_features_out,)
            The layer and the number of the column, as in ``"hidden0_3"``; ``"penultimate_3"`` if
            `layer` is None.
        """
        check_is_fitted(self)
        layer = "penultimate" if self.layer is None else self.layer
        names = [f"{layer}_{number}" for number in range(self.n_features_out_)]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what it can do: take what the estimator takes."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        tags.transformer_tags.preserves_dtype = []
        return tags
