"""What a teacher adds to a net's loss: soft targets, and hints."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.utils import to_tensor
from torch import Tensor, nn
from torch.utils.data import DataLoader

from skprune.network.chunks import forward_in_chunks
from skprune.network.dtypes import module_dtype
from skprune.seeding import preserve_rng
from skprune.strategies.hooks import TrainingHook
from skprune.training.hints import Hints
from skprune.training.inference import sigmoid_of_labels
from skprune.training.loading import takes_rows_as_they_are
from skprune.training.nets import first_output, is_binary
from skprune.training.rows import Rows
from skprune.training.teachers import FitData, predicted_logits, predicted_targets

__all__ = [
    "DistillationLoss",
    "divergence",
    "frozen_copy",
    "lesson_of_estimator",
    "lesson_of_network",
    "soften",
]


class DistillationLoss:
    """What a teacher says of a net's rows, and how it counts in the loss.

    Parameters
    ----------
    kind : {"classes", "binary", "labels", "values"}
        What the net puts out: a number for each class, one for two classes, one for each label, or
        what is to be predicted itself.
    alpha : float
        The part of the loss that is the teacher's.
    temperature : float
        What logits are divided by.
    rows : ndarray of shape (n_samples, ...) or None
        Soft targets of all rows, where they are the same in each epoch.
    teach : callable
        Gives the soft targets of a batch: ``teach(net, inputs)``.
    hints : Hints or None
        Compares hidden activations.
    hint_weight : float
        How much that counts.
    """

    def __init__(
        self,
        kind: str,
        alpha: float,
        temperature: float,
        rows: np.ndarray | None,
        teach: Callable[[NeuralNet, Any], Tensor],
        hints: Hints | None = None,
        hint_weight: float = 0.0,
    ) -> None:
        self.kind = kind
        self.alpha = alpha
        self.temperature = temperature
        self.rows = rows
        self.hints = hints
        self.hint_weight = hint_weight
        self._teach = teach

    @property
    def hooks(self) -> list[TrainingHook]:
        """What takes part in the training steps."""
        return [] if self.hints is None else [self.hints]

    def loss(
        self,
        net: NeuralNet,
        own_loss: Callable[[Any], Tensor],
        outputs: Any,
        targets: Any,
        X: Any,
        soft: Any,
        weight: Any,
    ) -> Tensor:
        """Compute the loss of a training batch.

        Parameters
        ----------
        net : NeuralNet
            The net in training.
        own_loss : callable
            Gives its own loss for targets.
        outputs : Tensor, or tuple of Tensor
            What its module gives.
        targets : Tensor
            The targets.
        X : Tensor, mapping of Tensor, or None
            The inputs.
        soft : Tensor or None
            The soft targets, where they came with the batch.
        weight : Tensor or None
            The weights of the rows.

        Returns
        -------
        loss : Tensor of shape ()
            The two losses and the hints, each by its weight.
        """
        if soft is None:
            if X is None:
                raise ValueError(
                    f"{type(net).__name__} calls get_loss without X, so that the teacher of "
                    "Distill has no rows to look at. Pass X=X to get_loss."
                )
            soft = self._teach(net, X)
        outputs = first_output(outputs)
        soft = to_tensor(soft, device=outputs.device)
        if weight is not None:
            weight = to_tensor(weight, device=outputs.device)
        own = own_loss(targets)
        if self.kind == "values":
            taught = own_loss(soft)
        else:
            losses = divergence(soft, _logits(net, outputs, self.kind), self.temperature, self.kind)
            taught = self.temperature**2 * _reduced(losses, weight, net.criterion_)
        loss = (1 - self.alpha) * own + self.alpha * taught
        if self.hints is None:
            return loss
        hints = _reduced(self.hints.losses(len(outputs)), weight, net.criterion_)
        return loss + self.hint_weight * hints


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


def _reduced(losses: Tensor, weight: Tensor | None, criterion: Any) -> Tensor:
    """Make one number of the losses of rows, as the net's criterion does it."""
    summed = getattr(criterion, "reduction", "mean") == "sum"
    if weight is None:
        return losses.sum() if summed else losses.mean()
    weight = weight.to(losses.dtype)
    total = (losses * weight).sum()
    return total if summed else total / weight.sum().clamp(min=torch.finfo(losses.dtype).tiny)


def _logits(net: NeuralNet, outputs: Tensor, kind: str) -> Tensor:
    """Give the logits of a net's outputs: those of its probabilities where it has others."""
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


