"""The score against the sparsity of one layer alone: which layers can bear how much."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from skprune.components import near_match
from skprune.estimators import sensitivity
from skprune.inspection._score_lines import ScoreLines
from skprune.model_selection.candidates import Candidates

__all__ = ["SensitivityDisplay"]


class SensitivityDisplay(ScoreLines):
    """The score against the sparsity of a layer, a line for each layer.

    Make one by :meth:`from_estimator` or :meth:`from_results`.

    Parameters
    ----------
    sparsities : dict of str to ndarray of shape (n_sparsities,)
        By the layer's name, in ascending order.
    scores : dict of str to ndarray of shape (n_sparsities, n_splits)
        Scores of the network that is pruned in this layer alone, on the test rows of each split.
    score_name : str, default="score"
        Name of the metric.
    dense_scores : array-like of shape (n_splits,), default=None
        Scores of the dense network.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure that it is part of.
    lines_ : dict of str to matplotlib Line2D
        The line of each layer.
    bands_ : dict of str to matplotlib PolyCollection
        The band around each line; none where there are fewer than two splits.
    dense_line_ : matplotlib Line2D or None
        The line of the dense network.

    See Also
    --------
    skprune.sensitivity : Computes what is drawn.
    PruningPathDisplay : All layers pruned together.
    LayerSparsityDisplay : What pruning took from each layer.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier
    >>> from skprune.inspection import SensitivityDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> pruned = PrunedClassifier(random_state=0)
    >>> display = SensitivityDisplay.from_estimator(pruned, X, y, sparsities=[0.5, 0.9], cv=2)
    >>> list(display.lines_)
    ['hidden0', 'output']
    """

    def __init__(
        self,
        *,
        sparsities: Mapping[str, np.ndarray],
        scores: Mapping[str, np.ndarray],
        score_name: str = "score",
        dense_scores: Any = None,
    ) -> None:
        self.sparsities = sparsities
        self.scores = scores
        self.score_name = score_name
        self.dense_scores = dense_scores

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        band: str | None = "std_err",
        ax: Any = None,
        **params: Any,
    ) -> Self:
        """Compute the scores, and draw them.

        Parameters
        ----------
        estimator : PrunedClassifier or PrunedRegressor
            What is pruned layer by layer; see :func:`skprune.sensitivity`.
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        band : {"std_err", "std", None}, default="std_err"
            What the bands around the means show.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.
        **params : dict of str to object
            Further parameters of :func:`skprune.sensitivity`, with one metric for `scoring`.

        Returns
        -------
        display : SensitivityDisplay
            The picture.
        """
        return cls.from_results(sensitivity(estimator, X, y, **params), band=band, ax=ax)

    @classmethod
    def from_results(
        cls,
        results: Mapping[str, Any],
        *,
        scoring: str | None = None,
        layers: Sequence[str] | None = None,
        band: str | None = "std_err",
        ax: Any = None,
    ) -> Self:
        """Draw what :func:`skprune.sensitivity` returned.

        Parameters
        ----------
        results : mapping of str to array
            The results.
        scoring : str, default=None
            Name of the metric; None is the only one.
        layers : sequence of str, default=None
            Which layers are drawn, in this order; all if None.
        band : {"std_err", "std", None}, default="std_err"
            What the bands around the means show.
        ax : matplotlib Axes, default=None
            What to draw on; a new figure if None.

        Returns
        -------
        display : SensitivityDisplay
            The picture.

        Raises
        ------
        ValueError
            If there is no such metric or layer.
        """
        candidates = Candidates(results)
        metric = candidates.metric(scoring)
        scores, sparsities = candidates.split_scores(metric), candidates.sparsities()
        owners = np.asarray(candidates.values("layer"), dtype=object)
        known = list(dict.fromkeys(owners))
        chosen = known if layers is None else list(layers)
        for layer in chosen:
            if layer not in known:
                raise ValueError(
                    f"The results have no layer {layer!r}.{near_match(layer, known)} Their layers: "
                    f"{', '.join(map(repr, known))}."
                )
        rows = {layer: np.flatnonzero(owners == layer) for layer in chosen}
        dense = scores[rows[chosen[0]][0]] if sparsities[rows[chosen[0]][0]] == 0 else None
        return cls(
            sparsities={layer: sparsities[mine] for layer, mine in rows.items()},
            scores={layer: scores[mine] for layer, mine in rows.items()},
            score_name=metric,
            dense_scores=dense,
        ).plot(ax, band=band)
