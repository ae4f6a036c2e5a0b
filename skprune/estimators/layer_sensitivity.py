"""What the loss of elements of one layer costs, layer by layer."""

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skprune._sklearn import InvalidParameterError, takes_sample_weight
from skprune.components import near_match, resolve
from skprune.estimators.base import BasePruned
from skprune.estimators.folds import FoldData, Split, check_test_weights, split
from skprune.estimators.inputs import with_targets
from skprune.estimators.path import StrategyPath, branches_of, interruptible, iter_path, unfitted
from skprune.estimators.run import NetRun
from skprune.estimators.scoring import as_numbers, params_of_rows, scorers_for
from skprune.seeding import given_back
from skprune.strategies.named import STRATEGIES
from skprune.strategies.selection import n_removed
from skprune.strategies.strategy import Strategy
from skprune.structures import STRUCTURES, Elements, Structure

__all__ = ["sensitivity"]

_SPARSITIES = (0.25, 0.5, 0.75, 0.9)


def sensitivity(
    estimator: BasePruned,
    X: Any,
    y: Any = None,
    *,
    sparsities: Sequence[float] = _SPARSITIES,
    layers: Sequence[str] | None = None,
    fine_tune_epochs: int = 0,
    cv: Any = None,
    scoring: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    n_jobs: int | None = None,
) -> dict[str, Any]:
    """Score a network that is pruned in one layer alone, for each layer and several sparsities.

    On each split of the data the dense network is trained once. Each layer by itself, the others
    whole, is then pruned to each sparsity by the importance of the estimator's strategy, in one
    step, and the network is scored on the test rows.

    Parameters
    ----------
    estimator : PrunedClassifier or PrunedRegressor
        What is fitted: its net, `structure`, `protect`, and the importance of its `strategy` count;
        its `sparsity` and `budget` do not. It stays as it is.
    X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
        Inputs.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    sparsities : sequence of float, default=(0.25, 0.5, 0.75, 0.9)
        Fractions of a layer's elements, in (0, 1). One that would empty a small layer, or that
        removes as many elements of it as the one before, is left out of that layer.
    layers : sequence of str, default=None
        The layers, as ``kept_`` of a fitted estimator names them; all if None. Layers that lose
        their elements together are one, and go by the name of the first of them.
    fine_tune_epochs : int, default=0
        Epochs that what is left is trained for, before it is scored.
    cv : int, cross-validation splitter, iterable or None, default=None
        How the data are split; five folds if None.
    scoring : str, callable, list, tuple, set or dict, default=None
        What is measured, as scikit-learn's searches take it; the estimator's own ``score`` if None.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the loss, and in the scores of scorers that take them.
    groups : array-like of shape (n_samples,), default=None
        Groups of rows, for a `cv` that splits by them.
    n_jobs : int, default=None
        Splits that are worked on at the same time, as joblib counts them.

    Returns
    -------
    results : dict of str to ndarray of shape (n_points,)
        Laid out like ``cv_results_``, so that ``pandas.DataFrame`` takes it. The points go layer by
        layer, the sparsities rising from 0, the dense network: ``param_layer``,
        ``param_sparsity``, ``n_elements`` (of the layer), ``n_removed``, and for each metric
        ``split0_test_score``, ..., ``mean_test_score``, ``std_test_score``.

    Raises
    ------
    InvalidParameterError
        If there is no such layer, a sparsity is out of range, or the structure fixes the sparsity.
    UntraceableError
        If units are asked for and the network's graph cannot be followed.
    KeyboardInterrupt
        If Ctrl-C ended a training.

    See Also
    --------
    skprune.inspection.SensitivityDisplay : Draws the results.
    pruning_path : Prunes all layers together.

    References
    ----------
    Li, H., Kadav, A., Durdanovic, I., Samet, H., & Graf, H. P. (2017). Pruning filters for
    efficient ConvNets. International Conference on Learning Representations. (Figure 2b)

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier, sensitivity
    >>> X, y = load_iris(return_X_y=True)
    >>> pruned = PrunedClassifier(structure="unit", random_state=0)
    >>> results = sensitivity(pruned, X, y, sparsities=[0.5, 0.9], cv=2)
    >>> for layer, sparsity in zip(results["param_layer"], results["param_sparsity"]):
    ...     print(layer, sparsity)
    hidden0 0.0
    hidden0 0.5
    hidden0 0.9
    """
    asked = _checked(sparsities)
    strategy = resolve(estimator.strategy, STRATEGIES, "strategy", Strategy)
    X, y = with_targets(estimator, X, y)
    plain = unfitted(estimator).set_params(budget="elements", fine_tune_epochs=fine_tune_epochs)
    if not isinstance(plain.random_state, Integral):  # all splits share one
        seed = int(check_random_state(plain.random_state).randint(np.iinfo(np.int32).max))
        plain.set_params(random_state=seed)
    scorer, _ = scorers_for(plain, scoring, None)
    takes_weights = sample_weight is not None and takes_sample_weight(scorer)
    score_params = {"sample_weight": sample_weight} if takes_weights else {}
    with given_back(), interruptible():
        sizes, min_kept = _elements_of(unfitted(plain), X, y, sample_weight)
        chosen = _chosen(layers, sizes)
        branches = [
            StrategyPath(_alone(strategy, layer, sizes), mine)
            for layer in chosen
            if (mine := _within_reach(asked, sizes[layer], min_kept[layer]))
        ]
        for branch in branches:
            branches_of(unfitted(plain), X, y, sample_weight, branch.strategy, branch.sparsities)
        data = FoldData.of(X, y, sample_weight, groups)
        of_split = {} if groups is None else {"groups": groups}
        splits = split(cv, data, of_split, classifier=is_classifier(plain))
        check_test_weights(splits, score_params.get("sample_weight"))
        folds = Parallel(n_jobs=n_jobs)(
            delayed(_scores)(plain, data, fold, branches, scorer, score_params) for fold in splits
        )
    reached = {layer: _within_reach(asked, sizes[layer], min_kept[layer]) for layer in chosen}
    return _table(reached, sizes, folds)


