"""Synaptic flow: what runs through a connection when all weights are positive."""

from copy import deepcopy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from skprune.network.layers import layer_for, weight_parameters
from skprune.strategies.importance.base import Importance, ScoringContext
from skprune.strategies.importance.gradients import differentiable, gradient, require_gradients

__all__ = ["SynFlow"]


class SynFlow(Importance):
    """Share of a weight in the sum of the outputs, for ones as inputs and absolute weights.

    No data are looked at. The score is the sum, over all paths from inputs to outputs that lead
    through a weight, of the products of the absolute weights on them. A unit sums the scores of
    all the weights that go with it. It is made to prune a network before it is trained
    (``start="init"``), in many rounds and with a global allocation: what enters a unit then is
    what leaves it, and no layer is emptied before the others.

    As in the paper's networks when they begin, biases and the means that norms subtract count as
    zero. Norms that compute their own statistics only scale, saturating activations are linear,
    and an embedding is given all its rows at once. Attention and recurrent layers are left
    as they are. The scores are computed in double precision, on a copy of the network.

    References
    ----------
    Tanaka, H., Kunin, D., Yamins, D. L. K., & Ganguli, S. (2020). Pruning neural networks without
    any data by iteratively conserving synaptic flow. Advances in Neural Information Processing
    Systems 33.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import Iterative
    >>> rounds = Iterative(n_steps=100, end=0.0)
    >>> PrunedClassifier(strategy=Strategy("synflow", "global", rounds, start="init"))
    PrunedClassifier(strategy=Strategy(allocation='global', importance='synflow',
                                       schedule=Iterative(end=0.0, n_steps=100),
                                       start='init'))
    """

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        network = context.elements.network
        module = deepcopy(network.module).double()
        _make_positive(module)
        weights = weight_parameters(module)
        ones = tree_map(_one_row_of_ones, network.inputs)
        with differentiable(module, weights), _Linear() as linear:
            flow = linear.before_softmax(context.samples.outputs(module, ones)).sum()
            gradients = gradient(flow, weights)
        scores = context.elements.sum_by_element(
            {name: g * weights[name].detach() for name, g in gradients.items()}
        )
        require_gradients(scores, context.elements)
        return scores


def _one_row_of_ones(values: Any) -> Any:
    if not isinstance(values, Tensor):
        return values
    return torch.ones_like(values[:1].double() if values.is_floating_point() else values[:1])


def _make_positive(module: nn.Module) -> None:
    """Take all signs, shifts and own statistics out of a network, in place."""
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        leaf = name.rpartition(".")[2]
        if "bias" in leaf or leaf == "running_mean":
            tensor.data.zero_()
        elif tensor.is_floating_point():
            tensor.data.abs_()
    for layer in module.modules():
        if layer_for(layer).normalizes or layer_for(layer).reads_codes:
            layer.register_forward_hook(_linearized)


def _linearized(layer: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor | None:
    return layer_for(layer).linearized(arguments, output)


class _Linear(TorchFunctionMode):
    """Computes without saturation, and remembers what went into each softmax."""

    _saturating: ClassVar = {
        "gelu",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "mish",
        "relu6",
        "sigmoid",
        "silu",
        "softplus",
        "softsign",
        "tanh",
    }

    def __init__(self) -> None:
        super().__init__()
        self._softmaxes: list[tuple[Any, Any]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").rstrip("_")
        if name in self._saturating and args:
            return args[0]
        result = func(*args, **(kwargs or {}))
        if name in ("softmax", "log_softmax") and args:
            self._softmaxes.append((args[0], result))
        return result

    def before_softmax(self, outputs: Tensor) -> Tensor:
        """Give what a softmax at the end was given, whose outputs add up to one."""
        return next((given for given, result in self._softmaxes if result is outputs), outputs)
