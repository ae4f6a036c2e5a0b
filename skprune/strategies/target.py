"""How much is to be pruned, and in which quantity."""

from numbers import Real
from typing import Any, ClassVar, Self

from skprune._sklearn import Interval, InvalidParameterError, StrOptions
from skprune.components import Component

__all__ = ["BUDGETS", "Target", "target_for"]

# What a target can be counted in.
BUDGETS = ("elements", "weights", "parameters", "macs", "bytes")


class Target(Component):
    """How much of a network may be left, in a quantity that matters.

    Give it to an estimator as its `sparsity`, with either a fraction that goes or a number that
    stays. It is met from below: what is left costs at most as much, and one element more, the next
    in the order of the allocation, would cost more.

    Parameters
    ----------
    sparsity : float, default=None
        The fraction that is removed, in [0, 1).
    at_most : int or float, default=None
        How much is left at the most. A network that costs less anyway is kept whole.
    budget : {"elements", "weights", "parameters", "macs", "bytes"}, default="elements"
        What is counted.

        - ``"elements"``: what the structure removes: single weights, units, features, blocks.
          Others count for nothing, and a sparsity is met exactly, to the nearest element.
        - ``"weights"``: parameters of two or more dimensions that are not zero by a mask.
        - ``"parameters"``: these, and biases and what norms learn.
        - ``"macs"``: multiply-accumulates per row of input, those of masked weights not counted.
        - ``"bytes"``: memory of parameters and buffers as they are stored. Masked weights are
          stored, so that only ``structure="unit"`` has fewer.

        All but elements are those of the whole network, with layers that are protected, as
        ``report_`` counts them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier, Target
    >>> X, y = load_iris(return_X_y=True)
    >>> target = Target(at_most=2000, budget="bytes")
    >>> pruned = PrunedClassifier(sparsity=target, structure="unit", random_state=0).fit(X, y)
    >>> pruned.report_.total_before.bytes, pruned.report_.total_after.bytes
    (6424, 1944)
    """

    _parameter_constraints: ClassVar[dict] = {
        "sparsity": [Interval(Real, 0, 1, closed="left"), None],
        "at_most": [Interval(Real, 0, None, closed="neither"), None],
        "budget": [StrOptions(set(BUDGETS))],
    }

    def __init__(
        self,
        sparsity: float | None = None,
        *,
        at_most: float | None = None,
        budget: str = "elements",
    ) -> None:
        self.sparsity = sparsity
        self.at_most = at_most
        self.budget = budget

    def validated(self) -> Self:
        """Check the parameters against their declared constraints, and each other.

        Returns
        -------
        self : Target
            The target itself.

        Raises
        ------
        InvalidParameterError
            If a parameter has an invalid type or value, or not one of `sparsity` and `at_most` is
            given.
        """
        super().validated()
        if (self.sparsity is None) == (self.at_most is None):
            raise InvalidParameterError(
                "A Target says either how much goes, sparsity=..., or how much stays, at_most=...; "
                f"got {self!r}."
            )
        return self


def target_for(sparsity: Any, budget: str) -> Target | None:
    """Say what an estimator's parameters mean together.

    Parameters
    ----------
    sparsity : float, Target or None
        The estimator's `sparsity`.
    budget : str
        The estimator's `budget`.

    Returns
    -------
    target : Target or None
        None where the structure, the allocation or a regularizer decides.

    Raises
    ------
    InvalidParameterError
        If they contradict each other.
    """
    if isinstance(sparsity, Target):
        if budget != "elements":
            raise InvalidParameterError(
                f"The budget is given twice: budget={budget!r}, and sparsity={sparsity!r} has its "
                f"own. Give it to the Target, and leave out the estimator's."
            )
        return sparsity.validated()
    if sparsity is not None:
        return Target(sparsity, budget=budget).validated()
    if budget != "elements":
        raise InvalidParameterError(
            f"With sparsity=None nothing is to be met in {budget}: the structure, the allocation "
            "or the regularizer decides. Leave budget out, or set sparsity."
        )
    return None
