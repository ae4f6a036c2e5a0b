"""What a teacher adds to a network's loss: soft targets, and hints."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.network.dtypes import module_dtype
from skprune.network.forward import first_output
from skprune.seeding import preserve_rng
from skprune.strategies.hooks import TrainingHook
from skprune.strategies.learning import Learning, NetworkOutputs
from skprune.strategies.recovery.hints import Hints
from skprune.strategies.recovery.teachers import Teacher

__all__ = ["DistillationLoss", "divergence", "loss_of_estimator", "loss_of_network", "soften"]


class DistillationLoss:
    """What a teacher says of a network's rows, and how it counts in the loss.

    Parameters
    ----------
    network_outputs : NetworkOutputs
        What the network puts out.
    alpha : float
        The part of the loss that is the teacher's.
    temperature : float
        What logits are divided by.
    rows : ndarray of shape (n_samples, ...) or None
        Soft targets of all rows, where they are the same in each epoch.
    teach : callable
        Gives the soft targets of a batch: ``teach(inputs)``.
    hints : Hints, default=None
        Compares hidden activations.
    hint_weight : float, default=0.0
        How much that counts.
    """

    def __init__(
        self,
        network_outputs: NetworkOutputs,
        alpha: float,
        temperature: float,
        rows: np.ndarray | None,
        teach: Callable[[Any], Tensor],
        hints: Hints | None = None,
        hint_weight: float = 0.0,
    ) -> None:
        self.alpha = alpha
        self.temperature = temperature
        self.rows = rows
        self.hints = hints
        self.hint_weight = hint_weight
        self._outputs = network_outputs
        self._teach = teach

    @property
    def hooks(self) -> list[TrainingHook]:
        """What takes part in the training steps."""
        return [] if self.hints is None else [self.hints]

    def loss(
        self,
        own_loss: Callable[[Any], Tensor],
        outputs: Any,
        targets: Any,
        inputs: Any,
        soft: Any = None,
        weights: Any = None,
    ) -> Tensor:
        """Compute the loss of a training batch; see :class:`~skprune.strategies.stage.LossTerm`."""
        if soft is None:
            soft = self._teach(inputs)
        outputs = first_output(outputs)
        soft = torch.as_tensor(soft, device=outputs.device)
        if weights is not None:
            weights = torch.as_tensor(weights, device=outputs.device)
        kind, summed = self._outputs.kind, self._outputs.summed
        own = own_loss(targets)
        if kind == "values":
            taught = own_loss(soft)
        else:
            losses = divergence(soft, self._outputs.logits(outputs), self.temperature, kind)
            taught = self.temperature**2 * _reduced(losses, weights, summed=summed)
        loss = (1 - self.alpha) * own + self.alpha * taught
        if self.hints is None:
            return loss
        hints = _reduced(self.hints.losses(len(outputs)), weights, summed=summed)
        return loss + self.hint_weight * hints


def loss_of_estimator(
    teacher: Teacher, learning: Learning, alpha: float, temperature: float
) -> DistillationLoss:
    """Have a fitted estimator say what it knows of the rows that a network is trained on.

    Parameters
    ----------
    teacher : Teacher
        The estimator.
    learning : Learning
        What the network learns.
    alpha, temperature : float
        See :class:`~skprune.strategies.Distill`.

    Returns
    -------
    loss : DistillationLoss
        With the soft targets of all rows, where the data do not change from epoch to epoch.
    """
    kind, classes = learning.outputs.kind, learning.data.classes

    def teach(inputs: Any) -> Tensor:
        with preserve_rng(learning.device):
            if classes is None:
                soft = torch.from_numpy(teacher.targets(_as_arrays(inputs), learning.target_shape))
            else:
                logits = teacher.logits(_as_arrays(inputs), classes, kind)
                soft = soften(torch.from_numpy(logits), temperature, kind)
                if kind == "binary":  # one number a row, in a column or not
                    soft = soft.reshape(len(soft), *learning.target_shape)
        return soft.to(module_dtype(learning.module))

    rows = teach(learning.data.X).numpy() if learning.rows_are_fixed else None
    return DistillationLoss(learning.outputs, alpha, temperature, rows, teach)


def loss_of_network(
    learning: Learning,
    alpha: float,
    temperature: float,
    hints: Sequence[str],
    hint_weight: float,
) -> DistillationLoss:
    """Have the dense network say what it knows of the rows that a network is trained on.

    Parameters
    ----------
    learning : Learning
        What the network learns.
    alpha, temperature, hints, hint_weight
        See :class:`~skprune.strategies.Distill`.

    Returns
    -------
    loss : DistillationLoss
        With the soft targets of all rows, where the data do not change from epoch to epoch and
        there are no hints.
    """
    outputs, dense = learning.outputs, learning.dense_network()
    compared = Hints(hints, learning.module, dense.module) if hints else None

    def softened(inputs: Any) -> Tensor:
        computed = first_output(dense.outputs(inputs))
        if outputs.kind == "values":
            return computed
        return soften(outputs.logits(computed), temperature, outputs.kind)

    def teach(inputs: Any) -> Tensor:
        listening = nullcontext() if compared is None else compared.listening()
        with torch.no_grad(), preserve_rng(learning.device), listening:
            return softened(inputs)

    rows = None
    if compared is None and learning.rows_are_fixed:
        with preserve_rng(learning.device):
            rows = learning.over_all_rows(softened)
    return DistillationLoss(outputs, alpha, temperature, rows, teach, compared, hint_weight)


def soften(logits: Tensor, temperature: float, kind: str) -> Tensor:
    """Make soft targets of logits.

    Parameters
    ----------
    logits : Tensor of shape (n_rows, n_classes), (n_rows,) or (n_rows, n_labels)
        The teacher's.
    temperature : float
        What they are divided by.
    kind : {"classes", "binary", "labels"}
        Whether the classes of a row exclude each other.

    Returns
    -------
    probabilities : Tensor
        In the shape of the logits.
    """
    scaled = logits / temperature
    return scaled.softmax(1) if kind == "classes" else scaled.sigmoid()


def divergence(soft: Tensor, logits: Tensor, temperature: float, kind: str) -> Tensor:
    """Compute the Kullback-Leibler divergence of a net's softened outputs from soft targets.

    Its gradient is that of the cross entropy; it is zero where the two agree.

    Parameters
    ----------
    soft : Tensor of shape (n_rows, n_classes), (n_rows,) or (n_rows, n_labels)
        Soft targets, made with the same temperature.
    logits : Tensor
        The net's, in the same shape.
    temperature : float
        What they are divided by.
    kind : {"classes", "binary", "labels"}
        Whether the classes of a row exclude each other.

    Returns
    -------
    divergence : Tensor of shape (n_rows,)
        Of each row; the mean over labels where there are several.
    """
    scaled = logits / temperature
    if kind == "classes":
        return (torch.xlogy(soft, soft) - soft * scaled.log_softmax(1)).sum(1)
    log_q, log_not_q = nn.functional.logsigmoid(scaled), nn.functional.logsigmoid(-scaled)
    losses = torch.xlogy(soft, soft) - soft * log_q
    losses = losses + torch.xlogy(1 - soft, 1 - soft) - (1 - soft) * log_not_q
    return losses.reshape(len(losses), -1).mean(1)


def _reduced(losses: Tensor, weights: Tensor | None, *, summed: bool) -> Tensor:
    """Make one number of the losses of rows, as the network's own loss does it."""
    if weights is None:
        return losses.sum() if summed else losses.mean()
    weights = weights.to(losses.dtype)
    total = (losses * weights).sum()
    return total if summed else total / weights.sum().clamp(min=torch.finfo(losses.dtype).tiny)


def _as_arrays(X: Any) -> Any:
    if isinstance(X, Mapping):
        return {key: _as_arrays(value) for key, value in X.items()}
    return X.detach().cpu().numpy() if isinstance(X, Tensor) else X
