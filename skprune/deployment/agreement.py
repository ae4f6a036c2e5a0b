"""Whether outputs that were computed in two ways are the same but for rounding."""

from typing import Any

import numpy as np

__all__ = ["TOLERANCE", "disagreement"]

# Of the largest output; single precision leaves about a tenth of it to rounding.
TOLERANCE = 1e-5


def disagreement(outputs: Any, reference: Any) -> float:
    """Measure by how much outputs differ, relative to the largest of the reference.

    Parameters
    ----------
    outputs, reference : array-like of shape (n_rows, ...)
        The outputs to judge, and what they should be.

    Returns
    -------
    difference : float
        The largest absolute difference over the largest absolute value of the reference; infinity
        if the shapes differ or one of the two is not finite where the other is.

    Examples
    --------
    >>> from skprune.deployment.agreement import disagreement
    >>> disagreement([[1.0, 2.0]], [[1.0, 4.0]])
    0.5
    >>> disagreement([1.0, 2.0], [[1.0, 2.0]])
    inf
    """
    outputs, reference = np.asarray(outputs), np.asarray(reference)
    if outputs.shape != reference.shape:
        return float("inf")
    if outputs.size == 0:
        return 0.0
    same = (outputs == reference) | (np.isnan(outputs) & np.isnan(reference))
    if same.all():
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.where(same, 0.0, np.abs(outputs.astype(float) - reference))
    if not np.isfinite(differences).all():
        return float("inf")
    finite = np.abs(reference[np.isfinite(reference)])
    largest = float(finite.max()) if finite.size else 0.0
    return float(differences.max()) / largest if largest else float("inf")
