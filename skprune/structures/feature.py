"""Features of the input."""

from skprune._sklearn import InvalidParameterError
from skprune.network.input_features import weights_of_features
from skprune.network.layers import layer_of
from skprune.network.network import Network
from skprune.structures.base import Elements, Structure
from skprune.structures.labelled import LabelledElements

__all__ = ["Feature"]


class Feature(Structure):
    """Features of the input, each with all the weights that read it.

    A feature is a column of X where linear or recurrent layers read it, and a channel where
    convolutions do. The weights are masked, since X keeps its columns: predictions no longer depend
    on a feature that is gone. Layers that read the input lose their weights together and go by the
    name of the first of them.

    Which weights these are is found by trial, by disturbing features. A network that mixes its
    features before a layer reads them, or uses them in another way too (a skip connection, an
    embedding), is an error, and so is a mapping of several inputs.

    References
    ----------
    Scardapane, S., Comminiello, D., Hussain, A., & Uncini, A. (2017). Group sparse regularization
    for deep neural networks. Neurocomputing, 241, 81-89.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skprune import PrunedClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> pruned = PrunedClassifier(structure="feature", sparsity=0.8, random_state=0)
    >>> model = make_pipeline(StandardScaler(), pruned).fit(X, y)
    >>> int(pruned.masks_["hidden0.weight"].any(axis=0).sum())
    6
    """

    def elements(self, network: Network, protected: tuple[str, ...]) -> Elements:
        """Find what can be removed from a network; see :class:`Structure`."""
        features = weights_of_features(network)
        for name in features:
            if name in protected or name.rpartition(".")[0] in protected:
                raise InvalidParameterError(
                    f"No feature can be removed while layer {layer_of(name)!r}, which reads them, "
                    "is protected. Leave it out of protect, or use another structure."
                )
        layers = [layer_of(name) for name in features]
        return LabelledElements(
            network, {layers[0]: features}, dict.fromkeys(layers[1:], layers[0])
        )
