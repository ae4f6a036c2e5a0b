"""A structure of a user's own: all weights of an output go together."""

import torch
from torch import Tensor

from skprune.network.matrices import as_matrices
from skprune.network.network import Network
from skprune.structures import Elements, LabelledElements, Structure, prunable_weights


class Row(Structure):
    """Rows of a matrix of outputs and inputs, masked where they are."""

    def elements(self, network: Network, protected: tuple[str, ...]) -> Elements:
        labels = {
            layer: {name: rows_of(network, name)}
            for layer, name in prunable_weights(network, protected).items()
        }
        return LabelledElements(network, labels)


def rows_of(network: Network, name: str) -> Tensor:
    """The number of each weight's row, in the shape of the parameter."""
    weight = network.weights[name]
    index = torch.arange(weight.numel(), device=weight.device).view(weight.shape)
    places = as_matrices(network.module, name, index)
    labels = torch.empty_like(index).flatten()
    labels[places] = torch.arange(places.shape[1], device=weight.device)[:, None]
    return labels.view(weight.shape)
