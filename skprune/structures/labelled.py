"""Elements that are groups of weights, masked together."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from skprune.network.network import Network
from skprune.structures.base import Elements

__all__ = ["LabelledElements"]


class LabelledElements(Elements):
    """Elements each of which is some weights, in one parameter or in several.

    Parameters
    ----------
    network : Network
        The network that they are of.
    labels : mapping of str to (mapping of str to Tensor of int)
        By the layer's name, and by the parameter's: which element each weight goes with, in the
        parameter's shape. The elements of a layer are numbered from zero.
    coupled_to : mapping of str to str, default=None
        Layers that lose their elements together with another, and the name of that other.
    """

    def __init__(
        self,
        network: Network,
        labels: Mapping[str, Mapping[str, Tensor]],
        coupled_to: Mapping[str, str] | None = None,
    ) -> None:
        self._labels = labels
        shapes, sizes = {}, {}
        for layer, parameters in labels.items():
            first, *_ = parameters.values()
            shapes[layer], sizes[layer] = tuple(first.shape), int(first.max()) + 1
        super().__init__(network, shapes, sizes, coupled_to)

    def sum_by_element(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add up scores of weights; see :class:`Elements`."""
        totals = {}
        for layer, size in self.sizes.items():
            parts = [(labels, scores[name]) for name, labels in self._labels[layer].items()]
            totals[layer] = torch.zeros(size, dtype=torch.float64, device=parts[0][1].device)
            for labels, part in parts:
                index = labels.flatten().to(part.device)
                totals[layer].index_add_(0, index, part.flatten().double())
        return totals

    def expand_to_weights(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give each weight the value of its element; see :class:`Elements`."""
        return {
            name: value.to(labels.device)[labels]
            for layer, value in values.items()
            for name, labels in self._labels[layer].items()
        }

    @cached_property
    def entries_of_elements(self) -> dict[str, dict[str, Tensor]]:
        """How many entries of each parameter each element has; see :class:`Elements`."""
        return {
            layer: {
                name: torch.bincount(labels.flatten().cpu(), minlength=size)
                for name, labels in self._labels[layer].items()
            }
            for layer, size in self.sizes.items()
        }

    def _apply(self, kept: Mapping[str, Tensor]) -> None:
        self.network.set_masks(self.expand_to_weights(kept))
