"""The multi-layer perceptron that skprune trains when it is given no network."""

from collections import OrderedDict
from collections.abc import Sequence
from math import sqrt
from numbers import Integral

import numpy as np
import torch
from torch import Tensor, nn

from skprune.network.layers import layer_for

__all__ = ["ACTIVATIONS", "MLP"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
}


class MLP(nn.Sequential):
    """Multi-layer perceptron, usable in any skorch net.

    Its weights begin as those of scikit-learn's ``MLPClassifier`` do [1]_.

    Inside :class:`~skprune.PrunedClassifier` and :class:`~skprune.PrunedRegressor` `n_features`,
    `n_outputs` and `output_activation` are filled in where the net does not set them. `dtype`,
    `output_shift` and `output_scale` are filled in where the net sets them to ``"data"``, as the
    default nets do: with the type of X, and the mean and standard deviation of y.

    Parameters
    ----------
    n_features : int
        Number of input features.
    n_outputs : int
        Number of outputs: classes, or targets.
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Number of units of each hidden layer; a number stands for one layer.
    activation : {"relu", "gelu", "silu", "tanh", "logistic", "identity"}, default="relu"
        The nonlinearity after each hidden layer.
    dropout : float, default=0.0
        Probability that a hidden unit is dropped during training.
    batch_norm : bool, default=False
        Whether to normalise each hidden layer over the batch, before its activation.
    output_activation : {None, "softmax"}, default=None
        What the outputs pass through. skorch's default criterion for classifiers, ``NLLLoss``,
        wants probabilities (``"softmax"``); ``CrossEntropyLoss`` wants none.
    output_shift, output_scale : float or sequence of float, default=0.0 and 1.0
        The outputs are multiplied by the scale and shifted, per output, so that a regression may
        learn targets of any unit with one learning rate.
    dtype : torch.dtype, default=None
        Type of the weights; torch's default if None.

    References
    ----------
    .. [1] Glorot, X., & Bengio, Y. (2010). Understanding the difficulty of training deep
       feedforward neural networks. International Conference on Artificial Intelligence and
       Statistics.

    Examples
    --------
    >>> import torch
    >>> from skprune.network import MLP
    >>> MLP(8, 3, hidden_layer_sizes=(16, 16))(torch.zeros(5, 8)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        output_activation: str | None = None,
        output_shift: float | Sequence[float] = 0.0,
        output_scale: float | Sequence[float] = 1.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}; got {activation!r}")
        if output_activation not in (None, "softmax"):
            raise ValueError(
                f"output_activation must be None or 'softmax'; got {output_activation!r}"
            )
        if isinstance(hidden_layer_sizes, (int, Integral)):
            hidden_layer_sizes = [int(hidden_layer_sizes)]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = n_features
        for i, size in enumerate(hidden_layer_sizes):
            layers[f"hidden{i}"] = nn.Linear(width, size, dtype=dtype)
            if batch_norm:
                layers[f"norm{i}"] = nn.BatchNorm1d(size, dtype=dtype)
            layers[f"activation{i}"] = ACTIVATIONS[activation]()
            if dropout:
                layers[f"dropout{i}"] = nn.Dropout(dropout)
            width = size
        layers["output"] = nn.Linear(width, n_outputs, dtype=dtype)
        if np.any(output_shift != np.zeros(1)) or np.any(output_scale != np.ones(1)):
            layers["rescale"] = _Rescale(output_shift, output_scale, n_outputs, dtype)
        super().__init__(layers)
        for layer in self.children():
            if layer_for(layer).makes_units:
                bound = sqrt(6 / sum(layer.get_parameter("weight").shape))
                nn.init.uniform_(layer.get_parameter("weight"), -bound, bound)
                nn.init.uniform_(layer.get_parameter("bias"), -bound, bound)
        self.output_activation = output_activation

    def forward(self, X: Tensor) -> Tensor:
        """Compute the outputs.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features)
            The inputs.

        Returns
        -------
        outputs : Tensor of shape (n_samples, n_outputs)
            Scores, probabilities (with ``output_activation="softmax"``) or predicted targets.
        """
        X = super().forward(X)
        return X.softmax(dim=-1) if self.output_activation == "softmax" else X


class _Rescale(nn.Module):
    """Brings outputs of the order of one to the targets' own unit."""

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        shift: float | Sequence[float],
        scale: float | Sequence[float],
        n_outputs: int,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        for name, value in (("shift", shift), ("scale", scale)):
            values = torch.as_tensor(value, dtype=dtype or torch.get_default_dtype())
            self.register_buffer(name, values.expand(n_outputs).clone())

    def forward(self, X: Tensor) -> Tensor:
        return X * self.scale + self.shift
