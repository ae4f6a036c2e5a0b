"""Several processes that prune one network together."""

from collections.abc import Mapping

import torch
from torch import Tensor, distributed

from skprune.network.forward import module_device
from skprune.network.network import Network, all_tensors

__all__ = ["Peers"]


class Peers:
    """The processes of a group, of which the first decides what is kept.

    Each has rows of its own to score by, as under ``DistributedDataParallel``, and would come to
    other masks.

    Parameters
    ----------
    group : ProcessGroup
        The processes. All of them have to prune, at the same time.
    """

    def __init__(self, group: "distributed.ProcessGroup") -> None:
        self._group = group
        self._first = distributed.get_global_rank(group, 0)

    def agree_on_kept(self, kept: Mapping[str, Tensor], network: Network) -> dict[str, Tensor]:
        """Give what the first process keeps.

        Parameters
        ----------
        kept : mapping of str to Tensor of bool
            What this process would keep, by layer.
        network : Network
            The network, on the device that tells how the processes talk.

        Returns
        -------
        kept : dict of str to Tensor of bool
            What the first would keep.
        """
        device = module_device(network.module)
        agreed = {}
        for name in sorted(kept):
            mask = kept[name].to(device, torch.uint8)
            distributed.broadcast(mask, self._first, group=self._group)
            agreed[name] = mask.to(kept[name].device, torch.bool)
        return {name: agreed[name] for name in kept}

    def agree_on_tensors(self, network: Network) -> None:
        """Set the network's parameters and buffers to those of the first process."""
        with torch.no_grad():
            for tensor in all_tensors(network.module).values():
                distributed.broadcast(tensor, self._first, group=self._group)
