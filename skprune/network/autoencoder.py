"""The autoencoder that skprune trains when it is given none."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skprune.network.mlp import ACTIVATIONS

__all__ = ["Autoencoder"]


class Autoencoder(nn.Module):
    """A network that gives its input back, through a layer that is narrower.

    Parameters
    ----------
    n_features : int
        Number of features.
    n_outputs : int
        The same number: what is given back.
    n_components : int, default=None
        Width of the narrow layer, ``bottleneck``, whose outputs are linear; as many as there are
        features, but 32 at the most, if None.
    n_hidden : int, default=100
        Width of the layer before it, and of the one after it.
    activation : {"relu", "tanh", "gelu"}, default="relu"
        What follows these two.
    output_shift, output_scale : sequence of float, default=0.0 and 1.0
        Mean and standard deviation of each feature, which the network works without.
    dtype : torch.dtype, default=None
        Type of the weights; torch's default if None.

    References
    ----------
    Hinton, G. E., & Salakhutdinov, R. R. (2006). Reducing the dimensionality of data with neural
    networks. Science, 313(5786), 504-507.

    Examples
    --------
    >>> import torch
    >>> from skprune.network import Autoencoder
    >>> network = Autoencoder(8, 8, n_components=3)
    >>> network(torch.zeros(5, 8)).shape
    torch.Size([5, 8])
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        n_components: int | None = None,
        n_hidden: int = 100,
        activation: str = "relu",
        output_shift: float | Sequence[float] = 0.0,
        output_scale: float | Sequence[float] = 1.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}; got {activation!r}")
        super().__init__()
        width = min(n_features, _WIDEST) if n_components is None else n_components
        self.encoder = nn.Linear(n_features, n_hidden, dtype=dtype)
        self.bottleneck = nn.Linear(n_hidden, width, dtype=dtype)
        self.decoder = nn.Linear(width, n_hidden, dtype=dtype)
        self.output = nn.Linear(n_hidden, n_outputs, dtype=dtype)
        self.activation = ACTIVATIONS[activation]()
        for name, value in (("shift", output_shift), ("scale", output_scale)):
            values = torch.as_tensor(value, dtype=dtype or torch.get_default_dtype())
            self.register_buffer(name, values.expand(n_features).clone())

    def forward(self, X: Tensor) -> Tensor:
        """Reconstruct the input.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features)
            The inputs.

        Returns
        -------
        outputs : Tensor of shape (n_samples, n_features)
            What is left of them behind the narrow layer.
        """
        hidden = self.activation(self.encoder((X - self.shift) / self.scale))
        hidden = self.activation(self.decoder(self.bottleneck(hidden)))
        return self.output(hidden) * self.scale + self.shift


_WIDEST = 32
