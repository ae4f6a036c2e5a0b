"""Why a rule has chosen a candidate, and not another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skprune.model_selection.comparison import paired_difference
from skprune.model_selection.fold_scores import FoldScores

__all__ = ["SelectionReport", "report_of"]

# Level of the intervals of a report.
_CONFIDENCE = 0.9


@dataclass(frozen=True, eq=False, repr=False)
class SelectionReport:
    """Which candidate was chosen, and of each other why it was not.

    It prints as a table.

    Attributes
    ----------
    index : int
        The number of the chosen candidate.
    rule : str
        What chose it.
    reference : str
        What the candidates are compared with.
    columns : dict of str to list
        By candidate: its parameters; its mean ``"score"``; the paired ``"difference"`` to the
        reference, with its standard error ``"std_err"`` and its 90 % interval from ``"lower"`` to
        ``"upper"``; and ``"why"``: ``"chosen"``, or why not.
    numbers : ndarray of shape (n_candidates,)
        The numbers of the candidates in ``cv_results_``.
    found : bool
        Whether a candidate was good enough for the rule. If none was, the nearest is chosen.

    Examples
    --------
    >>> from skprune.model_selection import FoldScores, NonInferior
    >>> scores = FoldScores(
    ...     [[0.9, 0.8], [0.9, 0.79], [0.7, 0.6]],
    ...     costs=[0.5, 0.8, 0.9],
    ...     dense=[0.9, 0.8],
    ...     labels={"sparsity": [0.5, 0.8, 0.9]},
    ... )
    >>> NonInferior(margin=0.02).choose(scores)
    NonInferior(margin=0.02), compared with the dense network (0.85):
       sparsity  score  difference  std_err    lower   upper  why
    0       0.5   0.85           0        0        0       0  kept, but candidate 1 is cheaper
    1       0.8  0.845      -0.005    0.005  -0.0366  0.0266  chosen
    2       0.9   0.65        -0.2        0     -0.2    -0.2  may lose 0.2, of 0.02 allowed
    """

    index: int
    rule: str
    reference: str
    columns: dict[str, list[Any]]
    numbers: np.ndarray
    found: bool = True

    def to_frame(self) -> Any:
        """Give the table as a data frame of pandas.

        Returns
        -------
        frame : pandas.DataFrame
            The columns, with the numbers of the candidates as its index.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame(self.columns, index=self.numbers)

    def __repr__(self) -> str:
        heads = ["", *self.columns]
        rows = [
            [str(number), *(_text(values[row]) for values in self.columns.values())]
            for row, number in enumerate(self.numbers)
        ]
        widths = [max(map(len, cells)) for cells in zip(heads, *rows, strict=True)]
        lines = []
        for cells in (heads, *rows):
            values = [c.rjust(w) for c, w in zip(cells[:-1], widths, strict=False)]
            lines.append("  ".join([*values, cells[-1]]))
        return "\n".join([f"{self.rule}, compared with {self.reference}:", *lines])


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def report_of(
    fold_scores: FoldScores,
    chosen: int,
    rule: str,
    reference: str,
    reference_scores: np.ndarray,
    why_not: Sequence[str],
    *,
    found: bool,
) -> SelectionReport:
    """Draw up a report.

    Parameters
    ----------
    fold_scores : FoldScores
        The candidates.
    chosen : int
        The place of the chosen one among them.
    rule : str
        What chose it.
    reference : str
        What the candidates are compared with.
    reference_scores : ndarray of shape (n_splits,)
        Its scores.
    why_not : sequence of str
        For each candidate, why it is not chosen; what is said of the chosen one does not count
        where one is good enough.
    found : bool
        Whether a candidate was good enough.

    Returns
    -------
    report : SelectionReport
        The report.
    """
    compared = paired_difference(
        fold_scores.scores,
        reference_scores,
        test_ratio=fold_scores.test_ratio,
        confidence=_CONFIDENCE,
    )
    columns: dict[str, list[Any]] = dict(fold_scores.labels)
    columns["score"] = fold_scores.means.tolist()
    columns |= {name: values.tolist() for name, values in compared._asdict().items()}
    because = "chosen" if found else f"chosen, as none is good enough: {why_not[chosen]}"
    columns["why"] = [because if i == chosen else why for i, why in enumerate(why_not)]
    numbers = fold_scores.numbers
    return SelectionReport(int(numbers[chosen]), rule, reference, columns, numbers, found=found)
