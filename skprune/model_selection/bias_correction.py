"""An honest score of what was chosen, without another fit: bootstrap bias-corrected CV."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, Self

import numpy as np

__all__ = ["CorrectedScore", "Outcome", "bias_corrected_score"]


class Outcome(Protocol):
    """What candidates say of the test rows of a split.

    Attributes
    ----------
    is_fast : bool
        Whether a score takes no more than a few sums over the rows.
    """

    is_fast: bool

    def __call__(self, counts: np.ndarray, only: int | None = None) -> np.ndarray:
        """Score the candidates.

        Parameters
        ----------
        counts : ndarray of int of shape (n_rows,)
            How often each row counts.
        only : int, default=None
            The one that is to be scored; all if None.

        Returns
        -------
        scores : ndarray of shape (n_candidates,) or (1,)
            The scores; NaN where there is none.
        """

    def some(self, kept: list[int]) -> Self:
        """Say the same of some of the candidates.

        Parameters
        ----------
        kept : list of int
            Which.

        Returns
        -------
        outcome : Outcome
            Of these, in this order.
        """

    def joined(self, others: Sequence[Self]) -> Self:
        """Say the same of these rows and others.

        Parameters
        ----------
        others : sequence of Outcome
            What the candidates say of other rows.

        Returns
        -------
        outcome : Outcome
            Of all rows, one split after another.
        """


class CorrectedScore(NamedTuple):
    """An estimate of the score of what was chosen, and its confidence interval."""

    score: float
    lower: float
    upper: float


def bias_corrected_score(
    outcomes: Sequence[Outcome],
    tests: Sequence[np.ndarray],
    choose: Callable[[np.ndarray], int],
    *,
    n_draws: int = 500,
    confidence: float = 0.9,
    random_state: int = 0,
) -> CorrectedScore:
    """Estimate how good a chosen candidate is, by choosing again and again.

    The best score of many is partly luck. Rows are drawn with replacement; the choice is made
    by the rows that are drawn, and what was chosen is scored by the others, which had no part in
    it. The predictions are those of the cross-validation, so that nothing is trained anew.

    Parameters
    ----------
    outcomes : sequence of Outcome
        What the candidates say of the test rows of each split.
    tests : sequence of ndarray of int
        For each split, the numbers of its test rows.
    choose : callable
        Chooses by scores of shape (n_candidates, n_splits), and returns a row.
    n_draws : int, default=500
        How often rows are drawn.
    confidence : float, default=0.9
        Level of the interval.
    random_state : int, default=0
        Seed of the draws.

    Returns
    -------
    corrected : CorrectedScore
        The mean over the draws, and an interval. NaN where a score cannot be computed.

    Notes
    -----
    What was chosen is scored by the rows of all splits at once, since those of one split that a
    draw leaves out are few; a mean of coefficients of determination over few rows is far too low.

    The interval has the quantiles of the draws. A draw leaves out only a third of the rows, so that
    these vary more than means over all rows would; what other training rows would change, which no
    draw shows, is to be covered as well.

    References
    ----------
    Tsamardinos, I., Greasidou, E., & Borboudakis, G. (2018). Bootstrapping the out-of-sample
    predictions for efficient and accurate cross-validation. Machine Learning, 107, 1895-1922.
    """
    rng = np.random.default_rng(random_state)
    rows = np.unique(np.concatenate(tests))
    places = [np.searchsorted(rows, test) for test in tests]
    overall = outcomes[0].joined(outcomes[1:])
    scores = []
    for _ in range(n_draws):
        counts = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        by_split = list(zip(outcomes, [counts[place] for place in places], strict=True))
        chosen = choose(np.stack([outcome(drawn) for outcome, drawn in by_split], axis=1))
        others = np.concatenate([(drawn == 0).astype(int) for _, drawn in by_split])
        (score,) = overall(others, chosen)
        if not np.isnan(score):
            scores.append(score)
    if not scores:
        return CorrectedScore(np.nan, np.nan, np.nan)
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(scores, [tail, 1 - tail])
    return CorrectedScore(float(np.mean(scores)), float(lower), float(upper))
