"""Single weights."""

from collections.abc import Mapping

from torch import Tensor

from skprune.network.layers import layer_of, weight_normed
from skprune.network.network import Network
from skprune.structures.base import Elements, Structure

__all__ = ["SingleWeights", "Weight", "prunable_weights"]


class Weight(Structure):
    """Single weights: the parameters of two or more dimensions, norms excepted.

    They are masked, and are exactly zero. Units that are left without a weight that enters or
    leaves them are removed at the end, which makes the network smaller.

    Examples
    --------
    >>> from skprune import PrunedClassifier
    >>> from skprune.structures import Weight
    >>> PrunedClassifier(structure=Weight())
    PrunedClassifier(structure=Weight())
    """

    def elements(self, network: Network, protected: tuple[str, ...]) -> Elements:
        """Find what can be removed from a network; see :class:`Structure`."""
        return SingleWeights(network, prunable_weights(network, protected))


def prunable_weights(network: Network, protected: tuple[str, ...]) -> dict[str, str]:
    """Find the weights that can be masked.

    Parameters
    ----------
    network : Network
        The network.
    protected : tuple of str
        Names of modules and parameters that are left as they are.

    Returns
    -------
    parameters : dict of str to str
        The parameter's name, by the layer's.

    Raises
    ------
    ValueError
        If a weight is computed by ``weight_norm``.
    """
    weights = {
        layer_of(name): name
        for name in network.weights
        if name.rpartition(".")[0] not in protected and name not in protected
    }
    for name in weights.values():
        if (layer := weight_normed(network.module, name)) is not None:
            raise ValueError(
                f"The weight of layer {layer!r} is computed by weight_norm, which divides by "
                "the norm of each row, so that a row cannot lose all its weights. Remove it "
                "first (torch.nn.utils.parametrize.remove_parametrizations), or protect the "
                f"layer (protect=[{layer!r}])."
            )
    return weights


class SingleWeights(Elements):
    """Elements each of which is one weight.

    Parameters
    ----------
    network : Network
        The network that they are of.
    parameters : mapping of str to str
        The parameter's name, by the layer's.
    """

    def __init__(self, network: Network, parameters: Mapping[str, str]) -> None:
        self._parameters = parameters
        weights = network.weights
        shapes = {layer: tuple(weights[name].shape) for layer, name in parameters.items()}
        sizes = {layer: weights[name].numel() for layer, name in parameters.items()}
        super().__init__(network, shapes, sizes)

    def sum_by_element(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add up scores of weights; see :class:`Elements`."""
        return {layer: scores[self._parameters[layer]].flatten() for layer in self.sizes}

    def expand_to_weights(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give each weight the value of its element; see :class:`Elements`."""
        weights = self.network.weights
        spread = {}
        for layer, value in values.items():
            weight = weights[self._parameters[layer]]
            spread[self._parameters[layer]] = value.view(weight.shape).to(weight.device)
        return spread

    def entries_left(self, kept: Mapping[str, Tensor]) -> dict[str, int]:
        """Count the weights that are left; see :class:`Elements`."""
        return {self._parameters[layer]: int(mask.sum()) for layer, mask in kept.items()}

    def most_entries_left(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Count the weights that are left; see :class:`Elements`."""
        return {self._parameters[layer]: count for layer, count in counts.items()}

    def uneven_layer(self, quantity: str) -> None:
        """Say that all weights of a layer cost the same; see :class:`Elements`."""

    def _apply(self, kept: Mapping[str, Tensor]) -> None:
        self.network.set_masks(self.expand_to_weights(kept))
