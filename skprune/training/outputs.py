"""What the outputs of a net mean to its loss."""

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from skprune.strategies.learning import FitData
from skprune.training.inference import sigmoid_of_labels
from skprune.training.nets import is_binary

__all__ = ["NetOutputs"]


class NetOutputs:
    """What the outputs of a net mean; see :class:`~skprune.strategies.learning.NetworkOutputs`.

    Parameters
    ----------
    net : NeuralNet
        The net.
    data : FitData
        What it is fitted on.
    target_shape : tuple of int
        The shape of the target of a row, as the loss takes it.
    """

    def __init__(self, net: NeuralNet, data: FitData, target_shape: tuple[int, ...]) -> None:
        self._net = net
        self.kind = _kind(net, data, target_shape)

    @property
    def summed(self) -> bool:
        """Whether the loss of a batch is the sum of those of its rows, and not the mean."""
        return getattr(self._net.criterion_, "reduction", "mean") == "sum"

    def logits(self, outputs: Tensor) -> Tensor:
        """Give the logits of outputs: those of their probabilities where they are no logits."""
        net, kind = self._net, self.kind
        own = nn.CrossEntropyLoss if kind == "classes" else nn.BCEWithLogitsLoss
        if net.predict_nonlinearity == "auto" and isinstance(net.criterion_, own):
            return outputs
        nonlinearity = None if kind == "classes" else sigmoid_of_labels(net)
        probabilities = (nonlinearity or net._get_predict_nonlinearity())(outputs)
        _require_probabilities(net, probabilities.detach(), kind)
        if kind == "classes":
            # As skorch does it for NLLLoss.
            return torch.log(probabilities + torch.finfo(probabilities.dtype).eps)
        if probabilities.dim() > outputs.dim():
            probabilities = probabilities[:, 1]
        return torch.logit(probabilities, eps=torch.finfo(probabilities.dtype).eps)


def _kind(net: NeuralNet, data: FitData, target_shape: tuple[int, ...]) -> str:
    if data.classes is None:
        return "values"
    if is_binary(net):
        return "binary"
    return "labels" if target_shape else "classes"


def _require_probabilities(net: NeuralNet, outputs: Tensor, kind: str) -> None:
    """Raise an error if outputs are something else, such as logits for a criterion of its own."""
    rounding = torch.finfo(outputs.dtype).eps ** 0.5
    what = None
    # Those of a network that has diverged (NaN) pass: its loss is told.
    if ((outputs < -rounding) | (outputs > 1 + rounding)).any():
        what = f"lie between {float(outputs.min()):.3g} and {float(outputs.max()):.3g}"
    elif kind == "classes" and ((outputs.sum(1) - 1).abs() > rounding).any():
        what = "do not sum to one in each row"
    if what is not None:
        name, criterion = type(net).__name__, type(net.criterion_).__name__
        raise ValueError(
            f"Distill compares probabilities, and the outputs of {name} {what}, with the criterion "
            f"{criterion} and predict_nonlinearity={net.predict_nonlinearity!r}. Set that to what "
            "makes probabilities of them, such as a softmax over the classes or a sigmoid."
        )
