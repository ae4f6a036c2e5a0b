"""Representations without targets: an autoencoder whose narrow layer is pruned."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from joblib import Memory
from scipy.sparse import issparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import make_scorer, r2_score
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from skprune._sklearn import Interval, InvalidParameterError, RealNotInt, fit_context
from skprune.components import resolve
from skprune.estimators.base import as_it_was_on_error
from skprune.estimators.cv import BasePrunedCV
from skprune.estimators.delegation import Delegated, in_name_of
from skprune.estimators.inputs import as_dense, as_rows, spec_of_inputs, validate_inputs
from skprune.estimators.regressor import PrunedRegressor
from skprune.estimators.regressor_cv import PrunedRegressorCV
from skprune.estimators.run import NetRun
from skprune.estimators.wrapping import WrapsNet
from skprune.model_selection.candidates import Candidates
from skprune.network.hidden import HiddenLayer
from skprune.network.layers import layer_for
from skprune.strategies.named import STRATEGIES
from skprune.strategies.strategy import Strategy
from skprune.structures import Unit
from skprune.training.nets import REGRESSOR_NETS, default_autoencoder_net

__all__ = ["PrunedAutoencoder"]


class PrunedAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, WrapsNet):
    """A network that gives its input back through a narrow layer, pruned to the width it needs.

    The outputs of the narrow layer are a representation of X that is learned without targets, and
    rows that cannot be given back are unlike the others.

    Parameters
    ----------
    estimator : NeuralNetRegressor, default=None
        The skorch net to train and prune, whose module gives back its input, flattened to a row of
        numbers. None stands for an :class:`~skprune.network.Autoencoder`, which standardizes X
        itself.
    strategy : str or Strategy, default="sparse_optimization"
        How units of the narrow layer are scored and removed: by the names that
        :class:`~skprune.PrunedRegressor` lists, or as a :class:`~skprune.Strategy`.
    n_components : int or float, default=None
        To how many units the narrow layer is pruned: their number, or, in (0, 1), the fraction of
        the variance of X that is to be explained, by the smallest number of units that does it on
        rows that the network has not seen. None is the smallest number whose explained variance is
        within one standard error of the best.
    layer : str, default="bottleneck"
        Name of the narrow layer in the net's module.
    cv : int, cross-validation splitter or iterable, default=None
        On which rows the variance is explained if `n_components` is no number of units: 5 folds if
        None.
    fine_tune_epochs : int, default=None
        Number of epochs that what is left is trained for; half of the net's ``max_epochs`` if None.
    memory : str, os.PathLike or joblib.Memory, default=None
        Where trained dense networks are kept; see :class:`~skprune.PrunedRegressor`.
    n_jobs : int, default=None
        Number of folds at a time.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches, dropout and random scores.
    verbose : int, default=0
        With 1 or more, a progress bar; with 0, nothing.

    Attributes
    ----------
    n_components_ : int
        Number of units of the narrow layer that are left.
    estimator_ : PrunedRegressor
        The fitted estimator, which predicts X from X.
    cv_results_ : dict of str to ndarray or None
        What was found for each width, with ``param_n_components``; None for a number of units.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has names that are all strings.

    See Also
    --------
    PrunedTransformer : Representations that are learned with targets.

    References
    ----------
    Hinton, G. E., & Salakhutdinov, R. R. (2006). Reducing the dimensionality of data with neural
    networks. Science, 313(5786), 504-507.

    Examples
    --------
    >>> import numpy as np
    >>> from skprune import PrunedAutoencoder
    >>> angle = np.random.default_rng(0).uniform(-1, 1, size=(300, 2))  # all that varies
    >>> X = np.hstack([angle, np.sin(2 * angle), angle**2])
    >>> autoencoder = PrunedAutoencoder(n_components=2, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (300, 2)
    >>> bool(autoencoder.score(X) > 0.9)
    True
    """

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {
        "strategy": STRATEGIES,
        "estimator": {None: default_autoencoder_net},
    }

    _parameter_constraints: ClassVar[dict] = {
        **{
            name: WrapsNet._parameter_constraints[name]
            for name in ("estimator", "fine_tune_epochs", "memory", "random_state", "verbose")
        },
        "strategy": [str, Strategy],
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            None,
        ],
        "layer": [str],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
    }
    _nets = REGRESSOR_NETS

    estimator_: PrunedRegressor

    n_features_in_ = Delegated("estimator_")
    feature_names_in_ = Delegated("estimator_")

    def __init__(
        self,
        estimator: NeuralNet | None = None,
        *,
        strategy: str | Strategy = "sparse_optimization",
        n_components: float | None = None,
        layer: str = "bottleneck",
        cv: Any = None,
        fine_tune_epochs: int | None = None,
        memory: str | PathLike | Memory | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.strategy = strategy
        self.n_components = n_components
        self.layer = layer
        self.cv = cv
        self.fine_tune_epochs = fine_tune_epochs
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train the autoencoder, prune its narrow layer, and train what is left.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs, which are the targets too.
        y : object, default=None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss.

        Returns
        -------
        self : object
            The fitted autoencoder.

        Raises
        ------
        InvalidParameterError
            If the network has no such layer, or has fewer units in it than are asked for.
        ValueError
            If no number of units explains as much of the variance as is asked for.
        """
        with as_it_was_on_error(self):
            self._fit(X, sample_weight)
        return self

    def _fit(self, X: Any, sample_weight: Any) -> None:
        checked, X = self._checked(X)
        plain = PrunedRegressor(
            self._net(),
            strategy=self.strategy,
            structure="unit",
            fine_tune_epochs=self.fine_tune_epochs,
            memory=self.memory,
            random_state=self.random_state,
            verbose=self.verbose,
        )
        width, others = self._look_into(plain, X, sample_weight)
        plain.protect = [*others]
        results = None
        if isinstance(self.n_components, Integral):
            if self.n_components > width:
                raise InvalidParameterError(
                    f"n_components={self.n_components} is more than layer {self.layer!r} has: "
                    f"{width} units."
                )
            plain.sparsity = float(1 - Fraction(int(self.n_components), width))
            speaking = in_name_of(self, plain)
            speaking.fit(X, X.reshape(len(X), -1), sample_weight)
            plain.__dict__.update(vars(speaking))
        else:
            search = self._searched(plain, X, sample_weight, width)
            plain = search.best_estimator_
            results = search.cv_results_
        # The network was fitted to an array: what it was made of is what predictions are made for.
        for name in {"n_features_in_", "feature_names_in_"} & vars(checked).keys():
            setattr(plain, name, getattr(checked, name))
        spec = spec_of_inputs(plain, plain._example)
        assert spec is not None
        plain._inputs = replace(spec, tabular=self.estimator is None)
        self.estimator_, self.cv_results_ = plain, results
        predictor = plain.predictor_
        predictor.module.eval()
        self._hidden = HiddenLayer(predictor.module, predictor.example, self.layer, "mean")
        self.n_components_ = self._n_features_out = self._hidden.width
        spread = X.reshape(len(X), -1).std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)

    def _net(self) -> NeuralNet:
        return default_autoencoder_net() if self.estimator is None else self.estimator

    def _checked(self, X: Any) -> tuple[PrunedRegressor, np.ndarray]:
        """Check X, and make it an array; say what an estimator that has seen it knows of it."""
        seen = PrunedRegressor(self.estimator)
        speaking = in_name_of(self, seen)
        X = as_rows(speaking, X, reset=True)
        shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
        zeros = np.zeros(shape[:1] or 1)
        X, _ = validate_inputs(speaking, X, zeros, reset=True, plain=self.estimator is None)
        X = as_dense(X)
        if not isinstance(X, np.ndarray):
            raise InvalidParameterError(
                f"{type(self).__name__} takes arrays, whose rows are inputs and targets; X is a "
                f"{type(X).__name__}."
            )
        if X[0].size == 1:
            raise InvalidParameterError(
                f"X has rows of one number (n_features=1), and {type(self).__name__} needs at "
                "least two to make fewer of."
            )
        return speaking, X

    def _look_into(
        self, plain: PrunedRegressor, X: np.ndarray, sample_weight: Any
    ) -> tuple[int, list[str]]:
        """Count the units of the narrow layer, and name all other layers that have weights."""
        strategy = resolve(self.strategy, STRATEGIES, "strategy", Strategy).resolved()
        speaking = in_name_of(self, plain)
        speaking.random_state = 0
        at_init = not strategy.start.trains_dense
        dense, _ = speaking._prepare(X, X.reshape(len(X), -1), sample_weight, at_init=at_init)
        module = dense.network.module
        # Checks the name, and that it gives a row of numbers for each row.
        HiddenLayer(module.eval(), dense.network.inputs, self.layer, "mean")
        others = [
            name
            for name, part in module.named_modules()
            if name and name != self.layer and layer_for(part).makes_units
        ]
        run = NetRun(dense, strategy, Unit(), others, only_named=False)
        return run.elements.n_elements, others

    def _searched(
        self, plain: PrunedRegressor, X: np.ndarray, sample_weight: Any, width: int
    ) -> BasePrunedCV:
        """Choose the number of units by cross-validation."""
        numbers = sorted({round(n) for n in np.geomspace(width, 1, _N_WIDTHS)}, reverse=True)
        share = self.n_components
        explained = partial(_narrowest, share=share, numbers=numbers)
        search = PrunedRegressorCV(
            plain.estimator,
            strategies=[self.strategy],
            sparsities=[float(1 - Fraction(number, width)) for number in numbers],
            structure="unit",
            protect=plain.protect,
            cv=self.cv,
            scoring=make_scorer(_explained_variance),
            selection="one_std_err" if share is None else explained,
            fine_tune_epochs=self.fine_tune_epochs,
            memory=self.memory,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
            verbose=self.verbose,
        )
        speaking = in_name_of(self, search)
        speaking.fit(X, X.reshape(len(X), -1), sample_weight=sample_weight)
        search.__dict__.update(vars(speaking))
        search.cv_results_["param_n_components"] = np.ma.array(numbers)
        return search

    def transform(self, X: Any) -> np.ndarray:
        """Compute what the narrow layer puts out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs, as in the fit.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_components)
            A row for each row of X.
        """
        return self._predictor().hidden(X, self._hidden)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Compute what the network makes of codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes, as :meth:`transform` gives them.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features) or (n_samples, ...)
            Rows of the shape of those in the fit.
        """
        predictor = self._predictor()
        codes = check_array(X, dtype=[np.float64, np.float32], estimator=self, input_name="X")
        if codes.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {codes.shape[1]} components, but {type(self).__name__} is expecting "
                f"{self.n_components_}."
            )
        return self._in_shape(predictor.from_hidden(codes, self._hidden))

    def score_samples(self, X: Any) -> np.ndarray:
        """Say how well each row is given back: the lower, the more it is unlike the others.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs, as in the fit.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Minus the mean squared error, in units of the variance of each feature in the fit.
        """
        predictor = self._predictor()
        X = predictor.inputs.checked(X, type(self).__name__)
        errors = self.reconstruct(X) - (X.toarray() if issparse(X) else X)
        return -((errors.reshape(len(errors), -1) / self._spread) ** 2).mean(axis=1)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Give X back as far as it goes through the narrow layer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs, as in the fit.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features) or (n_samples, ...)
            What the network puts out.
        """
        return self._in_shape(self._predictor().predict(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the fraction of the variance of X that is given back.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs, as in the fit.
        y : object, default=None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            R2 over all features, each weighted by its variance; 1 at the most.
        """
        X = self._predictor().inputs.checked(X, type(self).__name__)
        rows = X.toarray() if issparse(X) else X
        return _explained_variance(rows, self.reconstruct(X), sample_weight=sample_weight)

    def _in_shape(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(len(rows), *self.estimator_._example.shape[1:])

    def _predictor(self) -> Any:
        check_is_fitted(self)
        predictor = self.estimator_.predictor_
        predictor.name = type(self).__name__
        return predictor

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what it can do."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags


# How many widths there are to choose from.
_N_WIDTHS = 8


def _explained_variance(true: np.ndarray, given: np.ndarray, sample_weight: Any = None) -> float:
    true, given = true.reshape(len(true), -1), given.reshape(len(given), -1)
    weights = {"multioutput": "variance_weighted", "sample_weight": sample_weight}
    return float(r2_score(true, given, **weights))


def _narrowest(cv_results: Mapping[str, Any], *, share: Any, numbers: list[int]) -> int:
    """Choose the smallest number of units that explains a share of the variance."""
    means = Candidates(cv_results).means("score")
    enough = np.flatnonzero(means >= share)
    if not len(enough):
        raise ValueError(
            f"No number of units explains n_components={share} of the variance on rows that were "
            f"not seen; {numbers[int(np.nanargmax(means))]} units explain {np.nanmax(means):.3g}. "
            "Train for longer, or give the layer more units."
        )
    return int(enough[-1])
