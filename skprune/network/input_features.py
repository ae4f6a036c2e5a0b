"""Which weights read which feature of the input."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skprune.exceptions import UntraceableError
from skprune.network.comparison import outputs_of, same_outputs
from skprune.network.layers import Layer, layer_for
from skprune.network.network import Network

__all__ = ["InputFeatures", "features_of_input"]


class InputFeatures(NamedTuple):
    """The features of a network's input, and what reads them.

    Attributes
    ----------
    axis : int or None
        The dimension of the input that they are along, rows being 0; None where the network reads
        its input flattened, so that each number of a row is a feature.
    n_features : int
        How many there are.
    weights : dict of str to Tensor of int
        By the parameter's name: the feature that each weight reads, in the parameter's shape.
    """

    axis: int | None
    n_features: int
    weights: dict[str, Tensor]


class _View(NamedTuple):
    """How a layer sees the input: its shape, rows first, and the dimension of the features."""

    shape: tuple[int, ...]
    dim: int


class _Call(NamedTuple):
    """What a layer is given, at one of its calls."""

    name: str
    layer: Layer
    given: Tensor


def features_of_input(network: Network) -> InputFeatures:
    """Find the features of the input, and the weights that read them, by trial.

    A feature is a column of what linear and recurrent layers read, or a channel of what
    convolutions read. Features are disturbed in a copy of the network: a layer reads them if each
    column that it is given moves with one feature alone, be it the feature itself or computed from
    it. With the weights at zero that read a feature, the output must not depend on it any more.

    Parameters
    ----------
    network : Network
        The network; it is left as it is.

    Returns
    -------
    features : InputFeatures
        What there is.

    Raises
    ------
    UntraceableError
        If features cannot be told apart, or are used in another way too.
    """
    who, inputs = type(network.module).__name__, network.inputs
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        what = f"{inputs.dtype} codes" if isinstance(inputs, Tensor) else "several inputs by name"
        raise UntraceableError(
            f"{who} reads {what}, and only the features of a single input of real numbers can be "
            "removed. Use structure='weight'."
        )
    trial = _Trial(network)
    views = {view for call in trial.calls(inputs) if (view := _view(call, inputs)) is not None}
    if not views:
        raise UntraceableError(
            f"No layer of {who} is given its input as it is, so that features cannot be told "
            "apart: a linear or recurrent layer that reads its last dimension, a linear one that "
            "reads it flattened, or a convolution that reads its channels. Use structure='weight'."
        )
    for view in sorted(views):
        try:
            weights = trial.weights(view)
        except Exception as error:
            raise UntraceableError(
                f"The input features of {who} cannot be told apart, since it fails on disturbed "
                f"inputs: {error} Use structure='weight'."
            ) from error
        if weights is not None:
            axis = view.dim if view.shape == tuple(inputs.shape) else None
            return InputFeatures(axis, view.shape[view.dim], weights)
    raise UntraceableError(
        f"The input features of {who} cannot be removed: with the weights at zero that read a "
        "feature, the output still depends on it. The network mixes the features before a layer "
        "reads them, or uses its input in another way too, such as a skip connection. Use "
        "structure='weight'."
    )


class _Trial:
    """Disturbs the input of a copy of a network, and looks at what moves.

    The copy has weights of its own a little off, lest one hides a path that is zero.
    """

    def __init__(self, network: Network) -> None:
        self._names = {id(weight): name for name, weight in network.weights.items()}
        self._original = network.module
        self._network = network.copy()
        self._inputs = network.inputs
        self._generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self._network.module.parameters():
                scale = 0.1 * (parameter.abs().mean() + 0.1)
                parameter.add_(scale * self._noise(parameter))

    def calls(self, inputs: Tensor) -> list[_Call]:
        """Note what each layer that can read the input is given, call by call."""
        calls: list[_Call] = []

        def note(name: str) -> Any:
            def hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                given = args[0] if args else next(iter(kwargs.values()), None)
                if isinstance(given, Tensor):
                    calls.append(_Call(name, layer_for(layer), given.detach().clone()))

            return hook

        handles = [
            layer.register_forward_pre_hook(note(name), with_kwargs=True)
            for name, layer in self._network.module.named_modules()
            if layer_for(layer).reads_features
        ]
        try:
            outputs_of(self._network, inputs)
        finally:
            for handle in handles:
                handle.remove()
        return calls

    def weights(self, view: _View) -> dict[str, Tensor] | None:
        """Say which feature each weight reads; None if the output depends on it otherwise."""
        before = self.calls(self._inputs)
        alone, moved = [True] * len(before), [False] * len(before)
        for some in _halves(view.shape[view.dim]):
            after = self.calls(self._disturbed(view, some))
            for i, (one, other) in enumerate(zip(before, after, strict=True)):
                if _view(one, self._inputs) == view:
                    columns = (one.given != other.given).movedim(view.dim, 0).flatten(1).any(1)
                    alone[i] &= not (columns.cpu() & ~some).any()
                    moved[i] |= bool(columns.any())
        readers = [
            call.name
            for call, *how in zip(before, alone, moved, strict=True)
            if all(how) and _view(call, self._inputs) == view
        ]
        features = {}
        for name in dict.fromkeys(readers):
            for weight, feature in layer_for(self._original.get_submodule(name)).features():
                if id(weight) in self._names:
                    features[self._names[id(weight)]] = feature
        return features if features and self._suffice(view, features) else None

    def _suffice(self, view: _View, features: dict[str, Tensor]) -> bool:
        """Whether the output no longer depends on features without the weights that read them."""
        weights = self._network.weights
        saved = {name: weights[name].detach().clone() for name in features}
        for some in _halves(view.shape[view.dim]):
            with torch.no_grad():
                for name, feature in features.items():
                    weights[name].copy_(saved[name] * ~some.to(feature.device)[feature])
            disturbed = outputs_of(self._network, self._disturbed(view, some))
            if not same_outputs(disturbed, outputs_of(self._network, self._inputs)):
                return False
        return True

    def _disturbed(self, view: _View, features: Tensor) -> Tensor:
        seen = self._inputs.reshape(view.shape)
        shape = [-1 if dim == view.dim else 1 for dim in range(seen.dim())]
        noise = self._noise(seen) * features.view(shape).to(seen.device)
        return (seen + noise * (1 + seen.abs())).view(self._inputs.shape)

    def _noise(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self._generator).to(like)


def _halves(n_features: int) -> Iterator[Tensor]:
    """Mark about half of the features at a time, so that each two are told apart by some mark."""
    numbers = torch.arange(n_features)
    for bit in range(max(1, (n_features - 1).bit_length())):
        marked = (numbers >> bit) % 2 == 1
        yield from (half for half in (marked, ~marked) if half.any())


def _view(call: _Call, inputs: Tensor) -> _View | None:
    """How a layer sees the input, if it may be the input that it is given."""
    dim = call.layer.feature_dim(call.given, inputs)
    return None if dim is None else _View(tuple(call.given.shape), dim)
