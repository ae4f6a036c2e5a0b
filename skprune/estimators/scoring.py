"""What a cross-validated estimator scores by, and the metadata that its scorers ask for."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from numbers import Number
from typing import Any, ClassVar

import numpy as np
from sklearn import get_config
from sklearn.metrics import check_scoring
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted

from skprune._sklearn import check_method_params, raise_for_params, takes_sample_weight
from skprune.components import near_match
from skprune.estimators.base import BasePruned
from skprune.estimators.inputs import with_targets

__all__ = ["ScoresAsChosen", "as_numbers", "params_of_rows", "routed", "scorers_for"]


class ScoresAsChosen:
    """Scores a fitted estimator by what chose it, and says who asks for which metadata."""

    # The groups are asked for by a splitter, not by the estimator.
    __metadata_request__fit: ClassVar[dict[str, str]] = {"groups": UNUSED}

    # The estimator that is fitted at each point.
    _point_class: ClassVar[type[BasePruned]]

    cv: Any
    scoring: Any
    selection: Any
    best_estimator_: BasePruned
    metric_: str
    scorer_: Callable[..., Any]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None, **params: Any) -> float:
        """Score the network that was fitted by what decided in the cross-validation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the score.
        **params : dict of str to object
            Other metadata that the scorer asks for; under metadata routing alone.

        Returns
        -------
        score : float
            The score by ``scorer_``: by `scoring`, or the metric of it that decided (``metric_``);
            the accuracy of a classifier and the R2 of a regressor if `scoring` is None.

        Raises
        ------
        ValueError
            If there are weights that the scorer cannot take.
        TypeError
            If the scorer does not ask for a metadata that is given.
        """
        check_is_fitted(self)
        raise_for_params(params, self, "score")
        params["sample_weight"] = sample_weight
        X, y = with_targets(self.best_estimator_, X, y, reset=False)
        for_scorer, _ = routed(self, "score", self.scorer_, params)
        routing = get_config()["enable_metadata_routing"]
        if sample_weight is not None and not for_scorer and not routing:
            raise ValueError(f"scoring={self.scoring!r} takes no sample_weight.")
        scores = as_numbers(self.scorer_(self.best_estimator_, X, y, **for_scorer))
        # A function of several metrics has names for them; any other scorer gives one number.
        return scores[self.metric_] if self.metric_ in scores else scores["score"]

    def get_metadata_routing(self) -> MetadataRouter:
        """Say who asks for which metadata: the estimator itself, `scoring`, and `cv`.

        Returns
        -------
        routing : MetadataRouter
            For scikit-learn's metadata routing.
        """
        plain = self._asking_alike(self._point_class())
        scorer, deciding = scorers_for(plain, self.scoring, self._own_metric())
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(scorer=scorer, method_mapping=MethodMapping().add(caller="fit", callee="score"))
            .add(
                deciding=deciding,
                method_mapping=MethodMapping().add(caller="score", callee="score"),
            )
            .add(splitter=self.cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
        )

    def _own_metric(self) -> str | None:
        """Name the metric of a rule that says which it judges by, as sparsest_within does."""
        metric = getattr(self.selection, "scoring", None)
        return metric if isinstance(metric, str) else None

    def _check_cost(self) -> None:
        """Raise an error if a rule looks at a cost that nothing measures."""
        cost = getattr(self.selection, "cost", None)
        if not isinstance(cost, str) or cost == "sparsity" or callable(self.scoring):
            return
        several = isinstance(self.scoring, (list, tuple, set, Mapping))
        names = list(self.scoring) if several else ["score"]
        if cost not in names:
            raise ValueError(
                f"selection looks at cost={cost!r}, which scoring does not measure. Use "
                f"cost='sparsity', or have scoring measure it. Its metrics: "
                f"{', '.join(map(repr, names))}."
            )

    def _asking_alike(self, plain: BasePruned) -> BasePruned:
        """Let a plain estimator ask for the metadata that this one was told to ask for."""
        if hasattr(self, "_metadata_request"):
            plain._metadata_request = deepcopy(self._metadata_request)
        return plain


def scorers_for(
    estimator: Any, scoring: Any, metric: str | None
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make the scorer of all metrics, and the one of the metric that decides.

    Parameters
    ----------
    estimator : estimator
        What is scored; it scores itself if `scoring` is None.
    scoring : None, str, callable, list, tuple, set or dict
        What is measured, as scikit-learn's searches take it.
    metric : str or None
        Name of the metric that decides; None is the first (of a set, by name).

    Returns
    -------
    scorer : callable
        Gives the scores by all metrics.
    deciding : callable
        Gives the one that decides. It is the same scorer where there is only one.

    Raises
    ------
    ValueError
        If `scoring` names several metrics and none of them is `metric`.
    """
    # A set has no order, and one of its metrics decides.
    scoring = sorted(scoring) if isinstance(scoring, set) else scoring
    scorer = check_scoring(estimator, scoring)
    if not isinstance(scoring, (list, tuple, Mapping)):
        return scorer, scorer
    names = list(scoring)
    metric = names[0] if metric is None else metric
    if metric not in names:
        raise ValueError(
            f"selection goes by a metric of scoring, which has no metric {metric!r}."
            f"{near_match(metric, names)} Its metrics: {', '.join(map(repr, names))}."
        )
    return scorer, check_scoring(
        estimator, scoring[metric] if isinstance(scoring, Mapping) else metric
    )


def routed(
    router: Any, method: str, scorer: Callable[..., Any], params: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Say what a scorer and a splitter are given of the metadata that a method got.

    Parameters
    ----------
    router : object
        Whose ``get_metadata_routing`` tells who asked for what. Without metadata routing the
        splitter has the groups, and the scorer the weights if it can take them.
    method : {"fit", "score"}
        The method that was called.
    scorer : callable
        The scorer.
    params : mapping of str to object
        What it was called with; None counts as not given.

    Returns
    -------
    for_scorer, for_splitter : dict of str to object
        The metadata by their names.

    Raises
    ------
    TypeError
        If nobody asks for something.
    UnsetMetadataPassedError
        If somebody knows it, and was not told whether to ask for it.
    """
    params = {name: value for name, value in params.items() if value is not None}
    if get_config()["enable_metadata_routing"]:
        found = process_routing(router, method, **params)
        if method == "score":
            return dict(found.deciding.score), {}
        return dict(found.scorer.score), dict(found.splitter.split)
    for_scorer = ["sample_weight"] if takes_sample_weight(scorer) else []
    return (
        {name: value for name, value in params.items() if name in for_scorer},
        {name: value for name, value in params.items() if name == "groups"},
    )


def params_of_rows(X: Any, params: Mapping[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Take some rows of what has a value for each row of X, and the rest as it is."""
    first = next(iter(X.values())) if isinstance(X, Mapping) else X
    return check_method_params(first, params, indices=rows)


def as_numbers(scores: Any) -> dict[str, float]:
    """Check what a scorer returned, by metric, as scikit-learn does in a search."""
    by_metric = dict(scores) if isinstance(scores, Mapping) else {"score": scores}
    for metric, score in by_metric.items():
        with suppress(AttributeError, TypeError, ValueError):
            by_metric[metric] = score.item()
        if not isinstance(by_metric[metric], Number):
            raise ValueError(
                f"scoring must return a number; for {metric!r} it returned {score!r}, a "
                f"{type(score).__name__}."
            )
    return by_metric
