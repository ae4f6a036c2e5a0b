"""Training a plain torch module, stage by stage."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from skprune.exceptions import DivergedError
from skprune.network.divergence import check_finite_weights
from skprune.network.forward import run_module
from skprune.network.masking import Masking
from skprune.network.network import Network
from skprune.pruning.batches import BatchSamples
from skprune.strategies.hooks import TrainingHook, TrainingRun, taking_part
from skprune.strategies.stage import DENSE, Stage

__all__ = ["MakeOptimizer", "TorchTrainer"]

# Makes an optimizer of parameters: ``make(parameters, lr=lr)``, as the classes of torch do.
MakeOptimizer = Callable[..., torch.optim.Optimizer]


class TorchTrainer:
    """Trains a network by torch alone, under its masks.

    Each stage has an optimizer of its own; the parts of the dense training have one together.

    Parameters
    ----------
    network : Network
        The module under pruning.
    samples : BatchSamples
        The rows, and the loss.
    optimizer : callable
        Makes an optimizer: ``optimizer(parameters, lr=lr)``.
    lr : float
        The learning rate.

    Attributes
    ----------
    history : list of dict
        For each epoch its number, its stage and its ``train_loss``.
    """

    def __init__(
        self, network: Network, samples: BatchSamples, optimizer: MakeOptimizer, lr: float
    ) -> None:
        self.network = network
        self.history: list[dict[str, Any]] = []
        self._samples = samples
        self._make_optimizer = optimizer
        self._lr = lr
        self._dense_optimizer: torch.optim.Optimizer | None = None

    def train(self, stage: Stage) -> None:
        """Train for a stage.

        Parameters
        ----------
        stage : Stage
            For how long, and how.

        Raises
        ------
        DivergedError
            If a loss or a weight is not finite.
        """
        module, optimizer = self.network.module, self._optimizer(stage)
        masking = Masking(self.network)
        run = TrainingRun(stage.epochs * self._samples.n_batches, optimizer)
        with ExitStack() as stack:
            hooks: list[TrainingHook] = []
            if stage.hooks:
                hooks = stack.enter_context(taking_part(run, stage.hooks))
            module.train()
            stack.callback(module.eval)
            for _ in range(stage.epochs):
                losses = [
                    self._step(stage, optimizer, hooks, masking, *pair)
                    for pair in self._samples.pairs()
                ]
                self._note_epoch(stage, losses)
        masking.mask()
        check_finite_weights(module, stage.purpose)

    def _step(
        self,
        stage: Stage,
        optimizer: torch.optim.Optimizer,
        hooks: Iterable[TrainingHook],
        masking: Masking,
        inputs: Any,
        targets: Any,
    ) -> Tensor:
        module, samples, losses = self.network.module, self._samples, []

        def compute() -> Tensor:
            for hook in hooks:
                hook.before_forward()
            optimizer.zero_grad()
            outputs = run_module(module, inputs)
            if stage.loss_term is None:
                loss = samples.loss_of(outputs, targets)
            else:
                loss = stage.loss_term.loss(
                    lambda wanted: samples.loss_of(outputs, wanted), outputs, targets, inputs
                )
            loss.backward()
            for hook in hooks:
                hook.after_backward()
            if isinstance(optimizer, torch.optim.LBFGS):
                # Its line search judges by the gradients how far the loss should fall.
                masking.mask_gradients()
            losses.append(loss.detach())
            return loss.detach()

        optimizer.step(compute)  # type: ignore[arg-type]
        if not any(hook.uncovers for hook in hooks):
            masking.mask()
        for hook in hooks:
            hook.after_step()
        if hooks:
            masking.mask()
        return losses[0]

    def _optimizer(self, stage: Stage) -> torch.optim.Optimizer:
        """Make an optimizer; a dense training that comes in parts goes on with its own."""
        if stage.purpose == DENSE and self._dense_optimizer is not None:
            return self._dense_optimizer
        parameters: list[nn.Parameter] = list(self.network.module.parameters())
        optimizer = self._make_optimizer(parameters, lr=self._lr if stage.lr is None else stage.lr)
        self._dense_optimizer = optimizer if stage.purpose == DENSE else None
        return optimizer

    def _note_epoch(self, stage: Stage, losses: list[Tensor]) -> None:
        mean = float(torch.stack(losses).mean()) if losses else float("nan")
        epoch = len(self.history) + 1
        self.history.append({"epoch": epoch, "stage": stage.purpose, "train_loss": mean})
        if not isfinite(mean):
            raise DivergedError(
                f"The network diverged while {stage.purpose}: the mean training loss of epoch "
                f"{epoch} is {mean}. Try a smaller learning rate, or scale the data."
            )
