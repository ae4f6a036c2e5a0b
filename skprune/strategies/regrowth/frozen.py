"""Layers that training leaves as they are."""

import torch

from skprune.structures import Elements

__all__ = ["frozen_layers"]


def frozen_layers(elements: Elements) -> set[str]:
    """Name the layers none of whose elements has a weight that is trained.

    Parameters
    ----------
    elements : Elements
        What is pruned.

    Returns
    -------
    names : set of str
        The layers whose masks stay.
    """
    weights = elements.network.weights
    trained = {n: torch.full_like(w, float(w.requires_grad)) for n, w in weights.items()}
    return {layer for layer, total in elements.sum_by_element(trained).items() if not total.any()}