def _checked(sparsities: Sequence[float]) -> list[float]:
    values = sorted({float(value) for value in np.asarray(sparsities, dtype=float).ravel()})
    if not values or not all(0 < value < 1 for value in values):
        raise InvalidParameterError(
            f"sparsities must be one or more numbers in (0, 1); got {sparsities!r}."
        )
    return values


def _elements_of(
    estimator: BasePruned, X: Any, y: Any, sample_weight: Any
) -> tuple[dict[str, int], dict[str, int]]:
    """Count the elements of each layer, and those that it has to keep."""
    structure = resolve(estimator.structure, STRUCTURES, "structure", Structure).validated()
    dense, _ = estimator._prepare(X, y, sample_weight, at_init=False)
    elements: Elements = NetRun(
        dense, Strategy().resolved(), structure, estimator.protect or (), only_named=False
    ).elements
    if elements.fixed_sparsity is not None:
        raise InvalidParameterError(
            f"structure={estimator.structure!r} fixes the sparsity of every layer, so that there "
            "is nothing to compare. Use 'weight', 'unit' or another structure that does not."
        )
    return elements.sizes, elements.min_kept


def _chosen(layers: Sequence[str] | None, sizes: Mapping[str, int]) -> list[str]:
    if layers is None:
        return list(sizes)
    for layer in layers:
        if layer not in sizes:
            raise InvalidParameterError(
                f"There is no layer {layer!r} to prune.{near_match(layer, sizes)} Layers that can "
                f"be pruned: {', '.join(map(repr, sizes))}."
            )
    return list(layers)


def _alone(strategy: Strategy, layer: str, sizes: Mapping[str, int]) -> Strategy:
    """Prune one layer, and let the others out of the count."""
    allocation: dict[str, Any] = dict.fromkeys(sizes)
    allocation[layer] = (0, 1)
    return Strategy(importance=strategy.importance, allocation=allocation)


def _within_reach(sparsities: Sequence[float], size: int, min_kept: int) -> list[float]:
    removed: dict[int, float] = {}
    for sparsity in sparsities:
        count = n_removed(sparsity, size)
        if 0 < count <= size - min_kept:
            removed.setdefault(count, sparsity)
    return list(removed.values())


def _scores(
    plain: BasePruned,
    data: FoldData,
    fold: Split,
    branches: Sequence[StrategyPath],
    scorer: Any,
    score_params: Mapping[str, Any],
) -> list[dict[str, float]]:
    """Score the dense network and each point on the test rows of a split."""
    train, test = data.rows(fold.train), data.rows(fold.test)
    of_test = params_of_rows(data.X, score_params, fold.test)
    fitted: Iterator[BasePruned] = iter_path(plain, *train, branches, "restart")
    return [as_numbers(scorer(point, test.X, test.y, **of_test)) for point in fitted]


def _table(
    reached: Mapping[str, Sequence[float]],
    sizes: Mapping[str, int],
    folds: Sequence[Sequence[Mapping[str, float]]],
) -> dict[str, Any]:
    places, points, n_pruned = [], [], 0
    for layer, sparsities in reached.items():
        points += [(layer, sparsity) for sparsity in (0.0, *sparsities)]
        # The dense network comes first among what was fitted, once for all layers.
        places += [0, *range(1 + n_pruned, 1 + n_pruned + len(sparsities))]
        n_pruned += len(sparsities)
    results: dict[str, Any] = {
        "param_layer": np.ma.array([layer for layer, _ in points], dtype=object),
        "param_sparsity": np.ma.array([sparsity for _, sparsity in points]),
        "params": [{"layer": layer, "sparsity": sparsity} for layer, sparsity in points],
        "n_elements": np.array([sizes[layer] for layer, _ in points]),
        "n_removed": np.array([n_removed(s, sizes[layer]) for layer, s in points]),
    }
    for metric in folds[0][0]:
        scores = np.array([[fold[place][metric] for place in places] for fold in folds])
        for number, of_fold in enumerate(scores):
            results[f"split{number}_test_{metric}"] = of_fold
        results[f"mean_test_{metric}"] = scores.mean(axis=0)
        results[f"std_test_{metric}"] = scores.std(axis=0)
    return results
