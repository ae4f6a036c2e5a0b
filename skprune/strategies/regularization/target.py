"""How many elements and weights a regularizer leaves at the least."""

import torch
from torch import Tensor

from skprune.strategies.regularization.base import Projection
from skprune.structures import Elements

__all__ = ["least_kept", "least_kept_weights"]


def least_kept(elements: Elements, project: Projection | None) -> dict[str, int]:
    """Count the elements of each layer that the target leaves; one each where there is none.

    Parameters
    ----------
    elements : Elements
        What is to be pruned.
    project : Projection or None
        What the network would be pruned to.

    Returns
    -------
    counts : dict of str to int
        By layer.
    """
    if project is None:
        return dict.fromkeys(elements.sizes, 1)
    masks = _masks(elements, project)
    return {layer: int((n > 0).sum()) for layer, n in elements.sum_by_element(masks).items()}


def least_kept_weights(elements: Elements, project: Projection | None) -> dict[str, int]:
    """Count the weights of each parameter that the target leaves; see :func:`least_kept`."""
    if project is None:
        return dict.fromkeys(elements.network.weights, 1)
    return {name: int(mask.sum()) for name, mask in _masks(elements, project).items()}


def _masks(elements: Elements, project: Projection) -> dict[str, Tensor]:
    weights = {name: weight.detach() for name, weight in elements.network.weights.items()}
    return {name: torch.ones_like(weight) for name, weight in weights.items()} | {
        name: mask.to(weights[name]) for name, mask in project(weights).items()
    }
