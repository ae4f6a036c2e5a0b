"""What the cross-validated classifier and regressor share: judge a path, choose, refit."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from numbers import Integral
from time import perf_counter
from typing import Any, ClassVar, NamedTuple, Self
from warnings import warn

import numpy as np
from scipy.sparse import issparse
from scipy.stats import rankdata
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state, indexable
from sklearn.utils.parallel import Parallel, delayed

from skprune._sklearn import (
    Interval,
    InvalidParameterError,
    StrOptions,
    fit_context,
    raise_for_params,
    safe_indexing,
)
from skprune.estimators.base import BasePruned, as_it_was_on_error
from skprune.estimators.inputs import as_dense, with_targets
from skprune.estimators.path import (
    PATHS,
    StrategyPath,
    branches_of,
    interruptible,
    iter_path,
    n_fits_of,
)
from skprune.estimators.run import found_again
from skprune.estimators.scoring import (
    ScoresAsChosen,
    as_numbers,
    params_of_rows,
    routed,
    scorers_for,
)
from skprune.model_selection.candidates import Candidates
from skprune.model_selection.refit import sparsest_within
from skprune.model_selection.stability import mask_stability, prediction_churn, recall_change
from skprune.strategies.strategy import Strategy
from skprune.training.progress import progress_bar

__all__ = ["BasePrunedCV"]


class BasePrunedCV(ScoresAsChosen, BasePruned):
    """Judges strategies and sparsities by cross-validation, chooses, and fits what it chose."""

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {"structure": BasePruned.axes["structure"]}

    _parameter_constraints: ClassVar[dict] = {
        **{
            name: constraint
            for name, constraint in BasePruned._parameter_constraints.items()
            if name not in ("strategy", "sparsity")
        },
        "strategies": [str, Strategy, list, tuple],
        "sparsities": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "path": [StrOptions(set(PATHS))],
        "cv": ["cv_object"],
        "scoring": [None, str, callable, list, tuple, set, dict],
        "selection": [StrOptions({"best", "one_std_err"}), callable],
        "n_jobs": [Integral, None],
    }

    # The estimator that is fitted at each point.
    _point_class: ClassVar[type[BasePruned]]

    strategies: Any
    sparsities: Any
    path: str
    cv: Any
    scoring: Any
    selection: Any
    n_jobs: int | None
    cv_results_: dict[str, Any]

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
            self._judge(X, y, {"sample_weight": sample_weight, "groups": groups, **params})
        return self

    def _judge(self, X: Any, y: Any, metadata: dict[str, Any]) -> None:
        plain = self._estimator()
        scorer, deciding = scorers_for(plain, self.scoring, self._own_metric())
        self._check_cost()
        score_params, split_params = routed(self, "fit", scorer, metadata)
        # A request for no weights says that they are for the scores alone.
        ignores_weights = plain.get_metadata_routing().fit.requests.get("sample_weight") is False
        sample_weight = None if ignores_weights else metadata["sample_weight"]
        X, y = with_targets(self, X, y)
        # What is wrong with the data is told in the name of this class.
        branches = branches_of(self, X, y, sample_weight, self.strategies, self.sparsities)
        names = _names(branches)
        X, y, sample_weight, _ = _indexable(X, y, sample_weight, metadata["groups"])
        splits = self._splits(X, y, split_params)
        _check_test_weights(splits, score_params.get("sample_weight"))
        with interruptible():
            folds = []
            n_fits = n_fits_of(branches)
            n_all = n_fits * len(splits)
            with progress_bar(type(self).__name__, n_all, "fit", shown=self.verbose > 0) as bar:
                for fold in self._parallel(
                    delayed(_judge_fold)(
                        plain,
                        X,
                        y,
                        sample_weight,
                        train,
                        test,
                        branches,
                        self.path,
                        scorer,
                        score_params,
                    )
                    for train, test in splits
                ):
                    folds.append(fold)
                    if bar is not None:
                        bar.update(n_fits)
            results = _cv_results(branches, folds)
            metric = self._own_metric() or next(iter(folds[0].dense.scores))
            index = self._choose(results, metric)
            owners = [branch for branch in branches for _ in branch.sparsities]
            began = perf_counter()
            self._refit(plain, X, y, sample_weight, owners[index], results["params"][index])
        n_points = [len(branch.sparsities) for branch in branches]
        self.refit_time_ = perf_counter() - began
        self.cv_results_ = results
        self.metric_, self.scorer_ = metric, deciding
        self.best_index_ = index
        self.best_params_ = results["params"][index]
        self.best_score_ = float(results[f"mean_test_{metric}"][index])
        self.strategy_ = self.best_params_["strategy"]
        self.sparsities_ = np.unique([p["sparsity"] for p in results["params"]])
        self.score_path_ = np.array([[p.scores[metric] for p in f.points] for f in folds]).T
        self.dense_scores_ = {
            name: np.array([fold.dense.scores[name] for fold in folds])
            for name in folds[0].dense.scores
        }
        self.dense_fit_times_ = np.array([fold.dense.fit_time for fold in folds])
        points = np.split(np.arange(sum(n_points)), np.cumsum(n_points)[:-1])
        classes = getattr(self, "classes_", None)
        self.stability_ = {
            name: {
                "sparsity": np.array(branch.sparsities),
                **_stability(y, splits, folds, mine, classes),
            }
            for name, branch, mine in zip(names, branches, points, strict=True)
        }

    def _parallel(self, calls: Any) -> Any:
        # A list is what every backend can give; only to show progress are folds taken one by one.
        options = {"return_as": "generator"} if self.verbose else {}
        return Parallel(n_jobs=self.n_jobs, **options)(calls)

    def _estimator(self) -> BasePruned:
        """Make the estimator that is fitted at each point."""
        names = self._point_class._get_param_names()
        params = {name: getattr(self, name) for name in names if hasattr(self, name)}
        params["verbose"] = 0
        seed = self.random_state
        params["memory"] = found_again(self.memory, seed)
        if not isinstance(seed, Integral):  # all folds, and the last fit, share one
            params["random_state"] = int(check_random_state(seed).randint(np.iinfo(np.int32).max))
        return self._asking_alike(self._point_class(**params))

    def _splits(
        self, X: Any, y: Any, params: Mapping[str, Any]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        first = next(iter(X.values())) if isinstance(X, Mapping) else X
        cv = check_cv(self.cv, y, classifier=is_classifier(self))
        splits = [
            (_as_indices(train), _as_indices(test)) for train, test in cv.split(first, y, **params)
        ]
        labels = np.asarray(as_dense(y))
        if is_classifier(self) and (labels.ndim == 1 or labels.shape[1] == 1):
            classes = np.unique(labels)
            for number, (train, _) in enumerate(splits):
                absent = np.setdiff1d(classes, labels[train]).tolist()
                if absent:
                    n_rows = int((labels == absent[0]).sum())
                    raise ValueError(
                        f"Fold {number} trains without class {absent[0]!r}, which has {n_rows} "
                        f"row{'' if n_rows == 1 else 's'}. Use fewer folds, or a "
                        "StratifiedKFold that shuffles."
                    )
        return splits

    def _choose(self, results: Mapping[str, Any], metric: str) -> int:
        mean = Candidates(results).means(metric)
        failed = np.flatnonzero(np.isnan(mean))
        if callable(self.selection) and self._own_metric() is None:
            failed = failed[:0]  # what such a function looks at is not known
        if len(failed) == len(mean):
            raise ValueError(
                f"The score {metric!r} is NaN at every sparsity: there is nothing to choose from."
            )
        if len(failed):
            params = results["params"][failed[0]]
            warn(
                f"The score {metric!r} is NaN for {len(failed)} of {len(mean)} candidates, such as "
                f"sparsity={params['sparsity']:.6g}, strategy={params['strategy']!r}: they are not "
                "chosen.",
                UserWarning,
                stacklevel=5,
            )
        if callable(self.selection):
            index = self.selection(results)
            if not isinstance(index, Integral) or not 0 <= int(index) < len(mean):
                raise ValueError(
                    f"selection must return the index of one of {len(mean)} candidates; it "
                    f"returned {index!r}."
                )
            return int(index)
        # Of equally good ones, the sparsest.
        slack = {"tolerance": 0.0} if self.selection == "best" else {"n_std_err": 1.0}
        return sparsest_within(metric, **slack, cost="sparsity")(results)

    def _refit(
        self,
        plain: BasePruned,
        X: Any,
        y: Any,
        sample_weight: Any,
        branch: StrategyPath,
        chosen: Mapping[str, Any],
    ) -> None:
        """Fit what was chosen of a branch on all the data, and take over what it learned."""
        wanted = [s for s in branch.sparsities if s <= chosen["sparsity"]]
        if self.path == "restart":
            wanted = wanted[-1:]
        *_, fitted = iter_path(
            plain, X, y, sample_weight, [StrategyPath(branch.strategy, wanted)], self.path
        )
        for name in ("n_features_in_", "feature_names_in_", "_keys", "_by_rows"):
            self.__dict__.pop(name, None)  # of an earlier fit, whose data may have had others
        params = fitted.get_params(deep=False)
        for name, value in vars(fitted).items():
            if name not in params:
                setattr(self, name, value)

    @property
    def partial_fit(self) -> Any:
        """What was chosen for some data is not trained on with others, unlike a plain estimator."""
        raise AttributeError(
            f"{type(self).__name__!r} has no 'partial_fit'. Fit a "
            f"{self._point_class.__name__} with best_params_ for that."
        )


class _Point(NamedTuple):
    """What is known of one fitted estimator."""

    fit_time: float
    score_time: float
    scores: dict[str, float]
    mask: np.ndarray  # of bits
    n_weights: int
    predictions: Any  # for all rows; None for a regressor


class _Fold(NamedTuple):
    dense: _Point
    points: list[_Point]


def _judge_fold(
    plain: BasePruned,
    X: Any,
    y: Any,
    sample_weight: Any,
    train: np.ndarray,
    test: np.ndarray,
    branches: Sequence[StrategyPath],
    path: str,
    scorer: Callable[..., Any],
    score_params: Mapping[str, Any],
) -> _Fold:
    """Go along the path on some rows, and score it on others."""
    weights = None if sample_weight is None else safe_indexing(sample_weight, train)
    X_test, y_test = _rows(X, test), safe_indexing(y, test)
    of_test = params_of_rows(X, score_params, test)
    points = []
    steps = iter_path(plain, _rows(X, train), safe_indexing(y, train), weights, branches, path)
    began = perf_counter()
    for fitted in steps:
        done = perf_counter()
        scores = as_numbers(scorer(fitted, X_test, y_test, **of_test))
        scored = perf_counter()
        mask = np.concatenate([mask.ravel() for mask in fitted.masks_.values()])
        points.append(
            _Point(
                done - began,
                scored - done,
                scores,
                np.packbits(mask),
                len(mask),
                as_dense(fitted.predict(X)) if is_classifier(fitted) else None,
            )
        )
        began = perf_counter()
    return _Fold(points[0], points[1:])


def _rows(X: Any, rows: np.ndarray) -> Any:
    if isinstance(X, Mapping):
        return {key: safe_indexing(value, rows) for key, value in X.items()}
    return safe_indexing(X, rows)


def _indexable(X: Any, *others: Any) -> list[Any]:
    """Make rows of data accessible by their numbers."""
    if not isinstance(X, Mapping) or issparse(X):  # some sparse matrices of SciPy are mappings too
        return indexable(X, *others)
    values = indexable(*X.values(), *others)
    return [dict(zip(X, values, strict=False)), *values[len(X) :]]


def _check_test_weights(splits: Sequence[tuple[np.ndarray, np.ndarray]], weights: Any) -> None:
    if weights is None:
        return
    for number, (_, test) in enumerate(splits):
        if not np.asarray(weights)[test].any():
            raise ValueError(
                f"Fold {number} has no test row with a weight above 0, so that it has no score. "
                "Use fewer folds, or a cv that shuffles."
            )


def _as_indices(rows: Any) -> np.ndarray:
    """Give the numbers of rows; a splitter may yield a mask of them."""
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


def _names(branches: Sequence[StrategyPath]) -> list[str]:
    """Name the strategies; those that look the same, such as by their teachers, get a number."""
    strategies = [branch.strategy for branch in branches]
    texts = [s if isinstance(s, str) else repr(s) for s in strategies]
    names: list[str] = []
    for number, text in enumerate(texts):
        if strategies[number] in strategies[:number]:
            raise InvalidParameterError(f"strategies has {text} twice.")
        before = texts[:number].count(text)
        names.append(f"{text} ({before + 1})" if before else text)
    return names


def _cv_results(branches: Sequence[StrategyPath], folds: Sequence[_Fold]) -> dict[str, Any]:
    """Lay results out as scikit-learn's searches do."""
    params = [
        {"strategy": branch.strategy, "sparsity": sparsity}
        for branch in branches
        for sparsity in branch.sparsities
    ]
    results: dict[str, Any] = {}
    for key in ("fit_time", "score_time"):
        times = np.array([[getattr(point, key) for point in fold.points] for fold in folds])
        results |= {f"mean_{key}": times.mean(axis=0), f"std_{key}": times.std(axis=0)}
    for key, dtype in (("strategy", object), ("sparsity", float)):
        values = np.ma.masked_all(len(params), dtype=dtype)
        for number, point in enumerate(params):
            values[number] = point[key]
        results[f"param_{key}"] = values
    results["params"] = params
    for metric in folds[0].points[0].scores:
        scores = np.array([[point.scores[metric] for point in fold.points] for fold in folds])
        for number, fold_scores in enumerate(scores):
            results[f"split{number}_test_{metric}"] = fold_scores
        mean = scores.mean(axis=0)
        results[f"mean_test_{metric}"] = mean
        results[f"std_test_{metric}"] = scores.std(axis=0)
        ranked = np.where(np.isnan(mean), -np.inf, mean)
        results[f"rank_test_{metric}"] = rankdata(-ranked, method="min").astype(np.int32)
    return results