def lesson_of_estimator(
    teacher: Any, net: NeuralNet, y: np.ndarray, given: FitData, alpha: float, temperature: float
) -> DistillationLoss:
    """Have a fitted estimator say what it knows of the rows that a net is trained on.

    Parameters
    ----------
    teacher : estimator
        The estimator.
    net : NeuralNet
        The net.
    y : ndarray of shape (n_samples, ...)
        The targets as the net takes them.
    given : FitData
        The inputs as the teacher takes them, and the classes.
    alpha, temperature : float
        See :class:`~skprune.strategies.Distill`.

    Returns
    -------
    lesson : DistillationLoss
        With the soft targets of all rows, where the data do not change from epoch to epoch.
    """
    kind, classes = _kind(net, y, given), given.classes

    def teach(net: NeuralNet, X: Any) -> Tensor:
        with preserve_rng(net.device):
            if classes is None:
                soft = torch.from_numpy(predicted_targets(teacher, _as_arrays(X), y.shape[1:]))
            else:
                logits = predicted_logits(teacher, _as_arrays(X), classes, kind)
                soft = soften(torch.from_numpy(logits), temperature, kind)
        return soft.to(module_dtype(net.module_))

    rows = teach(net, given.X).numpy() if _trains_on_rows_as_they_are(net, given.X) else None
    return DistillationLoss(kind, alpha, temperature, rows, teach)


def lesson_of_network(
    dense: NeuralNet,
    net: NeuralNet,
    X: Any,
    y: np.ndarray,
    given: FitData,
    alpha: float,
    temperature: float,
    hints: Sequence[str],
    hint_weight: float,
) -> DistillationLoss:
    """Have the dense network say what it knows of the rows that a net is trained on.

    Parameters
    ----------
    dense : NeuralNet
        The net with the dense network; see :func:`frozen_copy`.
    net : NeuralNet
        The net.
    X : array or mapping of arrays
        The inputs as the net takes them.
    y : ndarray of shape (n_samples, ...)
        The targets as the net takes them.
    given : FitData
        Has the classes.
    alpha, temperature, hints, hint_weight
        See :class:`~skprune.strategies.Distill`.

    Returns
    -------
    lesson : DistillationLoss
        With the soft targets of all rows, where the data do not change from epoch to epoch and
        there are no hints.
    """
    kind = _kind(net, y, given)
    compared = Hints(hints, net.module_, dense.module_) if hints else None

    def softened(outputs: Any) -> Tensor:
        outputs = first_output(outputs)
        if kind == "values":
            return outputs
        return soften(_logits(dense, outputs, kind), temperature, kind)

    def teach(net: NeuralNet, X: Any) -> Tensor:
        listening = nullcontext() if compared is None else compared.listening()
        with torch.no_grad(), preserve_rng(net.device), listening:
            return softened(dense.infer(X))

    rows = None
    if compared is None and _trains_on_rows_as_they_are(net, given.X):
        device = next((p.device for p in dense.module_.parameters()), torch.device("cpu"))
        with preserve_rng(device):
            rows = forward_in_chunks(lambda chunk: softened(dense.infer(chunk)), X, device)
    return DistillationLoss(kind, alpha, temperature, rows, teach, compared, hint_weight)


def frozen_copy(net: NeuralNet) -> NeuralNet:
    """Copy a net's modules into a net that shares all else, and only computes outputs.

    Parameters
    ----------
    net : NeuralNet
        The net.

    Returns
    -------
    frozen : NeuralNet
        In evaluation mode; nothing of it is trained.
    """
    frozen: NeuralNet = object.__new__(type(net))
    modules = deepcopy({f"{name}_": getattr(net, f"{name}_") for name in net._modules})
    for module in modules.values():
        module.eval().requires_grad_(False)
    vars(frozen).update(vars(net), **modules)
    return frozen


def _kind(net: NeuralNet, y: np.ndarray, given: FitData) -> str:
    if given.classes is None:
        return "values"
    if is_binary(net):
        return "binary"
    return "labels" if y.ndim == 2 else "classes"


def _trains_on_rows_as_they_are(net: NeuralNet, X: Any) -> bool:
    """Whether a net is trained on the same rows in each epoch."""
    steps = ("fit_loop", "run_single_epoch", "train_step", "train_step_single")
    return (
        not isinstance(X, Rows)
        and takes_rows_as_they_are(net)
        and net.iterator_train is DataLoader
        and not hasattr(net, "iterator_train__collate_fn")
        and all(getattr(type(net), step) is getattr(NeuralNet, step) for step in steps)
    )


def _as_arrays(X: Any) -> Any:
    if isinstance(X, Mapping):
        return {key: _as_arrays(value) for key, value in X.items()}
    return X.detach().cpu().numpy() if isinstance(X, Tensor) else X
