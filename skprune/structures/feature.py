"""Features of the input."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skprune._sklearn import InvalidParameterError
from skprune.network.input_features import InputFeatures, features_of_input
from skprune.network.layers import layer_of
from skprune.network.network import Network
from skprune.structures.base import Elements, Structure
from skprune.structures.labelled import LabelledElements

__all__ = ["Feature", "FeatureElements", "FeatureRecord"]


class Feature(Structure):
    """Features of the input, each with all the weights that read it.

    A feature is a column of X where linear or recurrent layers read it, and a channel where
    convolutions do. The weights are masked, since X keeps its columns: predictions no longer depend
    on a feature that is gone. Layers that read the input lose their weights together and go by the
    name of the first of them.

    Which weights these are is found by trial, by disturbing features. A network that mixes its
    features before a layer reads them, or uses them in another way too (a skip connection, an
    embedding), is an error, and so is a mapping of several inputs.

    In an estimator, features that are the same in all rows go before any other, whatever their
    weights: nothing is learned from them.

    Parameters
    ----------
    groups : sequence of sequences of int, default=None
        Features that are kept or removed together, by their numbers: the columns that one category
        was coded into, the channels of a sensor. A feature that is in no group stands for itself.
        What is counted, and scored, are the groups.

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

    _parameter_constraints: ClassVar[dict] = {"groups": [list, tuple, None]}

    def __init__(self, groups: Sequence[Sequence[int]] | None = None) -> None:
        self.groups = groups

    def elements(self, network: Network, protected: tuple[str, ...]) -> Elements:
        """Find what can be removed from a network; see :class:`Structure`."""
        features = features_of_input(network)
        for name in features.weights:
            if name in protected or name.rpartition(".")[0] in protected:
                raise InvalidParameterError(
                    f"No feature can be removed while layer {layer_of(name)!r}, which reads them, "
                    "is protected. Leave it out of protect, or use another structure."
                )
        return FeatureElements(network, features, _elements_of(features.n_features, self.groups))


class FeatureRecord(NamedTuple):
    """What was found out about the features of the input.

    Attributes
    ----------
    axis : int or None
        The dimension of the input that they are along; None where each number of a row is one.
    kept : ndarray of bool of shape (n_features,)
        Which of them stayed.
    norms : ndarray of shape (n_features,)
        Norm of the weights that read each of them, in the end.
    importances : ndarray of shape (n_features,)
        What each was worth when it was last scored; they add up to 1. One that went earlier is
        never worth more than one that went later, and the features of a group share what the
        group is worth.
    ranking : ndarray of int of shape (n_features,)
        1 for those that stayed, then the others, the last to go first.
    """

    axis: int | None
    kept: np.ndarray
    norms: np.ndarray
    importances: np.ndarray
    ranking: np.ndarray