def _stability(
    y: Any,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    folds: Sequence[_Fold],
    points: np.ndarray,
    classes: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Measure how stable pruning is, over the folds, at each of some points."""
    stability: dict[str, list[Any]] = {"mask": [], "mask_lower": [], "mask_upper": []}
    labels = np.asarray(y)
    classifies = folds[0].dense.predictions is not None
    if classifies:
        stability |= {"churn": [], "churn_between_folds": []}
    by_class = [] if classes is None or folds[0].dense.predictions.ndim > 1 else classes.tolist()
    if by_class:
        stability["recall_change"] = []
    for number in points:
        of_folds = [fold.points[number] for fold in folds]
        masks = [np.unpackbits(p.mask, count=p.n_weights).astype(bool) for p in of_folds]
        try:
            mask = mask_stability(masks)[:3]
        except ValueError:  # one fold, or nothing removed: there is nothing to compare
            mask = (np.nan, np.nan, np.nan)
        for key, value in zip(("mask", "mask_lower", "mask_upper"), mask, strict=True):
            stability[key].append(value)
        if not classifies:
            continue
        tests = [test for _, test in splits]
        dense = np.concatenate([f.dense.predictions[t] for f, t in zip(folds, tests, strict=True)])
        pruned = np.concatenate([p.predictions[t] for p, t in zip(of_folds, tests, strict=True)])
        stability["churn"].append(prediction_churn(dense, pruned))
        pairs = [
            prediction_churn(a.predictions, b.predictions) for a, b in combinations(of_folds, 2)
        ]
        stability["churn_between_folds"].append(np.mean(pairs) if pairs else np.nan)
        if by_class:
            change = recall_change(labels.ravel()[np.concatenate(tests)], dense, pruned)
            stability["recall_change"].append([change.get(label, np.nan) for label in by_class])
    return {key: np.array(values) for key, values in stability.items()}
