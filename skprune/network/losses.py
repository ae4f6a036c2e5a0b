"""The loss of the network that a regressor trains when it is given none."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["ScaledMSELoss"]


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
