"""The score against a cost: what no other candidate beats in both."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from skprune.inspection._drawing import (
    add_legend,
    axes_for,
    extra_sizes,
    figsize_for,
    foreground,
    in_words,
    look_of,
    mark_chosen,
    use_cost_axis,
    use_sparsity_axis,
)
from skprune.inspection._labels import group_labels
from skprune.inspection._search import refit_metric, search_in
from skprune.model_selection.candidates import Candidates
from skprune.model_selection.pareto import pareto_front

__all__ = ["ParetoDisplay"]

# What skprune's scorers measure, and the unit that the axis counts in.
_COSTS = {
    "macs": ("Multiply-accumulates of a prediction", ""),
    "n_parameters": ("Parameters", ""),
    "size": ("Size", "B"),
    "latency": ("Latency", "s"),
    "compression": ("Compression ratio", ""),
}


class ParetoDisplay:
    """The score against a cost; the candidates that no other beats in both stand out.

    Make one by :meth:`from_estimator` or :meth:`from_cv_results`.

    Parameters
    ----------
    scores, costs : ndarray of shape (n_candidates,)
        The mean scores, and the costs as they are measured (positive).
    labels : sequence of str of length n_candidates
        To which group each candidate belongs, such as its strategy.
    front : ndarray of int
        The candidates that no other beats, the cheapest first.
    score_name, cost_name : str, default="score" and "macs"
        Names of the metrics.
    chosen : (float, float), default=None
        Cost and score of the candidate that was chosen.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure that it is part of.
    points_, beaten_ : dict of str to matplotlib Line2D
        The candidates of each group: filled on the front, hollow where another beats them.
    front_ : matplotlib Line2D
        The line through the front: the best score that is to be had at a cost.
    chosen_ : matplotlib Line2D or None
        The mark around the candidate that was chosen.

    See Also
    --------
    skprune.model_selection.pareto_front : Finds the candidates of the front.
    PruningPathDisplay : The score against the sparsity.

    Examples
    --------
    >>> from skprune.inspection import ParetoDisplay
    >>> results = {
    ...     "param_strategy": ["magnitude", "random", "magnitude", "random"],
    ...     "mean_test_score": [0.95, 0.85, 0.90, 0.60],
    ...     "mean_test_macs": [-3000.0, -3000.0, -1000.0, -1000.0],
    ... }
    >>> display = ParetoDisplay.from_cv_results(results)
    >>> display.front
    array([2, 0])
    >>> display.costs
    array([3000., 3000., 1000., 1000.])
    """

    ax_: Any
    figure_: Any

    def __init__(
        self,
        *,
        scores: np.ndarray,
        costs: np.ndarray,
        labels: Sequence[str],
        front: np.ndarray,
        score_name: str = "score",
        cost_name: str = "macs",
        chosen: tuple[float, float] | None = None,
    ) -> None:
        self.scores = scores
        self.costs = costs
        self.labels = labels
        self.front = front
        self.score_name = score_name
        self.cost_name = cost_name
        self.chosen = chosen

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        scoring: str | None = None,
        cost: str = "macs",
        by: str | Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw what a fitted search found.

        Parameters
        ----------
        estimator : object
            A fitted ``PrunedClassifierCV`` or ``PrunedRegressorCV``, a search of scikit-learn, or a
            ``Pipeline`` that ends in one.
        scoring : str, default=None
            Name of the metric that is to be good; None is the one that decided in the search,
            or the only one beside costs.
        cost : str, default="macs"
            Name of the metric that is to be cheap; see :meth:`from_cv_results`.
        by : str or sequence of str, default=None
            Parameters that have a colour for each value; see :meth:`from_cv_results`.
        labels : sequence of str, default=None
            Names of the groups, in the order in which the search has them; None are the
            strategies and the values of the parameters, shortened to what tells them apart.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : ParetoDisplay
            The picture.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the search has no such metric, or `labels` are not one a group.
        """
        search = search_in(estimator)
        return cls.from_cv_results(
            search.cv_results_,
            scoring=Candidates(search.cv_results_).metric(scoring, refit_metric(search), cost),
            cost=cost,
            by=by,
            labels=labels,
            best_index=getattr(search, "best_index_", None),
            ax=ax,
        )

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Mapping[str, Any],
        *,
        scoring: str | None = None,
        cost: str = "macs",
        by: str | Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        best_index: int | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the results of a search.

        Parameters
        ----------
        cv_results : mapping of str to array
            ``cv_results_`` of a search. Of a successive halving, the candidates of the last
            iteration are drawn: the others have had fewer resources.
        scoring : str, default=None
            Name of the metric that is to be good; None is the only one beside costs.
        cost : str, default="macs"
            Name of the metric that is to be cheap, as in ``scoring={"macs": macs_scorer}``: a
            scorer, of which the greatest is the best. One that is negated is drawn positive.
            ``"sparsity"`` without such a metric is the parameter of that name.
        by : str or sequence of str, default=None
            Parameters that have a colour for each value, by name or by the end of the name, such as
            ``"strategy"``; None are all that the search varied, but the sparsity.
        best_index : int, default=None
            The candidate that is marked as chosen.
        labels : sequence of str, default=None
            Names of the groups, in the order in which the search has them; None are the
            strategies and the values of the parameters, shortened to what tells them apart.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : ParetoDisplay
            The picture.

        Raises
        ------
        ValueError
            If the search has no such metric, `labels` are not one a group, or `best_index` is a
            candidate that is not drawn.
        """
        candidates = Candidates(cv_results)
        scoring = candidates.metric(scoring, cost=cost)
        scores = candidates.means(scoring)
        costs = _as_measured(candidates.costs(cost))
        chosen = None
        if best_index is not None:
            place = candidates.place(best_index)
            chosen = float(costs[place]), float(scores[place])
        front = [candidates.place(index) for index in pareto_front(cv_results, scoring, cost)]
        return cls(
            scores=scores,
            costs=costs,
            labels=group_labels(candidates, by, labels),
            front=np.array(front, dtype=int),
            score_name=scoring,
            cost_name=cost,
            chosen=chosen,
        ).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        self : ParetoDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes_for(ax, self, figsize_for(len(set(self.labels))))
        self.ax_, self.figure_ = ax, ax.figure
        labels, on_front = np.asarray(self.labels), np.zeros(len(self.scores), dtype=bool)
        on_front[self.front] = True
        # The score of the next cheaper candidate is to be had until the cost of the next.
        self.front_ = ax.plot(
            self.costs[self.front],
            self.scores[self.front],
            drawstyle="steps-post",
            color=foreground(),
            linewidth=1.2,
            label="Pareto front",
        )[0]
        self.points_, self.beaten_ = {}, {}
        groups = dict.fromkeys(self.labels)
        extra = extra_sizes(
            [(self.costs[labels == label], self.scores[labels == label]) for label in groups]
        )
        for number, label in enumerate(groups):
            look = look_of(number, extra[number]) | {"linestyle": "none"}
            best, beaten = (labels == label) & on_front, (labels == label) & ~on_front
            self.beaten_[label] = ax.plot(
                self.costs[beaten], self.scores[beaten], markerfacecolor="none", **look
            )[0]
            self.points_[label] = ax.plot(self.costs[best], self.scores[best], label=label, **look)[
                0
            ]
        self.chosen_ = None if self.chosen is None else mark_chosen(ax, *self.chosen)
        if self.cost_name == "sparsity":
            use_sparsity_axis(ax, self.costs)
        else:
            name, unit = _COSTS.get(self.cost_name, (in_words(self.cost_name), ""))
            use_cost_axis(ax, self.costs, unit)
            ax.set_xlabel(name)
        ax.set_ylabel(in_words(self.score_name))
        add_legend(ax)
        return self


def _as_measured(costs: np.ndarray) -> np.ndarray:
    """Undo the negation by which a scorer makes the smallest cost the best."""
    return -costs if (costs[~np.isnan(costs)] <= 0).all() else costs
