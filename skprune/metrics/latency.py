"""How long a prediction takes."""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

__all__ = ["predict_latency"]


def predict_latency(
    predict: Callable[[Any], Any], X: Any, *, repeats: int = 11, warm_up: int = 3
) -> float:
    """Measure the time of a prediction.

    Parameters
    ----------
    predict : callable
        For example an estimator's ``predict``.
    X : array-like
        What to predict for.
    repeats : int, default=11
        How many times to measure.
    warm_up : int, default=3
        How many predictions are made before, without being measured.

    Returns
    -------
    seconds : float
        The median.

    Examples
    --------
    >>> from skprune.metrics import predict_latency
    >>> predict_latency(len, [0, 1, 2]) < 1.0
    True
    """
    for _ in range(warm_up):
        predict(X)
    times = []
    for _ in range(repeats):
        start = perf_counter()
        predict(X)
        times.append(perf_counter() - start)
    return median(times)
