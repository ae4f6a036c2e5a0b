"""What a plain torch module learns, as the engine and the recoveries see it."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skprune._sklearn import InvalidParameterError
from skprune.network.forward import first_output, module_device, run_module
from skprune.network.network import Network
from skprune.pruning.batches import BatchSamples, Loss, NoSamples
from skprune.pruning.outputs import (
    BinaryOutputs,
    ClassOutputs,
    LabelOutputs,
    Outputs,
    ValueOutputs,
)
from skprune.strategies.learning import FitData, FrozenNetwork
from skprune.strategies.recovery.teachers import Teacher

__all__ = ["LossOutputs", "TorchLearning", "outputs_of"]

_CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss, functional.cross_entropy, functional.nll_loss)
_LABELS = (nn.BCEWithLogitsLoss, functional.binary_cross_entropy_with_logits)
_PROBABILITIES = (nn.BCELoss, functional.binary_cross_entropy)
_VALUES = (
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    functional.mse_loss,
    functional.l1_loss,
    functional.smooth_l1_loss,
    functional.huber_loss,
)


class LossOutputs:
    """What the outputs of a module mean to a loss of torch.

    Parameters
    ----------
    loss : callable
        A loss of ``torch.nn`` or ``torch.nn.functional``.
    target_shape : tuple of int
        The shape of the target of a row.

    Raises
    ------
    InvalidParameterError
        If it is another, of which that is not known.
    """

    def __init__(self, loss: Any, target_shape: tuple[int, ...]) -> None:
        self._loss = loss
        if _is_one_of(loss, _CLASSES):
            self.kind = "classes"
        elif _is_one_of(loss, (*_LABELS, *_PROBABILITIES)):
            n_outputs = int(np.prod(target_shape, dtype=int))
            self.kind = "binary" if n_outputs == 1 else "labels"
        elif _is_one_of(loss, _VALUES):
            self.kind = "values"
        else:
            name = getattr(loss, "__name__", type(loss).__name__)
            raise InvalidParameterError(
                f"Distill has to know what the outputs of the network mean, and loss={name} does "
                "not tell. Use a loss of torch.nn, such as CrossEntropyLoss, BCEWithLogitsLoss or "
                "MSELoss."
            )

    @property
    def summed(self) -> bool:
        """Whether the loss of a batch is the sum of those of its rows, and not the mean."""
        return getattr(self._loss, "reduction", "mean") == "sum"

    def logits(self, outputs: Tensor) -> Tensor:
        """Give the logits of outputs: those of their probabilities where they are no logits."""
        if _is_one_of(self._loss, _PROBABILITIES):
            return torch.logit(outputs, eps=torch.finfo(outputs.dtype).eps)
        return outputs  # logarithms of probabilities are logits


def _is_one_of(loss: Any, known: tuple[Any, ...]) -> bool:
    return any(isinstance(loss, one) if isinstance(one, type) else loss is one for one in known)


def outputs_of(loss: Any, computed: Tensor) -> Outputs:
    """Say what makes predictions of a module's outputs, as far as its loss tells.

    Parameters
    ----------
    loss : callable or None
        The loss.
    computed : Tensor of shape (n_rows, ...)
        What the module puts out for a few rows.

    Returns
    -------
    outputs : Outputs
        Those of classes or labels for the losses of torch that are for these; otherwise the
        outputs are taken as they are.
    """
    shape = computed.shape[1:]
    if len(shape) == 1 and _is_one_of(loss, _CLASSES):
        logarithms = _is_one_of(loss, (nn.NLLLoss, functional.nll_loss))
        return ClassOutputs(nonlinearity=torch.exp if logarithms else "softmax")
    if len(shape) <= 1 and _is_one_of(loss, (*_LABELS, *_PROBABILITIES)):
        nonlinearity = "sigmoid" if _is_one_of(loss, _LABELS) else None
        several = len(shape) == 1 and shape[0] > 1
        return (LabelOutputs if several else BinaryOutputs)(nonlinearity=nonlinearity)
    return ValueOutputs()


class TorchLearning:
    """What a module learns; see :class:`~skprune.strategies.learning.Learning`.

    Parameters
    ----------
    network : Network
        The module under pruning.
    samples : BatchSamples or NoSamples
        The rows that it is trained on.
    loss : callable or None
        ``loss(outputs, targets)``.
    """

    rows_are_fixed = False

    def __init__(
        self, network: Network, samples: BatchSamples | NoSamples, loss: Loss | None
    ) -> None:
        self.network = network
        self.samples = samples
        self._loss = loss
        self._dense: FrozenNetwork | None = None

    @property
    def module(self) -> nn.Module:
        """The network as it is now."""
        return self.network.module

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return module_device(self.module)

    @property
    def data(self) -> FitData:
        """A few rows, for teachers to be tried on, and the numbers of the classes."""
        batch = next(self.samples.batches(2))
        if self.outputs.kind == "values":
            return FitData(_as_arrays(batch.inputs), None)
        with torch.no_grad():
            outputs = self.samples.outputs(self.module, batch.inputs)
        n_classes = 2 if self.outputs.kind == "binary" else outputs.shape[1]
        return FitData(_as_arrays(batch.inputs), np.arange(n_classes))

    @property
    def target_shape(self) -> tuple[int, ...]:
        """The shape of the target of a row."""
        return tuple(next(self.samples.batches(1)).targets.shape[1:])

    @property
    def outputs(self) -> LossOutputs:
        """What the network's outputs mean."""
        return LossOutputs(self._loss, self.target_shape)

    def check_loss(self) -> None:
        """Raise an error if there is no loss, or one that does not tell what the outputs mean."""
        self.samples.check("loss")
        LossOutputs(self._loss, self.target_shape)

    def over_all_rows(self, compute: Callable[[Any], Tensor]) -> np.ndarray:
        """Raise an error: batches may be others in each epoch."""
        raise AssertionError("rows are not fixed")

    def dense_network(self) -> FrozenNetwork:
        """Give the network as it was when this was first asked."""
        if self._dense is None:
            module = deepcopy(self.module).eval().requires_grad_(False)
            self._dense = FrozenNetwork(
                module, lambda inputs: first_output(run_module(module, inputs))
            )
        return self._dense

    def teacher(self, estimator: Any) -> Teacher:
        """Make a teacher of an estimator."""
        return Teacher(estimator)


def _as_arrays(inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return {name: _as_arrays(values) for name, values in inputs.items()}
    return inputs.detach().cpu().numpy() if isinstance(inputs, Tensor) else inputs
