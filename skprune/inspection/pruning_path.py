"""The score against the sparsity: what each further step of pruning costs."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from skprune.inspection._labels import group_labels
from skprune.inspection._score_lines import ScoreLines
from skprune.inspection._search import refit_metric, search_in
from skprune.model_selection.candidates import Candidates

__all__ = ["PruningPathDisplay"]


class PruningPathDisplay(ScoreLines):
    """The score against the sparsity, a line for each strategy.

    Make one by :meth:`from_estimator` or :meth:`from_cv_results`.

    Parameters
    ----------
    sparsities : dict of str to ndarray of shape (n_sparsities,)
        By the line's label, in ascending order.
    scores : dict of str to ndarray of shape (n_sparsities, n_splits)
        Scores of each line on the test rows of each split.
    score_name : str, default="score"
        Name of the metric.
    chosen : (float, float), default=None
        Sparsity and score of the candidate that was chosen.
    dense_scores : array-like of shape (n_splits,), default=None
        Scores of the dense network.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure that it is part of.
    lines_ : dict of str to matplotlib Line2D
        The line of each label.
    bands_ : dict of str to matplotlib PolyCollection
        The band around each line; none where there are fewer than two splits.
    chosen_, dense_line_ : matplotlib Line2D or None
        The mark around the point that was chosen, and the line of the dense network.

    See Also
    --------
    ParetoDisplay : The score against a cost.
    StabilityDisplay : Do the folds agree on what to prune?

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skprune import PrunedClassifier
    >>> from skprune.inspection import PruningPathDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> pruned = PrunedClassifier(fine_tune_epochs=5, random_state=0)
    >>> grid = {"sparsity": [0.5, 0.9], "strategy": ["magnitude", "random"]}
    >>> search = GridSearchCV(pruned, grid, cv=2).fit(X, y)
    >>> display = PruningPathDisplay.from_estimator(search)
    >>> list(display.lines_)
    ['magnitude', 'random']
    """

    def __init__(
        self,
        *,
        sparsities: Mapping[str, np.ndarray],
        scores: Mapping[str, np.ndarray],
        score_name: str = "score",
        chosen: tuple[float, float] | None = None,
        dense_scores: Any = None,
    ) -> None:
        self.sparsities = sparsities
        self.scores = scores
        self.score_name = score_name
        self.chosen = chosen
        self.dense_scores = dense_scores

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        scoring: str | None = None,
        by: str | Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        band: str | None = "std_err",
        ax: Any = None,
    ) -> Self:
        """Draw what a fitted search found.

        Parameters
        ----------
        estimator : object
            A fitted ``PrunedClassifierCV`` or ``PrunedRegressorCV``, a search of scikit-learn over
            ``sparsity`` (and ``strategy`` and others), or a ``Pipeline`` that ends in one.
        scoring : str, default=None
            Name of the metric; None is the one that decided in the search, or the only one beside
            costs.
        by : str or sequence of str, default=None
            Parameters that have a line for each value; see :meth:`from_cv_results`.
        labels : sequence of str, default=None
            Names of the lines, in the order in which the search has them; None are the
            strategies and the values of the parameters, shortened to what tells them apart.
        band : {"std_err", "std", None}, default="std_err"
            What the bands around the means show.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : PruningPathDisplay
            The picture.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the search varies no sparsity, has no such metric, or `labels` are not one a line.
        """
        search = search_in(estimator)
        scoring = Candidates(search.cv_results_).metric(scoring, refit_metric(search))
        return cls.from_cv_results(
            search.cv_results_,
            scoring=scoring,
            by=by,
            labels=labels,
            best_index=getattr(search, "best_index_", None),
            dense_scores=getattr(search, "dense_scores_", {}).get(scoring),
            band=band,
            ax=ax,
        )

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Mapping[str, Any],
        *,
        scoring: str | None = None,
        by: str | Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        best_index: int | None = None,
        dense_scores: Any = None,
        band: str | None = "std_err",
        ax: Any = None,
    ) -> Self:
        """Draw the results of a search.

        Parameters
        ----------
        cv_results : mapping of str to array
            ``cv_results_`` of a search over a parameter whose name ends in ``sparsity``. Of a
            successive halving, the candidates of the last iteration are drawn: the others have had
            fewer resources.
        scoring : str, default=None
            Name of the metric; None is the only one beside costs.
        by : str or sequence of str, default=None
            Parameters that have a line for each value, by name or by the end of the name, such as
            ``"strategy"``; None are all that the search varied. Of several candidates that have
            these and the sparsity in common, the best is drawn.
        best_index : int, default=None
            The candidate that is marked as chosen.
        dense_scores : array-like of shape (n_splits,), default=None
            Scores of the dense network.
        labels : sequence of str, default=None
            Names of the lines, in the order in which the search has them; None are the
            strategies and the values of the parameters, shortened to what tells them apart.
        band : {"std_err", "std", None}, default="std_err"
            What the bands around the means show.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : PruningPathDisplay
            The picture.

        Raises
        ------
        ValueError
            If the search varies no sparsity, has no such metric, `labels` are not one a line, or
            `best_index` is a candidate that is not drawn.
        """
        candidates = Candidates(cv_results)
        scoring = candidates.metric(scoring)
        sparsities, scores = candidates.sparsities(), candidates.split_scores(scoring)
        chosen = None
        if best_index is not None:
            place = candidates.place(best_index)
            if not np.isnan(sparsities[place]):
                chosen = float(sparsities[place]), float(candidates.means(scoring)[place])
        lines_of = group_labels(candidates, by, labels)
        # The best of equal sparsity comes last and stays; NaN comes before all.
        order = np.argsort(np.nan_to_num(scores.mean(axis=1), nan=-np.inf), kind="stable")
        best: dict[str, dict[float, int]] = {label: {} for label in lines_of}
        for row in order[~np.isnan(sparsities[order])]:
            best[lines_of[row]][sparsities[row]] = row
        lines = {label: [rows[s] for s in sorted(rows)] for label, rows in best.items() if rows}
        return cls(
            sparsities={label: sparsities[rows] for label, rows in lines.items()},
            scores={label: scores[rows] for label, rows in lines.items()},
            score_name=scoring,
            chosen=chosen,
            dense_scores=dense_scores,
        ).plot(ax, band=band)
