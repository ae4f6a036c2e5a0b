"""Losses: the default regressor's own, and those of single rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ScaledMSELoss", "unreduced"]


class ScaledMSELoss(nn.MSELoss):
    """Mean squared error in units of each target's own scale.

    It does not depend on the unit of a target, so that a learning rate, a weight decay and the
    strength of a regularizer mean the same for all of them.

    Parameters
    ----------
    scale : float or sequence of float
        What counts as an error of one, such as the standard deviation of the targets; one for
        each target, or one for all.
    reduction : {"mean", "sum", "none"}, default="mean"
        As in :class:`torch.nn.MSELoss`.

    Examples
    --------
    >>> import torch
    >>> from skprune.network.losses import ScaledMSELoss
    >>> loss = ScaledMSELoss([1.0, 100.0])
    >>> loss(torch.tensor([[1.0, 100.0]]), torch.tensor([[0.0, 0.0]]))
    tensor(1.)
    """

    scale: Tensor

    def __init__(self, scale: float | Sequence[float], reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float64))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        input, target : Tensor of shape (n_rows, n_outputs)
            What was predicted, and what is true.

        Returns
        -------
        loss : Tensor
            A number, or one for each row and output without a reduction.
        """
        scale = self.scale.to(input)
        return super().forward((input - target) / scale, torch.zeros_like(input))


@contextmanager
def unreduced(criterion: Any) -> Iterator[str | None]:
    """Have a criterion give the loss of each row, if it can; yield how it makes them one.

    Parameters
    ----------
    criterion : object
        A loss, such as one of torch's modules.

    Yields
    ------
    reduction : str or None
        The reduction that it has outside; None if it knows of none.
    """
    if not hasattr(criterion, "reduction"):
        yield None
        return
    reduction = criterion.reduction
    criterion.reduction = "none"
    try:
        yield reduction
    finally:
        criterion.reduction = reduction
