"""Weights of any layer as matrices of outputs and inputs."""

from torch import Tensor, nn

from skprune.network.layers import layer_for

__all__ = ["as_matrices"]


def as_matrices(module: nn.Module, parameter: str, values: Tensor) -> Tensor:
    """Arrange what belongs to the weights of a layer by output and input.

    Parameters
    ----------
    module : nn.Module
        The network.
    parameter : str
        The parameter's name.
    values : Tensor
        One for each weight, in the parameter's shape.

    Returns
    -------
    matrices : Tensor of shape (n_matrices, n_outputs, n_inputs)
        A convolution has a matrix for each position of its kernel, and the inputs are the channels
        that an output reads. Elsewhere the last dimension is the input, and the one before it the
        output: the tokens of an embedding, the gates of a recurrent layer.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from skprune.network.matrices import as_matrices
    >>> conv = nn.Conv2d(16, 8, 3)
    >>> as_matrices(conv, "weight", conv.weight).shape
    torch.Size([9, 8, 16])
    """
    # A weight that is computed from parameters lies below its layer.
    owner = parameter.rpartition(".")[0].partition("parametrizations")[0].rstrip(".")
    return layer_for(module.get_submodule(owner)).matrices(values)
