"""The selector of features that chooses their number by cross-validation."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import floor
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from joblib import Memory
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from skprune._sklearn import Interval, InvalidParameterError, fit_context
from skprune.components import resolve
from skprune.estimators.base import as_it_was_on_error
from skprune.estimators.classifier_cv import PrunedClassifierCV
from skprune.estimators.cv import BasePrunedCV
from skprune.estimators.delegation import Delegated, in_name_of
from skprune.estimators.inputs import with_targets
from skprune.estimators.regressor_cv import PrunedRegressorCV
from skprune.estimators.run import NetRun
from skprune.estimators.selecting import SelectsFeatures, numbered_groups
from skprune.strategies.named import STRATEGIES
from skprune.strategies.selection import share_of
from skprune.strategies.strategy import Strategy
from skprune.structures import Feature

__all__ = ["PrunedFeatureSelectorCV"]


class PrunedFeatureSelectorCV(SelectsFeatures):
    """Feature selection by pruning, with the number of features chosen by cross-validation.

    Each fold trains one network on all features, and prunes it to each number of features.

    Parameters
    ----------
    estimator : {"classifier", "regressor"}, NeuralNetClassifier, NeuralNetBinaryClassifier or \
            NeuralNetRegressor, default="classifier"
        The skorch net to train and prune; see :class:`~skprune.PrunedFeatureSelector`. One that is
        trained has seen all the rows, so that its scores are too good.
    strategy : str or Strategy, default="sparse_optimization"
        How features are scored and removed; see :class:`~skprune.PrunedFeatureSelector`.
    candidates : int or sequence of int or float, default=8
        The numbers of features to choose from, in any order: numbers of 1 or more, or fractions in
        (0, 1]. An int stands for so many numbers, or as many as there are, that fall by the same
        ratio from all features to one.
    groups : list of lists of int or str, default=None
        Features that are selected together or not at all; see
        :class:`~skprune.PrunedFeatureSelector`. What is counted are then the groups. They have
        nothing to do with the groups of rows that ``fit`` takes.
    path : {"restart", "chained"}, default="restart"
        How the network gets to each number of features.

        - ``"restart"``: each number starts from the network with all features. The networks are
          those that a ``GridSearchCV`` over a :class:`~skprune.PrunedFeatureSelector` fits.
        - ``"chained"``: each number starts from the network of the larger one before, and trains
          for a share of `fine_tune_epochs`; see :class:`~skprune.PrunedClassifierCV`.

    cv : int, cross-validation splitter or iterable, default=None
        How the data are split: 5 folds if None, stratified by class in a classification.
    scoring : str, callable, list, tuple, set or dict, default=None
        What is measured, as for :class:`~skprune.PrunedClassifierCV`; the accuracy of a classifier
        and the R2 of a regressor if None.
    selection : str or callable, default="one_std_err"
        How the number is chosen: by the rules that :class:`~skprune.PrunedClassifierCV` lists, such
        as ``"best"``, the number of the best mean score, or ``"one_std_err"``, the smallest number
        whose mean score is within one standard error of the best; or a callable that takes
        ``cv_results_`` and returns an index.
    fine_tune_epochs : int, default=None
        Number of epochs that the network is trained for from the first removal on; half of the
        net's ``max_epochs`` if None, unless the strategy has its own way.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of the classes in the loss, as in scikit-learn; not for a regressor.
    memory : str, os.PathLike or joblib.Memory, default=None
        Where trained dense networks are kept; see :class:`~skprune.PrunedClassifier`.
    n_jobs : int, default=None
        Number of folds at a time.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches, dropout and random scores; each fold begins with the same.
    verbose : int, default=0
        With 1 or more, a progress bar over the fits; with 0, nothing.

    Attributes
    ----------
    search_ : PrunedClassifierCV or PrunedRegressorCV
        The fitted search, over the sparsities that leave these numbers of features.
    cv_results_ : dict of str to ndarray
        Its results, with ``param_n_features``, the number of features (or groups of them) of each
        candidate.
    candidates_ : ndarray of int of shape (n_candidates,)
        These numbers, falling.
    support_path_ : ndarray of bool of shape (n_candidates, n_splits, n_features)
        Which features each fold selected at each candidate.
    best_index_, best_score_, metric_, scorer_, score_path_, dense_scores_
        As in :class:`~skprune.PrunedClassifierCV`.
    support_, ranking_, importances_, n_features_, estimator_
        Of what was chosen and fitted on all the data, as in
        :class:`~skprune.PrunedFeatureSelector`.
    net_, module_, masks_, report_, history_, predictor_
        Those of ``estimator_``.
    classes_ : ndarray of shape (n_classes,)
        The class labels, of a classifier.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has names that are all strings.

    See Also
    --------
    PrunedFeatureSelector : With a number that is given.
    stability_selection : Bounds how many features are selected in error.

    References
    ----------
    Breiman, L., Friedman, J., Stone, C. J., & Olshen, R. A. (1984). Classification and regression
    trees. CRC Press.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from skprune import PrunedFeatureSelectorCV
    >>> X, y = make_friedman1(400, n_features=15, random_state=0)  # five of them matter
    >>> selector = PrunedFeatureSelectorCV("regressor", candidates=[15, 5, 2], cv=3, random_state=0)
    >>> selector.fit(X, y).get_support(indices=True)
    array([0, 1, 2, 3, 4])
    >>> selector.candidates_
    array([15,  5,  2])
    """

    _parameter_constraints: ClassVar[dict] = {
        **SelectsFeatures._parameter_constraints,
        "candidates": [Interval(Integral, 1, None, closed="left"), "array-like"],
        **{
            name: BasePrunedCV._parameter_constraints[name]
            for name in ("path", "cv", "scoring", "selection", "n_jobs")
        },
    }

    # The groups of rows are asked for by a splitter, not by the estimator.
    __metadata_request__fit: ClassVar[dict[str, str]] = {"groups": UNUSED}

    search_: BasePrunedCV

    best_index_ = Delegated("search_")
    best_score_ = Delegated("search_")
    metric_ = Delegated("search_")
    scorer_ = Delegated("search_")
    score_path_ = Delegated("search_")
    dense_scores_ = Delegated("search_")

    def __init__(
        self,
        estimator: str | NeuralNet = "classifier",
        *,
        strategy: str | Strategy = "sparse_optimization",
        candidates: int | Sequence[float] = 8,
        groups: Sequence[Sequence[int | str]] | None = None,
        path: str = "restart",
        cv: Any = None,
        scoring: Any = None,
        selection: str | Callable[[dict[str, Any]], int] = "one_std_err",
        fine_tune_epochs: int | None = None,
        class_weight: dict | list | str | None = None,
        memory: str | PathLike | Memory | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.strategy = strategy
        self.candidates = candidates
        self.groups = groups
        self.path = path
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.fine_tune_epochs = fine_tune_epochs
        self.class_weight = class_weight
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None, **params: Any
    ) -> Self:
        """Judge each number of features by cross-validation, choose, and fit on all the data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs, as the net's module takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss, and in the scores of scorers that take them; see
            :class:`~skprune.PrunedClassifierCV`.
        groups : array-like of shape (n_samples,), default=None
            Groups of rows, for a `cv` that splits by them.
        **params : dict of str to object
            Other metadata that `scoring` or `cv` asks for; under metadata routing alone.

        Returns
        -------
        self : object
            The fitted selector.

        Raises
        ------
        InvalidParameterError
            If a candidate is no number of features, or groups overlap.
        UntraceableError
            If the network does not read features that could be removed.
        """
        with as_it_was_on_error(self):
            structure = Feature(numbered_groups(self.groups, X))
            n_elements = self._count(structure, X, y, sample_weight)
            numbers = self._numbers(n_elements)
            # As a float, a fraction comes back to the number that it is made of.
            sparsities = [float(1 - Fraction(number, n_elements)) for number in numbers]
            search = self._search(structure, sparsities)
            speaking = in_name_of(self, search)
            speaking.fit(X, y, sample_weight=sample_weight, groups=groups, **params)
            search.__dict__.update(vars(speaking))
            self.search_ = search
            self.candidates_ = np.array(numbers)
            column = np.ma.masked_all(len(numbers), dtype=np.int64)
            column[:] = numbers
            self.cv_results_ = {**search.cv_results_, "param_n_features": column}
            self.support_path_ = np.moveaxis(np.array(search._features_of_folds), 0, 1)
            self._set_selected(search.best_estimator_)
        return self

    def _search(self, structure: Feature, sparsities: Sequence[float]) -> BasePrunedCV:
        """Make the search over the sparsities that leave the numbers of features."""
        kind: Any = PrunedClassifierCV if self._classifies() else PrunedRegressorCV
        search = kind(
            self._net(),
            strategies=[self.strategy],
            sparsities=sparsities,
            structure=structure,
            path=self.path,
            cv=self.cv,
            scoring=self.scoring,
            selection=self.selection,
            fine_tune_epochs=self.fine_tune_epochs,
            memory=self.memory,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
            verbose=self.verbose,
            **self._class_weight_for_plain(),
        )
        if hasattr(self, "_metadata_request"):
            search._metadata_request = self._metadata_request
        return search

    def _count(self, structure: Feature, X: Any, y: Any, sample_weight: Any) -> int:
        """Count the features, or groups of them, that the network reads."""
        strategy = resolve(self.strategy, STRATEGIES, "strategy", Strategy).resolved()
        plain = self._plain_class(
            self._net(), structure=structure, random_state=0, **self._class_weight_for_plain()
        )
        speaking = in_name_of(self, plain)
        X, y = with_targets(speaking, X, y)
        dense, _ = speaking._prepare(X, y, sample_weight, at_init=not strategy.start.trains_dense)
        run = NetRun(dense, strategy, structure.validated(), (), only_named=False)
        return run.elements.n_elements

    def _numbers(self, n_elements: int) -> list[int]:
        """Say which numbers of features there are to choose from, falling."""
        if isinstance(self.candidates, Integral):
            spread = np.geomspace(n_elements, 1, int(self.candidates))
            return sorted({round(number) for number in spread}, reverse=True)
        numbers: list[int] = []
        candidates: Any = self.candidates
        for place, wanted in enumerate(candidates):
            fraction = not isinstance(wanted, Integral)
            real = isinstance(wanted, Real) and not isinstance(wanted, bool)
            if not real or not 0 < wanted <= (1 if fraction else n_elements):
                what = "features" if self.groups is None else "groups of features"
                raise InvalidParameterError(
                    f"candidates[{place}] is {wanted!r}; it must be a number of features from 1 to "
                    f"{n_elements} (X has {n_elements} {what}), or a fraction in (0, 1]."
                )
            share = share_of(n_elements, float(wanted)) if fraction else float(wanted)
            number = max(1, floor(share))
            if number in numbers:
                raise InvalidParameterError(
                    f"candidates[{place}]={wanted!r} is {number} of {n_elements}, which is there "
                    "twice."
                )
            numbers.append(number)
        if not numbers:
            raise InvalidParameterError("candidates is empty: there is nothing to choose from.")
        return sorted(numbers, reverse=True)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None, **params: Any) -> float:
        """Score the predictions by what decided in the cross-validation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs with all features, as in the fit.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the score.
        **params : dict of str to object
            Other metadata that the scorer asks for; under metadata routing alone.

        Returns
        -------
        score : float
            The score by ``scorer_``.
        """
        if "search_" not in vars(self):
            check_is_fitted(self)
        speaking = in_name_of(self, self.search_)
        return speaking.score(X, y, sample_weight=sample_weight, **params)

    def get_metadata_routing(self) -> MetadataRouter:
        """Say who asks for which metadata: the estimator itself, `scoring`, and `cv`.

        Returns
        -------
        routing : MetadataRouter
            For scikit-learn's metadata routing.
        """
        return in_name_of(self, self._search(Feature(), [0.5])).get_metadata_routing()
