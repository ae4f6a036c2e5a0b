"""What the cross-validated classifier and regressor share: judge a path, choose, refit."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from time import perf_counter
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skprune._sklearn import (
    Interval,
    InvalidParameterError,
    StrOptions,
    fit_context,
    raise_for_params,
)
from skprune.estimators.base import BasePruned, as_it_was_on_error
from skprune.estimators.choice import SELECTIONS, choose
from skprune.estimators.corrected import Rechoice
from skprune.estimators.delegation import Delegated, in_name_of
from skprune.estimators.fold_results import names_of, results_of, stability_of
from skprune.estimators.folds import (
    Fold,
    FoldData,
    Split,
    check_test_weights,
    judge_fold,
    split,
)
from skprune.estimators.inputs import with_targets
from skprune.estimators.path import (
    PATHS,
    StrategyPath,
    branches_of,
    elements_of,
    interruptible,
    iter_path,
    n_fits_of,
)
from skprune.estimators.portfolio import (
    AUTO,
    NOT_BEGUN,
    PORTFOLIO,
    default_strategy,
    halved,
    n_begun,
)
from skprune.estimators.run import found_again
from skprune.estimators.scoring import ScoresAsChosen, routed, scorers_for
from skprune.estimators.wrapping import WrapsNet
from skprune.model_selection.bias_correction import CorrectedScore
from skprune.network.mlp import MLP
from skprune.strategies.strategy import Strategy
from skprune.training.nets import unwrapped
from skprune.training.progress import progress_bar

__all__ = ["BasePrunedCV"]

# How many strategies of a portfolio are judged on all splits.
_N_LEFT = 2


class BasePrunedCV(ScoresAsChosen, WrapsNet):
    """Judges strategies and sparsities by cross-validation, chooses, and fits what it chose.

    What was fitted is a plain estimator, ``best_estimator_``; all that concerns the network is its.
    """

    _parameter_constraints: ClassVar[dict] = {
        **WrapsNet._parameter_constraints,
        "strategies": [None, str, Strategy, list, tuple],
        "max_time": [None, Interval(Real, 0, None, closed="neither")],
        "sparsities": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "path": [StrOptions(set(PATHS))],
        "cv": ["cv_object"],
        "scoring": [None, str, callable, list, tuple, set, dict],
        "selection": [StrOptions(set(SELECTIONS)), callable],
        "n_jobs": [Integral, None],
    }

    strategies: Any
    sparsities: Any
    path: str
    max_time: float | None
    n_jobs: int | None
    memory: Any
    random_state: Any
    verbose: int
    cv_results_: dict[str, Any]

    net_ = Delegated()
    module_ = Delegated()
    masks_ = Delegated()
    sparsity_ = Delegated()
    report_ = Delegated()
    removals_ = Delegated()
    history_ = Delegated()
    feature_importances_ = Delegated()
    n_features_in_ = Delegated()
    feature_names_in_ = Delegated()
    predictor_ = Delegated()
    kept_ = Delegated()

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None, **params: Any
    ) -> Self:
        """Judge each strategy and sparsity by cross-validation, choose, and fit on all the data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs, as the net's module takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss, and in the scores of scorers that take them. Under
            metadata routing a scorer has them if it asks for them, and the loss unless
            ``set_fit_request(sample_weight=False)`` says that they are for the scorers alone.
        groups : array-like of shape (n_samples,), default=None
            Groups of rows, for a `cv` that splits by them.
        **params : dict of str to object
            Other metadata that `scoring` or `cv` asks for; under metadata routing alone. A scorer
            is given the rows of the test fold.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        UnreachableSparsityError
            If a sparsity that was asked for would empty a layer; before any training.
        ValueError
            If a fold trains without one of the classes, or no candidate has a score.
        TypeError
            If nobody asks for a metadata that is given.
        """
        raise_for_params(params, self, "fit")
        with as_it_was_on_error(self):
            self._fit(X, y, {"sample_weight": sample_weight, "groups": groups, **params})
        return self

    def _fit(self, X: Any, y: Any, metadata: dict[str, Any]) -> None:
        plain = self._estimator()
        scorer, deciding = scorers_for(plain, self.scoring, self._own_metric())
        self._check_cost()
        score_params, split_params = routed(self, "fit", scorer, metadata)
        # A request for no weights says that they are for the scores alone.
        ignores_weights = plain.get_metadata_routing().fit.requests.get("sample_weight") is False
        sample_weight = None if ignores_weights else metadata["sample_weight"]
        X, y = with_targets(plain, X, y)
        branches, dropped = self._branches(plain, X, y, sample_weight)
        names_of(branches)  # none of them is there twice
        data = FoldData.of(X, y, sample_weight, metadata["groups"])
        splits = split(self.cv, data, split_params, classifier=is_classifier(self))
        check_test_weights(splits, score_params.get("sample_weight"))
        with interruptible():
            scoring = (scorer, deciding), score_params
            folds: list[Fold] = []
            if self.strategies == AUTO:
                folds, branches = self._compete(plain, data, splits, branches, dropped, *scoring)
            folds += self._judge(plain, data, splits[len(folds) :], branches, *scoring)
            results = results_of(branches, folds, splits)
            metric = self._own_metric() or next(iter(folds[0].dense.scores))
            report = choose(self.selection, results, metric)
            index = report.index
            owners = [branch for branch in branches for _ in branch.sparsities]
            began = perf_counter()
            self.best_estimator_ = self._refit(
                plain, data, owners[index], results["params"][index]["sparsity"]
            )
        self.refit_time_ = perf_counter() - began
        self.cv_results_ = results
        self._features_of_folds = [[point.features for point in fold.points] for fold in folds]
        self.metric_, self.scorer_ = metric, deciding
        self.best_index_ = index
        self.selection_report_ = report
        self._rechoice = self._rechoice_of(folds, splits, plain.random_state)
        self.best_params_ = results["params"][index]
        self.best_score_ = float(results[f"mean_test_{metric}"][index])
        self.strategy_ = self.best_params_["strategy"]
        self.dropped_strategies_ = dropped
        self.sparsities_ = np.unique([p["sparsity"] for p in results["params"]])
        self.score_path_ = np.array([[p.scores[metric] for p in f.points] for f in folds]).T
        self.dense_scores_ = {
            name: np.array([fold.dense.scores[name] for fold in folds])
            for name in folds[0].dense.scores
        }
        self.dense_fit_times_ = np.array([fold.dense.fit_time for fold in folds])
        classes = getattr(self.best_estimator_, "classes_", None)
        self.stability_ = stability_of(data.y, splits, folds, branches, classes)

    def _estimator(self) -> BasePruned:
        """Make the estimator that is fitted at each point."""
        own = self.get_params(deep=False)
        names = self._point_class._get_param_names()
        params = {name: own[name] for name in names if name in own}
        params["verbose"] = 0
        seed = self.random_state
        params["memory"] = found_again(self.memory, seed)
        if not isinstance(seed, Integral):  # all folds, and the last fit, share one
            params["random_state"] = int(check_random_state(seed).randint(np.iinfo(np.int32).max))
        return self._asking_alike(self._point_class(**params))

    def _branches(
        self, plain: BasePruned, X: Any, y: Any, sample_weight: Any
    ) -> tuple[list[StrategyPath], dict[str, str]]:
        """Lay out the path of each strategy; of a portfolio, say why some cannot take part."""
        named = in_name_of(self, plain)
        if self.strategies is None:
            elements = elements_of(named, X, y, sample_weight)
            net = unwrapped(self.estimator)
            own = net is not None and net.module is not MLP
            strategies: Any = default_strategy(elements, own_network=own)
        else:
            strategies = self.strategies
        if strategies != AUTO:
            return branches_of(named, X, y, sample_weight, strategies, self.sparsities), {}
        branches: list[StrategyPath] = []
        dropped = {}
        for name in PORTFOLIO:
            try:
                branches += branches_of(named, X, y, sample_weight, name, self.sparsities)
            except InvalidParameterError as error:
                if name == PORTFOLIO[0]:
                    raise
                dropped[name] = f"does not suit: {error}"
        return branches, dropped

    def _compete(
        self,
        plain: BasePruned,
        data: FoldData,
        splits: Sequence[Split],
        branches: list[StrategyPath],
        dropped: dict[str, str],
        scorers: tuple[Any, Any],
        score_params: Mapping[str, Any],
    ) -> tuple[list[Fold], list[StrategyPath]]:
        """Go along the paths on one split after another, until two strategies at most are left."""
        # The other splits and the last fit are to have as much.
        share = None if self.max_time is None else self.max_time / (len(splits) + 1)
        folds: list[Fold] = []
        while len(branches) > _N_LEFT and len(folds) < len(splits) - 1:
            call = plain, data, splits[len(folds)], branches, self.path, *scorers, score_params
            folds.append(judge_fold(*call, max_time=share))
            begun = n_begun(folds[-1], branches)
            for branch in branches[begun:]:
                dropped[branch.strategy] = NOT_BEGUN
            metric = self._own_metric() or next(iter(folds[0].dense.scores))
            folds, left = halved(folds, branches[:begun], metric)
            for branch in branches[:begun]:
                if branch not in left:
                    dropped[branch.strategy] = f"kept less of the score, after fold {len(folds)}"
            branches = left
        return folds, branches

    def _judge(
        self,
        plain: BasePruned,
        data: FoldData,
        splits: Sequence[Split],
        branches: Sequence[StrategyPath],
        scorers: tuple[Any, Any],
        score_params: Mapping[str, Any],
    ) -> list[Fold]:
        """Go along the path on each split."""
        calls = (
            delayed(judge_fold)(plain, data, fold, branches, self.path, *scorers, score_params)
            for fold in splits
        )
        n_fits = n_fits_of(branches)
        n_all = n_fits * len(splits)
        folds = []
        with progress_bar(type(self).__name__, n_all, "fit", shown=self.verbose > 0) as bar:
            for fold in self._parallel(calls):
                folds.append(fold)
                if bar is not None:
                    bar.update(n_fits)
        return folds

    def _parallel(self, calls: Any) -> Any:
        # A list is what every backend can give; only to show progress are folds taken one by one.
        options = {"return_as": "generator"} if self.verbose else {}
        return Parallel(n_jobs=self.n_jobs, **options)(calls)

    def _rechoice_of(
        self, folds: Sequence[Fold], splits: Sequence[Split], random_state: int
    ) -> Rechoice | None:
        outcomes = [fold.outcome for fold in folds if fold.outcome is not None]
        if not outcomes:
            return None
        tests = [test for _, test in splits]
        return Rechoice(
            outcomes, tests, self.selection, self.cv_results_, self.metric_, random_state
        )

    @property
    def best_score_corrected_(self) -> float:
        """What can be expected of the score of what was chosen; see the class."""
        return self._corrected().score

    @property
    def best_score_interval_(self) -> tuple[float, float]:
        """The 90 % confidence interval of ``best_score_corrected_``."""
        corrected = self._corrected()
        return corrected.lower, corrected.upper

    def _corrected(self) -> CorrectedScore:
        if "best_score_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted: it has no best score.")
        if self._rechoice is None:
            raise AttributeError(
                f"A corrected score is for scorers that look at predictions alone, such as those "
                f"of scikit-learn; scoring={self.scoring!r} may look at anything."
            )
        return self._rechoice.corrected

    def _refit(
        self, plain: BasePruned, data: FoldData, branch: StrategyPath, sparsity: float
    ) -> BasePruned:
        """Fit what was chosen of a branch on all the data."""
        *_, fitted = iter_path(plain, *data, [branch._replace(only=sparsity)], self.path)
        return fitted

    def predict(self, X: Any) -> Any:
        """Predict with the network that was fitted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or CSR matrix
            The predictions of ``best_estimator_``.
        """
        return self._fitted().predict(X)

    def _fitted(self) -> Any:
        """Give what was fitted, to be asked in the name of this class."""
        if "best_estimator_" not in vars(self):
            check_is_fitted(self)
        return in_name_of(self, self.best_estimator_)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can do: what the one can that it fits."""
        return self._point_class(self.estimator).__sklearn_tags__()