class FeatureElements(LabelledElements):
    """The features of a network's input, or groups of them, and how they were scored.

    Parameters
    ----------
    network : Network
        The network.
    features : InputFeatures
        The features, and what reads them.
    element_of : Tensor of int of shape (n_features,)
        Which element each feature is part of.

    Attributes
    ----------
    element_of : Tensor of int of shape (n_features,)
        As it was given.
    axis : int or None
        The dimension of the input that the features are along; None where it is read flattened.
    """

    def __init__(self, network: Network, features: InputFeatures, element_of: Tensor) -> None:
        layers = [layer_of(name) for name in features.weights]
        self._layer = layers[0]
        labels = {n: element_of.to(f.device)[f] for n, f in features.weights.items()}
        super().__init__(network, {self._layer: labels}, dict.fromkeys(layers[1:], self._layer))
        self._features = features
        self.element_of, self.axis = element_of, features.axis
        n_elements = self.sizes[self._layer]
        self._constant = torch.zeros(n_elements, dtype=torch.bool)
        self._importances = torch.zeros(n_elements, dtype=torch.float64)
        self._scores = torch.full((n_elements,), -torch.inf, dtype=torch.float64)
        self._last_scored = torch.zeros(n_elements, dtype=torch.int64)

    def set_constant(self, features: Tensor) -> None:
        """Say which features are the same in all rows; see :class:`Feature`.

        Parameters
        ----------
        features : Tensor of bool of shape (n_features,)
            True for those.
        """
        varies = torch.zeros_like(self._constant)
        varies[self.element_of[~features]] = True
        self._constant = ~varies

    def adjusted(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Put constant features last, and remember what each is worth; see :class:`Elements`."""
        score, alive = scores[self._layer].double(), self.kept[self._layer]
        worth_something = alive & ~self._constant
        if worth_something.any():
            lowest = score[worth_something].min()
            score = score.masked_fill(alive & self._constant, float(lowest) - 1)
            shares = score[worth_something] - lowest.clamp(max=0)
            total = shares.sum()
            shares = shares / total if total > 0 else torch.full_like(shares, 1 / len(shares))
            # One that goes later is worth no less than what went before it.
            before = self._importances[~alive].max() if not alive.all() else 0.0
            self._importances[alive] = 0.0
            self._importances[worth_something] = shares.clamp(min=before)
        self._scores[alive] = score[alive]
        self._last_scored[alive] += 1
        return {**scores, self._layer: score}

    def record(self, parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> FeatureRecord:
        """Say what was found out about the features.

        Parameters
        ----------
        parameters : iterable of (str, Parameter)
            The parameters of the network, or of a copy of it, by their names.

        Returns
        -------
        record : FeatureRecord
            What was found out so far.
        """
        members = torch.bincount(self.element_of)
        importances = (self._importances / members)[self.element_of].numpy()
        total = importances.sum()
        kept = self.kept[self._layer]
        return FeatureRecord(
            axis=self.axis,
            kept=kept[self.element_of].numpy(),
            norms=self._norms(dict(parameters)),
            importances=importances / total if total > 0 else importances,
            ranking=self._ranking(kept)[self.element_of].numpy(),
        )

    def _ranking(self, kept: Tensor) -> Tensor:
        """Rank elements by when they went, and by their scores then."""
        ranking = torch.ones(len(kept), dtype=torch.int64)
        gone = np.flatnonzero(~kept.numpy())
        # Of equal ones the first is kept, so it is the better.
        order = np.lexsort((gone, -self._scores.numpy()[gone], -self._last_scored.numpy()[gone]))
        ranking[torch.from_numpy(gone[order])] = torch.arange(2, len(gone) + 2)
        return ranking

    def _norms(self, parameters: Mapping[str, torch.nn.Parameter]) -> np.ndarray:
        squares = torch.zeros(self._features.n_features, dtype=torch.float64)
        for name, feature in self._features.weights.items():
            weight = parameters[name].detach().double().square().flatten()
            squares.index_add_(0, feature.flatten().cpu(), weight.cpu())
        return squares.sqrt().numpy()


def _elements_of(n_features: int, groups: Sequence[Sequence[int]] | None) -> Tensor:
    """Say which element each feature is part of: groups, in the order of their first features."""
    first = torch.arange(n_features)
    owner: dict[int, int] = {}
    for number, group in enumerate(groups or ()):
        if (
            isinstance(group, str)
            or not isinstance(group, (Sequence, np.ndarray))
            or not len(group)
        ):
            raise InvalidParameterError(
                f"groups[{number}] must be a list of one or more features; got {group!r}."
            )
        for feature in group:
            if (
                not isinstance(feature, Integral)
                or isinstance(feature, bool)
                or not 0 <= feature < n_features
            ):
                raise InvalidParameterError(
                    f"groups[{number}] has {feature!r}: features are numbered from 0 to "
                    f"{n_features - 1}."
                )
            if int(feature) in owner:
                other = owner[int(feature)]
                where = f"in groups[{other}] and in groups[{number}]"
                raise InvalidParameterError(
                    f"Feature {feature} is "
                    f"{f'twice in groups[{number}]' if other == number else where}; a feature can "
                    "only be kept or removed with one group."
                )
            owner[int(feature)] = number
        first[torch.tensor([int(feature) for feature in group])] = int(min(group))
    return torch.unique(first, return_inverse=True)[1]
