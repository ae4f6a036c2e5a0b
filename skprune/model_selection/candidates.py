"""The one reader of ``cv_results_``: which candidates can be compared, their scores and costs."""

import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from skprune.components import near_match
from skprune.metrics.scorers import SCORERS

__all__ = ["Candidates"]


class Candidates:
    """The candidates of a search that can be compared with each other.

    These are all candidates, but for a successive halving: there they are those of the last
    iteration, as in scikit-learn's own choice of the best. What was dropped earlier was scored with
    fewer samples, epochs or whatever the resource is, and its scores say nothing beside the others.

    Parameters
    ----------
    cv_results : mapping of str to array-like, or DataFrame
        ``cv_results_`` of a search. Entries may be NaN, None or masked where they are not known.

    Attributes
    ----------
    rows : ndarray of int
        The numbers, in `cv_results`, of the candidates that can be compared, rising. All other
        arrays have an entry for each of these.
    metrics, parameters : list of str
        Names of the metrics and of the parameters of the search.
    """

    def __init__(self, cv_results: Mapping[str, Any]) -> None:
        self._columns = cv_results
        self.metrics = _with_prefix(cv_results, "mean_test_")
        self.parameters = _with_prefix(cv_results, "param_")
        self.rows = np.arange(max((len(cv_results[key]) for key in cv_results), default=0))
        if "iter" in cv_results:
            iterations = _as_floats(cv_results["iter"])
            self.rows = np.flatnonzero(iterations == np.nanmax(iterations))

    def place(self, index: int) -> int:
        """Find a candidate among those that can be compared.

        Parameters
        ----------
        index : int
            Its number in ``cv_results_``, such as ``best_index_``.

        Returns
        -------
        place : int
            Its place in :attr:`rows`.

        Raises
        ------
        ValueError
            If it cannot be compared with the others.
        """
        places = np.flatnonzero(self.rows == index)
        if not len(places):
            raise ValueError(
                f"Candidate {index} cannot be compared: those of the last iteration of the search "
                f"are {', '.join(map(str, self.rows))}."
            )
        return int(places[0])

    def metric(
        self, scoring: str | None, decided_by: str | None = None, cost: str | None = None
    ) -> str:
        """Name the metric that is meant.

        Parameters
        ----------
        scoring : str or None
            What the user named. If None, the one that decided or the only one that is no cost.
        decided_by : str, default=None
            The metric by which the search chose.
        cost : str, default=None
            A metric that is not meant, besides those that skprune's scorers measure.

        Returns
        -------
        metric : str
            The name.

        Raises
        ------
        ValueError
            If the search has no such metric, or several to choose from.
        """
        if scoring is not None:
            if scoring not in self.metrics:
                raise ValueError(
                    f"The search has no metric {scoring!r}.{near_match(scoring, self.metrics)} "
                    f"Its metrics: {_listed(self.metrics)}."
                )
            return scoring
        if decided_by in self.metrics:
            return decided_by
        scores = [name for name in self.metrics if name not in {*SCORERS, cost}]
        if len(scores) != 1:
            raise ValueError(
                f"Name the metric by scoring=: the search has {_listed(self.metrics)}."
            )
        return scores[0]

    def means(self, metric: str) -> np.ndarray:
        """Give the mean score of each candidate.

        Parameters
        ----------
        metric : str
            Name of the metric.

        Returns
        -------
        scores : ndarray of shape (n_candidates,)
            The means over the splits; NaN where there is none.

        Raises
        ------
        ValueError
            If the search has no such metric.
        """
        return _as_floats(self._columns[f"mean_test_{self.metric(metric)}"])[self.rows]

    def split_scores(self, metric: str) -> np.ndarray:
        """Give the scores of each candidate on each split; the means where there are no splits.

        Parameters
        ----------
        metric : str
            Name of the metric.

        Returns
        -------
        scores : ndarray of shape (n_candidates, n_splits)
            The scores.

        Raises
        ------
        ValueError
            If the search has no such metric.
        """
        split = re.compile(rf"split\d+_test_{re.escape(self.metric(metric))}")
        keys = [key for key in self._columns if split.fullmatch(key)] or [f"mean_test_{metric}"]
        return np.stack([_as_floats(self._columns[key])[self.rows] for key in keys], axis=1)

    def dense_scores(self, metric: str) -> np.ndarray | None:
        """Give the scores of the network before pruning on each split, if they are known.

        Parameters
        ----------
        metric : str
            Name of the metric.

        Returns
        -------
        scores : ndarray of shape (n_splits,) or None
            As skprune's cross-validated estimators note them; otherwise those of the candidate
            whose sparsity is 0, if there is one; the best of several.
        """
        noted = re.compile(rf"split\d+_dense_{re.escape(metric)}")
        keys = [key for key in self._columns if noted.fullmatch(key)]
        if keys:
            return np.array([_as_floats(self._columns[key])[self.rows][0] for key in keys])
        if len(self._sparsity_parameters()) != 1:
            return None
        dense = np.flatnonzero(_as_floats(self.values(self._sparsity_parameters()[0])) == 0)
        means = self.means(metric)[dense]
        if not len(dense) or np.isnan(means).all():
            return None
        return self.split_scores(metric)[dense[int(np.nanargmax(means))]]

    def paths(self) -> np.ndarray:
        """Say which candidates form a path: those that differ in nothing but the sparsity.

        Returns
        -------
        paths : ndarray of int of shape (n_candidates,)
            Equal numbers for those of one path.
        """
        others = [name for name in self.parameters if name not in self._sparsity_parameters()]
        columns = [self.values(name) for name in others]
        texts = [tuple(map(repr, row)) for row in zip(*columns, strict=True)]
        if not texts:
            return np.zeros(len(self.rows), dtype=int)
        number = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        return np.array([number[text] for text in texts])

    def test_ratio(self) -> float:
        """Give the number of test rows by that of training rows, where the splits overlap.

        Returns
        -------
        ratio : float
            As skprune's cross-validated estimators note it; 0 otherwise.
        """
        return float(self._columns["test_ratio"][0]) if "test_ratio" in self._columns else 0.0

    def labels(self) -> dict[str, list[Any]]:
        """Give the parameters of each candidate, as columns of a table.

        Returns
        -------
        labels : dict of str to list
            By the name of the parameter.
        """
        return {name: self.values(name) for name in self.parameters}

    def costs(self, name: str) -> np.ndarray:
        """Give what each candidate costs, as a score: the greatest is the cheapest.

        Parameters
        ----------
        name : str
            Name of the metric. ``"sparsity"`` without such a metric is the parameter.

        Returns
        -------
        costs : ndarray of shape (n_candidates,)
            The costs; NaN where they are not known.

        Raises
        ------
        ValueError
            If the search has neither such a metric nor, of the sparsity, one such parameter.
        """
        if name == "sparsity" and name not in self.metrics and self._sparsity_parameters():
            return self.sparsities()
        return self.means(name)

    def sparsities(self) -> np.ndarray:
        """Give the sparsity of each candidate, as the parameters of the search have it.

        Returns
        -------
        sparsities : ndarray of shape (n_candidates,)
            The values of the parameter whose name ends in ``sparsity``; NaN for a candidate that
            sets none, or one that is no number.

        Raises
        ------
        ValueError
            If there is no such parameter, or more than one, or no candidate sets it to a number.
        """
        names = self._sparsity_parameters()
        if len(names) != 1:
            found = _listed(names or self.parameters)
            raise ValueError(
                "The search has to vary one parameter whose name ends in 'sparsity'. "
                + (f"It varies several: {found}." if names else f"Its parameters: {found}.")
            )
        sparsities = _as_floats(self.values(names[0]))
        if np.isnan(sparsities).all():
            raise ValueError(f"No candidate of the search sets {names[0]!r} to a number.")
        return sparsities

    def values(self, parameter: str) -> list[Any]:
        """Give the value of a parameter of each candidate; ``numpy.ma.masked`` where it sets none.

        Parameters
        ----------
        parameter : str
            The full name of the parameter.

        Returns
        -------
        values : list of length n_candidates
            The values.
        """
        column = list(self._columns[f"param_{parameter}"])
        return [column[row] for row in self.rows]

    def _sparsity_parameters(self) -> list[str]:
        return [name for name in self.parameters if name.endswith("sparsity")]


def _with_prefix(columns: Mapping[str, Any], prefix: str) -> list[str]:
    return [key.removeprefix(prefix) for key in columns if key.startswith(prefix)]


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _as_floats(column: Any) -> np.ndarray:
    """Make a column one of numbers: NaN where there is None, something else, or nothing."""
    return np.array([float(v) if isinstance(v, Real) else np.nan for v in column])
