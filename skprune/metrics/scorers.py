"""Sizes and costs as scorers, beside accuracy in any search."""

from collections.abc import Callable
from typing import Any

from sklearn.pipeline import Pipeline

from skprune.metrics.latency import predict_latency
from skprune.metrics.report import PruningReport

__all__ = [
    "compression_scorer",
    "latency_scorer",
    "macs_scorer",
    "n_parameters_scorer",
    "size_scorer",
    "sparsity_scorer",
]


def sparsity_scorer(estimator: Any, X: Any = None, y: Any = None) -> float:
    """Score the fraction of the structure's elements that is gone.

    Parameters
    ----------
    estimator : object
        A fitted pruned estimator, by itself, at the end of a ``Pipeline``, or inside a search.
    X, y : object
        Not used.

    Returns
    -------
    score : float
        ``sparsity_``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier
    >>> from skprune.metrics import sparsity_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> round(sparsity_scorer(PrunedClassifier(sparsity=0.8, random_state=0).fit(X, y)), 6)
    0.8
    """
    return float(pruned_part(estimator).sparsity_)


def compression_scorer(estimator: Any, X: Any = None, y: Any = None) -> float:
    """Score the compression ratio: parameters of the dense network over those that remain.

    Parameters
    ----------
    estimator : object
        A fitted pruned estimator, by itself, at the end of a ``Pipeline``, or inside a search.
    X, y : object
        Not used.

    Returns
    -------
    score : float
        At least 1.
    """
    return float(_report(estimator).compression_ratio)


def n_parameters_scorer(estimator: Any, X: Any = None, y: Any = None) -> float:
    """Score the number of parameters that remain, negated.

    Parameters
    ----------
    estimator : object
        A fitted pruned estimator, by itself, at the end of a ``Pipeline``, or inside a search.
    X, y : object
        Not used.

    Returns
    -------
    score : float
        Minus the number, since the greater of two scores is the better one.
    """
    return -float(_report(estimator).total_after.parameters)


def macs_scorer(estimator: Any, X: Any = None, y: Any = None) -> float:
    """Score the multiply-accumulates of a prediction, negated.

    Parameters
    ----------
    estimator : object
        A fitted pruned estimator, by itself, at the end of a ``Pipeline``, or inside a search.
    X, y : object
        Not used.

    Returns
    -------
    score : float
        Minus the number for a row, since the greater of two scores is the better one.
    """
    return -float(_report(estimator).total_after.macs)


def size_scorer(estimator: Any, X: Any = None, y: Any = None) -> float:
    """Score the bytes that the network's tensors take, negated.

    Parameters
    ----------
    estimator : object
        A fitted pruned estimator, by itself, at the end of a ``Pipeline``, or inside a search.
    X, y : object
        Not used.

    Returns
    -------
    score : float
        Minus the number of bytes, since the greater of two scores is the better one.
    """
    return -float(_report(estimator).total_after.bytes)


def latency_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Score the time of a prediction for all rows, negated.

    Parameters
    ----------
    estimator : object
        Any fitted estimator; the whole of it is timed, a ``Pipeline`` with all its steps.
    X : array-like of shape (n_samples, ...)
        What it predicts for.
    y : object
        Not used.

    Returns
    -------
    score : float
        Minus the median of several measurements, in seconds. It varies from run to run.
    """
    return -predict_latency(estimator.predict, X, repeats=5, warm_up=1)


SCORERS: dict[str, Callable[..., float]] = {
    "sparsity": sparsity_scorer,
    "compression": compression_scorer,
    "n_parameters": n_parameters_scorer,
    "macs": macs_scorer,
    "size": size_scorer,
    "latency": latency_scorer,
}


def pruned_part(estimator: Any) -> Any:
    """Find the pruned estimator inside another.

    Parameters
    ----------
    estimator : object
        A fitted pruned estimator, a ``Pipeline`` that ends in one, or a search or other
        meta-estimator around one.

    Returns
    -------
    pruned : object
        The fitted pruned estimator.

    Raises
    ------
    TypeError
        If there is none.
    """
    part = estimator
    while not isinstance(getattr(part, "report_", None), PruningReport):
        if isinstance(part, Pipeline):
            part = part[-1]
            continue
        inner = (getattr(part, name, None) for name in _INNER)
        part = next((candidate for candidate in inner if candidate is not None), None)
        if part is None:
            raise TypeError(
                f"{type(estimator).__name__} is no fitted pruned estimator, and has none inside. "
                "This scorer measures PrunedClassifier and PrunedRegressor, by themselves, at the "
                "end of a Pipeline, or inside a search."
            )
    return part


# Where scikit-learn's meta-estimators keep what they have fitted; FrozenEstimator comes last, since
# the others too have an `estimator`, which is not fitted.
_INNER = ("best_estimator_", "estimator_", "regressor_", "classifier_", "estimator")


def _report(estimator: Any) -> PruningReport:
    return pruned_part(estimator).report_
