"""Pruning a plain torch module in one call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune._sklearn import InvalidParameterError
from skprune.network.forward import module_device
from skprune.pruning.arguments import check_parameters
from skprune.pruning.batches import BatchSamples, Loss
from skprune.pruning.pruned_module import PrunedModule
from skprune.pruning.pruner import Pruner
from skprune.pruning.torch_trainer import MakeOptimizer, TorchTrainer
from skprune.seeding import seeded
from skprune.strategies.strategy import Strategy
from skprune.strategies.target import Target
from skprune.structures import Structure

__all__ = ["prune"]


def prune(
    module: nn.Module,
    example_inputs: Any,
    *,
    strategy: str | Strategy = "magnitude",
    sparsity: float | Target | None = 0.8,
    budget: str = "elements",
    structure: str | Structure = "weight",
    protect: Sequence[str | type[nn.Module]] | None = None,
    data: Any = None,
    loss: Loss | None = None,
    train: Callable[[nn.Module, int], object] | None = None,
    epochs: int = 0,
    fine_tune_epochs: int | None = None,
    optimizer: MakeOptimizer = torch.optim.Adam,
    lr: float = 1e-3,
    batch_size: int = 128,
    steps_per_epoch: int | None = None,
    initial_state: Mapping[str, Tensor] | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> PrunedModule:
    """Prune a torch module, and train what is left.

    Parameters
    ----------
    module : nn.Module
        The network. It is copied, and never modified.
    example_inputs : Tensor, tuple of Tensor, or mapping of str to Tensor
        A few rows of what the module takes: its argument, several in their order, or by name.
    strategy : str or Strategy, default="magnitude"
        How to prune; see :class:`~skprune.PrunedClassifier`.
    sparsity : float, Target or None, default=0.8
        The fraction of the budget that is removed, or a :class:`~skprune.Target`; see
        :class:`~skprune.PrunedClassifier`.
    budget : {"elements", "weights", "parameters", "macs", "bytes"}, default="elements"
        What the sparsity is counted in; see :class:`~skprune.Target`.
    structure : str or Structure, default="weight"
        What is removed together; see :class:`~skprune.PrunedClassifier`.
    protect : list of str or type, default=None
        Layers that keep their weights and units: names, patterns of names, types of layers.
    data : DataLoader, iterable of batches, or pair of tensors, default=None
        What the module is trained on. A batch is a pair of inputs and targets; a pair of tensors
        holds those of all rows. Strategies that neither look at data nor train need none:
        ``"magnitude"``, ``"random"`` and ``"synflow"`` with ``fine_tune_epochs=0``.
    loss : callable, default=None
        ``loss(outputs, targets)``, such as ``torch.nn.CrossEntropyLoss()``.
    train : callable, default=None
        Your own training loop: ``train(module, epochs)`` trains the module in place, with
        whatever optimizer and data it has. The module comes in training mode, and masks hold after
        each step. None stands for skprune's own loop over `data`, with `optimizer` and `lr`.
    epochs : int, default=0
        Epochs of training that the module needs before it is pruned; 0 for one that is trained.
        With a strategy that prunes first, or early, all epochs of the training.
    fine_tune_epochs : int, default=None
        Epochs that what is left is trained for, all steps together. None stands for half of
        `epochs`, or 10 where that is 0, and for none where there is nothing to train with; a
        strategy that starts over, such as a lottery ticket, has as many for each step, and one
        that prunes early none.
    optimizer : callable, default=torch.optim.Adam
        Makes the optimizer of skprune's own loop: ``optimizer(parameters, lr=lr)``. Other
        arguments can be fixed by ``functools.partial``.
    lr : float, default=1e-3
        Learning rate of skprune's own loop.
    batch_size : int, default=128
        Rows of a batch, where `data` is a pair of tensors.
    steps_per_epoch : int, default=None
        Steps that the optimizer of `train` takes in an epoch, for strategies that take part in
        them; the number of batches of `data` if None. With gradients accumulated over several
        batches there are fewer.
    initial_state : mapping of str to Tensor, default=None
        The ``state_dict`` that the module began its training with, for strategies that go back
        to it (lottery tickets). Without it they need `epochs`.
    random_state : int, RandomState instance or None, default=None
        Seed of random scores, and of batches and dropout in skprune's own loop.

    Returns
    -------
    pruned : PrunedModule
        The compact ``module``, its ``masks``, the ``report``, and more.

    Raises
    ------
    InvalidParameterError
        If there is nothing to train with and the strategy has to; the message says what is missing.
    UnreachableSparsityError
        If the target would empty a layer.
    UntraceableError
        If units are asked for and the network's graph cannot be followed.
    DivergedError
        If a loss or a weight is not finite.

    See Also
    --------
    Pruner : The same in steps, for a loop of your own.
    PrunedClassifier : The same as a scikit-learn estimator.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from skprune import prune
    >>> X, y = torch.randn(64, 6), torch.randint(3, (64,))
    >>> module = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    >>> pruned = prune(
    ...     module,
    ...     X[:8],
    ...     structure="unit",
    ...     sparsity=0.75,
    ...     data=(X, y),
    ...     loss=nn.CrossEntropyLoss(),
    ...     random_state=0,
    ... )
    >>> pruned.module[0]
    Linear(in_features=6, out_features=4, bias=True)
    """
    check_parameters(
        "prune",
        sparsity=sparsity,
        budget=budget,
        protect=protect,
        train=train,
        epochs=epochs,
        fine_tune_epochs=fine_tune_epochs,
        optimizer=optimizer,
        lr=lr,
        loss=loss,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        initial_state=initial_state,
        random_state=random_state,
    )
    can_train = train is not None or (data is not None and loss is not None)
    if fine_tune_epochs is None and not can_train:
        fine_tune_epochs = 0
    if (epochs or fine_tune_epochs) and not can_train:
        missing = "data" if data is None else "loss"
        raise InvalidParameterError(
            f"There are epochs to train for, and {missing} is missing to train with. Pass data and "
            "loss, or train, or set epochs and fine_tune_epochs to 0."
        )
    pruner = Pruner(
        module,
        example_inputs,
        strategy=strategy,
        sparsity=sparsity,
        budget=budget,
        structure=structure,
        protect=protect,
        data=data,
        loss=loss,
        epochs=epochs,
        fine_tune_epochs=fine_tune_epochs,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        initial_state=initial_state,
        random_state=random_state,
    )
    if train is not None:
        return _train_by(train, pruner)
    return _train_alone(pruner, optimizer, lr)


def _train_by(train: Callable[[nn.Module, int], object], pruner: Pruner) -> PrunedModule:
    _refuse_loss_term(pruner.strategy.recovery.changes_loss)
    for stage in pruner:
        _refuse_loss_term(stage.loss_term is not None)  # of a recovery that does not declare it
        train(pruner.module, stage.epochs)
    return pruner.result


def _refuse_loss_term(has_one: bool) -> None:
    if has_one:
        raise InvalidParameterError(
            "The strategy has a teacher that adds to the loss, and train computes a loss of its "
            "own. Leave train out, or use a Pruner, whose stages have the loss_term."
        )


def _train_alone(pruner: Pruner, optimizer: MakeOptimizer, lr: float) -> PrunedModule:
    device = module_device(pruner.module)
    samples = pruner.samples
    if not isinstance(samples, BatchSamples):
        list(pruner.stages())
        return pruner.result
    trainer = TorchTrainer(pruner.network, samples, optimizer, lr)
    with seeded(pruner.seeds["dense"], device):
        for stage in pruner.dense_stages():
            trainer.train(stage)
    with seeded(pruner.seeds["fine_tune"], device):
        for stage in pruner.pruning_stages():
            trainer.train(stage)
    return replace(pruner.result, history=trainer.history)
