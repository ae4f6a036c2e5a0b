"""Which search a picture is of, and by which metric it chose."""

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

__all__ = ["refit_metric", "search_in"]


def search_in(estimator: Any, attribute: str = "cv_results_", who: str | None = None) -> Any:
    """Find the fitted search in an estimator: itself, or the last step of a ``Pipeline``.

    Parameters
    ----------
    estimator : object
        What the user gave.
    attribute : str, default="cv_results_"
        The attribute that it is needed for.
    who : str, default=None
        Says who has the attribute, for the message; skprune's searches if None.

    Returns
    -------
    search : object
        What has the attribute.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If it is fitted and has no such attribute.
    """
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    if not hasattr(estimator, attribute):
        check_is_fitted(estimator)
        searches = who or "PrunedClassifierCV and PrunedRegressorCV have it"
        if attribute == "cv_results_":
            searches += ", and searches such as GridSearchCV"
        raise TypeError(f"{type(estimator).__name__} has no {attribute}. {searches}.")
    return estimator


def refit_metric(search: Any) -> str | None:
    """Name the metric by which a search chose; None where it does not say.

    Parameters
    ----------
    search : object
        A fitted search: skprune's, which keeps the name, or another, whose ``refit`` may be the
        name of a metric, or a rule that has one as ``scoring``.

    Returns
    -------
    metric : str or None
        The name.
    """
    refit = getattr(search, "refit", None)
    metric = getattr(search, "metric_", getattr(refit, "scoring", refit))
    return metric if isinstance(metric, str) else None
