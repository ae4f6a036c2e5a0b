"""The selector of features by pruning."""

from collections.abc import Sequence
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import torch
from joblib import Memory
from skorch import NeuralNet

from skprune._sklearn import (
    Interval,
    InvalidParameterError,
    RealNotInt,
    calculate_threshold,
    fit_context,
)
from skprune.components import resolve
from skprune.estimators.base import BasePruned, as_it_was_on_error
from skprune.estimators.delegation import in_name_of
from skprune.estimators.path import interruptible
from skprune.estimators.run import NetRun, found_again
from skprune.estimators.selecting import SelectsFeatures, numbered_groups
from skprune.pruning.checks import check_epochs
from skprune.pruning.target import Goal
from skprune.strategies.named import STRATEGIES
from skprune.strategies.selection import share_of
from skprune.strategies.strategy import Strategy
from skprune.strategies.target import Target
from skprune.structures import Feature, FeatureElements
from skprune.training.progress import epoch_bar

__all__ = ["PrunedFeatureSelector"]


class PrunedFeatureSelector(SelectsFeatures):
    """Feature selection by pruning the inputs of a neural network.

    A network is trained on all features and loses the least important ones, while it is trained on.
    What is left is a selection, and a network that predicts with it.

    Parameters
    ----------
    estimator : {"classifier", "regressor"}, NeuralNetClassifier, NeuralNetBinaryClassifier or \
            NeuralNetRegressor, default="classifier"
        The skorch net to train and prune, or an already trained one (fitted, or in a
        ``FrozenEstimator``), which is not trained again before it is pruned. It is never modified.
        ``"classifier"`` and ``"regressor"`` stand for the default nets of
        :class:`~skprune.PrunedClassifier` and :class:`~skprune.PrunedRegressor`.
    strategy : str or Strategy, default="sparse_optimization"
        How features are scored and removed: by the names that :class:`~skprune.PrunedClassifier`
        lists, or as a :class:`~skprune.Strategy`.
    n_features_to_select : int or float, default=None
        How many features are selected: a number of 1 or more, or a fraction in (0, 1], of which at
        least one is. If none of `n_features_to_select`, `sparsity` and `threshold` is given, half
        of the features are.
    sparsity : float, default=None
        Which fraction of the features is removed, in [0, 1).
    threshold : float or str, default=None
        As many are selected as have at least this importance in the trained network, before any is
        removed; the importances of all add up to 1. ``"mean"`` and ``"median"`` are those of the
        importances, ``"1.25*mean"`` is a multiple. A strategy that removes all at once selects
        exactly these features; one with several steps, as many, by what it sees in each step.
    groups : list of lists of int or str, default=None
        Features that are selected together or not at all, by their numbers or by the names of a
        data frame's columns: the columns that one category was coded into, the channels of a
        sensor. One that is in no group stands for itself. What is counted, by
        `n_features_to_select` as well as by `sparsity`, and compared with `threshold`, are the
        groups.
    fine_tune_epochs : int, default=None
        Number of epochs that the network is trained for from the first removal on; half of the
        net's ``max_epochs`` if None, unless the strategy has its own way.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of the classes in the loss, as in scikit-learn; not for a regressor.
    memory : str, os.PathLike or joblib.Memory, default=None
        Where trained dense networks are kept; see :class:`~skprune.PrunedClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches, dropout and random scores.
    verbose : int, default=0
        With 1 or more, a progress bar over the epochs; with 0, nothing.

    Attributes
    ----------
    support_ : ndarray of bool of shape (n_features,)
        Which features are selected.
    ranking_ : ndarray of int of shape (n_features,)
        1 for those that are selected; of the others, the last to be removed is 2. The features of a
        group have the same rank.
    importances_ : ndarray of shape (n_features,)
        What each feature was worth when it was last scored, before it was removed or before the
        last removal, by the strategy's importance; they add up to 1. They never contradict
        ``ranking_``. The features of a group share equally what it is worth.
    n_features_ : int
        Number of selected features.
    estimator_ : PrunedClassifier or PrunedRegressor
        The fitted estimator, whose network depends on the selected features alone.
    net_, module_, masks_, report_, history_, predictor_
        Those of ``estimator_``; see :class:`~skprune.PrunedClassifier`.
    classes_ : ndarray of shape (n_classes,)
        The class labels, of a classifier.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has names that are all strings.

    See Also
    --------
    PrunedFeatureSelectorCV : Chooses the number of features by cross-validation.
    stability_selection : Which features are selected on most subsamples.

    Notes
    -----
    Weights of features of different scales cannot be compared: standardize X. Features that are the
    same in all rows are removed before any other.

    Features are what the first layers of the network read: the columns of a table, the channels of
    images or of series, or each number of a row that is read flattened.

    References
    ----------
    Lemhadri, I., Ruan, F., Abraham, L., & Tibshirani, R. (2021). LassoNet: a neural network with
    feature sparsity. Journal of Machine Learning Research, 22(127).

    Scardapane, S., Comminiello, D., Hussain, A., & Uncini, A. (2017). Group sparse regularization
    for deep neural networks. Neurocomputing, 241, 81-89.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from skprune import PrunedFeatureSelector
    >>> X, y = make_friedman1(500, n_features=20, random_state=0)  # five of them matter
    >>> selector = PrunedFeatureSelector("regressor", n_features_to_select=5, random_state=0)
    >>> selector.fit(X, y).get_support(indices=True)
    array([0, 1, 2, 3, 4])
    >>> selector.transform(X).shape
    (500, 5)
    >>> bool(selector.score(X, y) > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **SelectsFeatures._parameter_constraints,
        "n_features_to_select": [
            Interval(RealNotInt, 0, 1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "sparsity": [Interval(Real, 0, 1, closed="left"), None],
        "threshold": [Interval(Real, 0, None, closed="left"), str, None],
    }

    def __init__(
        self,
        estimator: str | NeuralNet = "classifier",
        *,
        strategy: str | Strategy = "sparse_optimization",
        n_features_to_select: float | None = None,
        sparsity: float | None = None,
        threshold: float | str | None = None,
        groups: Sequence[Sequence[int | str]] | None = None,
        fine_tune_epochs: int | None = None,
        class_weight: dict | list | str | None = None,
        memory: str | PathLike | Memory | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.strategy = strategy
        self.n_features_to_select = n_features_to_select
        self.sparsity = sparsity
        self.threshold = threshold
        self.groups = groups
        self.fine_tune_epochs = fine_tune_epochs
        self.class_weight = class_weight
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train the network, remove features, and train what is left.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs, as the net's module takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss.

        Returns
        -------
        self : object
            The fitted selector.

        Raises
        ------
        InvalidParameterError
            If it is not clear how many features are to be selected, or groups overlap.
        UntraceableError
            If the network does not read features that could be removed.
        KeyboardInterrupt
            If Ctrl-C ended a training: what was left would be no selection.
        """
        given = [
            f"{name}={getattr(self, name)!r}"
            for name in ("n_features_to_select", "sparsity", "threshold")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise InvalidParameterError(
                f"{type(self).__name__} is told more than once how many features to select: "
                f"{', '.join(given)}. Give one of them."
            )
        plain = self._plain_class(
            self._net(),
            strategy=self.strategy,
            structure=Feature(numbered_groups(self.groups, X)),
            fine_tune_epochs=self.fine_tune_epochs,
            memory=self.memory,
            random_state=self.random_state,
            verbose=self.verbose,
            **self._class_weight_for_plain(),
        )
        with as_it_was_on_error(self), interruptible():
            speaking = in_name_of(self, plain)
            self._prune(speaking, X, y, sample_weight)
            plain.__dict__.update(vars(speaking))
            self._set_selected(plain)
        return self

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Score the predictions: by the accuracy of a classifier, or the R2 of a regressor.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs with all features, as in the fit.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            That of ``estimator_``.
        """
        return self._speaking().score(X, y, sample_weight=sample_weight)

    def _prune(self, plain: BasePruned, X: Any, y: Any, sample_weight: Any) -> None:
        """Fit a plain estimator to the number of features that is asked for."""
        strategy = resolve(self.strategy, STRATEGIES, "strategy", Strategy).resolved()
        at_init = not strategy.start.trains_dense
        dense, target = plain._prepare(X, y, sample_weight, at_init=at_init)
        run = NetRun(dense, strategy, plain.structure.validated(), (), only_named=False)
        n_selected = None if self.threshold is not None else self._number_of(run)
        epochs = run.epochs(self.fine_tune_epochs)
        check_epochs(strategy, _goal(run, n_selected or 1), epochs)
        n_dense = 0 if at_init or dense.pretrained else dense.trainer.net.max_epochs
        name = type(self).__name__
        with epoch_bar(name, n_dense + epochs, shown=self.verbose > 0) as dense.trainer.bar:
            if not at_init:
                dense.train(found_again(self.memory, self.random_state))
            if n_selected is None:
                n_selected = self._number_above(run)
            goal = _goal(run, n_selected)
            run.prune(goal, epochs)
        plain.sparsity = goal.sparsity
        plain._set_fitted(run, target)

    def _number_of(self, run: NetRun) -> int:
        """Count the features, or groups of them, that are to be selected."""
        n_elements = run.elements.n_elements
        if self.sparsity is not None:
            return _goal_of(run, Target(self.sparsity)).limit
        wanted = 0.5 if self.n_features_to_select is None else self.n_features_to_select
        if not isinstance(wanted, Integral):
            return max(1, int(share_of(n_elements, float(wanted))))
        if wanted > n_elements:
            what = "features" if self.groups is None else "groups of features"
            raise InvalidParameterError(
                f"n_features_to_select={wanted} is more than there are: X has {n_elements} {what}."
            )
        return int(wanted)

    def _number_above(self, run: NetRun) -> int:
        """Count the features, or groups, whose importance reaches the threshold."""
        assert isinstance(run.elements, FeatureElements)
        by_feature = run.trial_importances()
        sums = torch.zeros(run.elements.n_elements, dtype=torch.float64)
        sums.index_add_(0, run.elements.element_of, torch.from_numpy(by_feature))
        importances = sums.numpy()
        threshold = calculate_threshold(self, importances, self.threshold)
        n_above = int((importances >= threshold).sum())
        if not n_above:
            raise InvalidParameterError(
                f"No feature has an importance of threshold={self.threshold!r} or more; the "
                f"largest is {importances.max():.6g}, and all add up to 1."
            )
        return n_above


def _goal(run: NetRun, n_selected: int) -> Goal:
    return _goal_of(run, Target(at_most=n_selected))


def _goal_of(run: NetRun, target: Target) -> Goal:
    goal = run.target(target)
    assert goal is not None
    return goal
