"""Heads of attention."""

from skprune.network.network import Network
from skprune.structures.base import Elements, Structure
from skprune.structures.unit import Unit

__all__ = ["Head"]


class Head(Structure):
    """Heads of attention, each with its rows in queries, keys, values and the output.

    They are removed from the network at once, as :class:`Unit` removes them together with other
    kinds of units: it is ``Unit(kinds=["head"])`` under a name of its own. Heads of layers that the
    user protects stay. A network without heads that can go is an error.

    References
    ----------
    Michel, P., Levy, O., & Neubig, G. (2019). Are sixteen heads really better than one? Advances in
    Neural Information Processing Systems.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from skprune import prune
    >>> module = nn.TransformerEncoderLayer(8, nhead=4, dim_feedforward=16, batch_first=True)
    >>> x = torch.randn(6, 5, 8)
    >>> pruned = prune(module, x, structure="head", sparsity=0.5, random_state=0)
    >>> pruned.module.self_attn.num_heads
    2
    >>> pruned.module(x).shape
    torch.Size([6, 5, 8])
    """

    def elements(self, network: Network, protected: tuple[str, ...]) -> Elements:
        """Find what can be removed from a network; see :class:`Structure`."""
        return Unit(kinds=["head"]).elements(network, protected)
