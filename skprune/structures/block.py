"""Blocks of a weight matrix."""

from collections.abc import Sequence
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import InvalidParameterError
from skprune.network.matrices import as_matrices
from skprune.network.network import Network
from skprune.structures.base import Elements, Structure
from skprune.structures.labelled import LabelledElements
from skprune.structures.weight import prunable_weights

__all__ = ["Block"]


class Block(Structure):
    """Blocks of neighbouring outputs and inputs, as block-sparse kernels want them.

    A linear layer is cut like its matrix of outputs and inputs, a convolution like one such matrix
    for each position of its kernel, whose inputs are the channels that an output reads. Other
    weights are cut along their last two dimensions. Blocks at the edges may be smaller, and
    each counts as one element. Units that are left without a weight are not removed, since the
    weights of the others would no longer lie in blocks.

    Parameters
    ----------
    shape : (int, int), default=(4, 4)
        Number of outputs and of inputs of a block.

    References
    ----------
    Narang, S., Undersander, E., & Diamos, G. (2017). Block-sparse recurrent neural networks.
    arXiv:1711.02782.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skprune import PrunedClassifier
    >>> from skprune.structures import Block
    >>> X, y = load_digits(return_X_y=True)
    >>> pruned = PrunedClassifier(structure=Block((10, 16)), random_state=0).fit(X, y)
    >>> blocks = pruned.masks_["hidden0.weight"].reshape(10, 10, 4, 16)
    >>> bool((blocks.any((1, 3)) == blocks.all((1, 3))).all())
    True
    """

    _parameter_constraints: ClassVar[dict] = {"shape": [tuple, list]}

    def __init__(self, shape: Sequence[int] = (4, 4)) -> None:
        self.shape = shape

    def elements(self, network: Network, protected: tuple[str, ...]) -> Elements:
        """Find what can be removed from a network; see :class:`Structure`."""
        shape = self.shape
        if len(shape) != 2 or not all(isinstance(x, Integral) and x >= 1 for x in shape):
            raise InvalidParameterError(
                "The 'shape' parameter of Block must be two positive whole numbers, of outputs and "
                f"of inputs. Got {shape!r} instead."
            )
        weights = network.weights
        labels = {
            layer: {name: _label(network, name, weights[name], *shape)}
            for layer, name in prunable_weights(network, protected).items()
        }
        return _Blocks(network, labels)


class _Blocks(LabelledElements):
    keeps_layout = True


def _label(network: Network, name: str, weight: Tensor, n_outputs: int, n_inputs: int) -> Tensor:
    """Give each weight the number of its block, matrix by matrix and row by row."""
    index = torch.arange(weight.numel(), device=weight.device).view(weight.shape)
    places = as_matrices(network.module, name, index)
    matrix, row, column = (torch.arange(size, device=weight.device) for size in places.shape)
    n_rows, n_columns = -(-len(row) // n_outputs), -(-len(column) // n_inputs)
    blocks = matrix[:, None, None] * n_rows + row[:, None] // n_outputs
    labels = torch.empty_like(index).flatten()
    labels[places] = blocks * n_columns + column // n_inputs
    return labels.view(weight.shape)
