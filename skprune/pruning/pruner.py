"""Pruning a plain torch module, step by step, by whatever training loop there is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor, nn

from skprune._sklearn import InvalidParameterError
from skprune.components import resolve
from skprune.metrics.report import PruningReport, measure
from skprune.network.forward import first_output, module_device, run_module
from skprune.network.masking import Masked
from skprune.network.network import Network, all_tensors
from skprune.pruning.arguments import (
    check_example,
    check_module,
    check_parameters,
    check_state,
)
from skprune.pruning.batches import BatchSamples, Loss, NoSamples, as_loader, to_device
from skprune.pruning.checks import check_epochs, check_steps, takes_part
from skprune.pruning.learning import TorchLearning, outputs_of
from skprune.pruning.peers import Peers
from skprune.pruning.predictor import Predictor
from skprune.pruning.pruned_module import PrunedModule
from skprune.pruning.run import N_CHECK_ROWS, SEEDS, PruningRun
from skprune.pruning.step_watch import StepWatch
from skprune.seeding import derive_seeds, given_back, preserve_rng
from skprune.strategies.named import STRATEGIES
from skprune.strategies.stage import DENSE, Stage
from skprune.strategies.strategy import ResolvedStrategy, Strategy
from skprune.strategies.target import Target, target_for
from skprune.structures import STRUCTURES, Structure

if TYPE_CHECKING:  # not every build of torch has it
    from torch.distributed import ProcessGroup

__all__ = ["Pruner"]

# Epochs of a training, where neither the user nor a dense training says how many.
_EPOCHS = 20


class Pruner:
    """Prunes a copy of a module, and hands it out for training in between.

    It goes through the stages of training that a strategy asks for, once. While a stage lasts,
    masks hold after each step of whatever optimizer trains the module, and what the strategy does
    in training (regularizers, regrowth, importances that watch) takes part in the steps.

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
        Rows for strategies that look at some. A batch is a pair of inputs and targets; a pair of
        tensors holds those of all rows.
    loss : callable, default=None
        ``loss(outputs, targets)``, such as a criterion of torch, for strategies that look at
        gradients.
    epochs : int, default=0
        Epochs of training that the module needs before it is pruned; 0 for one that is trained.
        With a strategy that prunes first, or early, all epochs of the training.
    fine_tune_epochs : int, default=None
        Epochs that what is left is trained for, all steps together. None stands for half of
        `epochs`, or of 20 where that is 0; a strategy that starts over, such as a lottery ticket,
        has as many for each step, and one that prunes early none.
    batch_size : int, default=128
        Rows of a batch, where `data` is a pair of tensors.
    steps_per_epoch : int, default=None
        Steps that your optimizer takes in an epoch, for strategies that take part in them; the
        number of batches of `data` if None. With gradients accumulated over several batches there
        are fewer.
    initial_state : mapping of str to Tensor, default=None
        The ``state_dict`` that the module began its training with, for strategies that go back
        to it (lottery tickets). Without it they need `epochs`.
    random_state : int, RandomState instance or None, default=None
        Seed of random scores and of the choice of rows.
    process_group : ProcessGroup, default=None
        Processes that train the module together, each with a Pruner and rows of its own, such as
        ``torch.distributed.group.WORLD`` under ``DistributedDataParallel``: the first of them
        decides what is kept. None for this process alone.

    Attributes
    ----------
    module : nn.Module
        The module as it is now: to be trained in a stage, in training mode when that begins. Units
        are removed from it in place, so an optimizer has to be made anew in each stage.
    result : PrunedModule
        What is left, once all stages have been gone through; an AttributeError before that.
    network : Network
        The module with the masks of its weights, as they are now.
    samples : BatchSamples or NoSamples
        The rows of `data`.
    learning : TorchLearning
        What importances and teachers see of the training.
    strategy : ResolvedStrategy
        How it is pruned.
    seeds : dict of str to int
        Seeds of the dense training, of scores, and of fine-tuning.

    See Also
    --------
    skprune.prune : The same in one call.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from skprune import Pruner
    >>> X, y = torch.randn(64, 6), torch.randint(3, (64,))
    >>> module = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    >>> pruner = Pruner(module, X[:8], sparsity=0.5, fine_tune_epochs=2, random_state=0)
    >>> for stage in pruner:
    ...     optimizer = torch.optim.SGD(pruner.module.parameters(), lr=0.1, momentum=0.9)
    ...     for epoch in range(stage.epochs):
    ...         optimizer.zero_grad()
    ...         nn.functional.cross_entropy(pruner.module(X), y).backward()
    ...         optimizer.step()
    >>> float((pruner.result.module[0].weight == 0).float().mean()) > 0
    True
    """

    def __init__(
        self,
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
        epochs: int = 0,
        fine_tune_epochs: int | None = None,
        batch_size: int = 128,
        steps_per_epoch: int | None = None,
        initial_state: Mapping[str, Tensor] | None = None,
        random_state: int | np.random.RandomState | None = None,
        process_group: "ProcessGroup | None" = None,
    ) -> None:
        check_parameters(
            "Pruner",
            sparsity=sparsity,
            budget=budget,
            protect=protect,
            epochs=epochs,
            fine_tune_epochs=fine_tune_epochs,
            loss=loss,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            initial_state=initial_state,
            random_state=random_state,
        )
        check_module(module)
        check_example(example_inputs)
        resolved = resolve(strategy, STRATEGIES, "strategy", Strategy).resolved()
        self.strategy = resolved
        self.seeds = derive_seeds(check_random_state(random_state), *SEEDS)
        device = module_device(module)
        self.network = Network(
            deepcopy(module).eval(), to_device(example_inputs, device), run_module
        )
        self.samples: BatchSamples | NoSamples = NoSamples()
        if data is not None:
            self.samples = BatchSamples(as_loader(data, batch_size), loss, device)
            if not self.samples.n_batches:
                raise InvalidParameterError("data has no batches.")
        self._loss = loss
        self.learning = TorchLearning(self.network, self.samples, loss)
        self.samples.check(resolved.importance.looks_at)
        if resolved.recovery.changes_loss:
            self.learning.check_loss()
        with given_back():
            self._run_once()
            self._before = measure(self.network.module, self.network.inputs, run_module)
            self._run = PruningRun(
                self.network,
                resolved,
                resolve(structure, STRUCTURES, "structure", Structure).validated(),
                protect or (),
                only_named=sparsity is None,
                seed=self.seeds["scores"],
            )
            self._target = self._run.target(target_for(sparsity, budget))
            if resolved.start.compares_masks and not epochs:
                raise InvalidParameterError(
                    f"start={resolved.start!r} prunes in the course of the dense training, and "
                    "there is none: epochs is 0. Pass an untrained module and the epochs of its "
                    "training, or use start='trained'."
                )
            self._dense_epochs = epochs if resolved.start.trains_dense else 0
            self._epochs = self._run.epochs(fine_tune_epochs, epochs or _EPOCHS)
            if not resolved.start.trains_dense and not epochs:
                self._epochs -= _EPOCHS
            check_epochs(resolved, self._target, self._epochs)
            resolved.recovery.check(self.learning, resolved.start.trains_dense)
        self._early = self._early_state(resolved, epochs, initial_state)
        self._steps_of_epoch = steps_per_epoch or self.samples.n_batches
        self._watch = StepWatch(self.network)
        self._peers = None if process_group is None else Peers(process_group)
        self._started = False
        self._result: PrunedModule | None = None

    @property
    def module(self) -> nn.Module:
        """The module as it is now."""
        return self.network.module if self._result is None else self._result.module

    @property
    def result(self) -> PrunedModule:
        """What is left, once all stages have been gone through."""
        if self._result is None:
            raise AttributeError(
                "A Pruner has no result before all of its stages have been gone through. Let the "
                "loop over it come to its end."
            )
        return self._result

    def __iter__(self) -> Iterator[Stage]:
        """Go through the stages of training; each is to be trained before the next is asked for.

        Returns
        -------
        stages : iterator of Stage
            Each has at least ``epochs``, and the ``lr`` that the strategy asks for, if it does; a
            strategy with a teacher has a ``loss_term``.
        """
        if takes_part(self.strategy, self._target, self._epochs):
            check_steps(self._steps_of_epoch)
        return self.watched(self.stages())

    def watched(self, stages: Iterable[Stage]) -> Iterator[Stage]:
        """Go through stages, and have masks hold and hooks take part while each lasts.

        Parameters
        ----------
        stages : iterable of Stage
            Such as :meth:`dense_stages` or :meth:`pruning_stages`.

        Yields
        ------
        stage : Stage
            To be trained before the next is asked for.
        """
        for stage in stages:
            n_steps = None
            if stage.hooks:
                n_steps = stage.epochs * self._steps_of_epoch
            with self._watch.watching(stage.hooks, n_steps):
                self.network.module.train()
                yield stage
            self.network.module.eval()

    def stages(self) -> Iterator[Stage]:
        """Go through the stages of training, and leave masks and hooks to whoever trains.

        Yields
        ------
        stage : Stage
            To be trained before the next is asked for.

        Raises
        ------
        RuntimeError
            If the stages have been gone through before.
        """
        yield from self.dense_stages()
        yield from self.pruning_stages()

    def dense_stages(self) -> Iterator[Stage]:
        """Go through those that train the dense network; see :meth:`stages`.

        Yields
        ------
        stage : Stage
            There are two, where the strategy goes back to the weights between them.
        """
        if self._started:
            raise RuntimeError("A Pruner goes through its stages once. Make another one.")
        self._started = True
        epoch, rest = self.strategy.recovery.rewinds_to, self._dense_epochs
        if epoch is not None and epoch not in self._early:
            if epoch:
                yield Stage(epoch, DENSE)
            self._early[epoch] = _copied(all_tensors(self.network.module))
            rest -= epoch
        if rest:
            yield Stage(rest, DENSE)

    def pruning_stages(self) -> Iterator[Stage]:
        """Go through those that come before, between and after the steps; see :meth:`stages`.

        Yields
        ------
        stage : Stage
            Those that have epochs.
        """
        stages = self._run.stages(self._target, self._epochs, self.learning, peers=self._peers)
        while True:
            with given_back():
                stage = next(stages, None)
            if stage is None:
                break
            if stage.epochs:
                if stage.rewind_to is not None:
                    self.network.restore(self._early[stage.rewind_to])
                yield stage
        self._result = self._finished()

    @contextmanager
    def masked(
        self, optimizer: torch.optim.Optimizer, copies: Sequence[nn.Module] = ()
    ) -> Iterator[None]:
        """Have masks hold in a training loop that knows nothing of them.

        It is for a stage as well as for what comes after the last one.

        Parameters
        ----------
        optimizer : Optimizer
            What trains :attr:`module`. Masked weights are zero after each of its steps, whoever
            calls it: a gradient scaler, or a loop that accumulates gradients.
        copies : sequence of nn.Module, default=()
            Modules that follow the weights, such as ``torch.optim.swa_utils.AveragedModel``;
            their masked weights are zero as well.

        Yields
        ------
        nothing : None
            It is a context manager: masks hold while it lasts.

        Raises
        ------
        ValueError
            If the optimizer does not train the module.
        """
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not any(id(parameter) in held for parameter in self.module.parameters()):
            raise ValueError(
                "The optimizer has no parameter of the Pruner's module. Make it of "
                "pruner.module.parameters(), in each stage anew."
            )
        with self._watch.masking(copies):
            yield

    def _run_once(self) -> None:
        """Run the network, which also gives lazy layers their sizes."""
        try:
            with torch.no_grad(), preserve_rng(module_device(self.network.module)):
                run_module(self.network.module, self.network.inputs)
        except Exception as error:
            raise InvalidParameterError(
                f"The module cannot be run on example_inputs: {type(error).__name__}: {error}"
            ) from error

    def _early_state(
        self, strategy: ResolvedStrategy, epochs: int, state: Mapping[str, Tensor] | None
    ) -> dict[int, dict[str, Tensor]]:
        epoch = strategy.recovery.rewinds_to
        if epoch is None:
            return {}
        if state is not None:
            check_state(state, self.network.module)
            return {epoch: _copied(state)}
        if not strategy.start.trains_dense and epoch == 0:
            return {0: _copied(all_tensors(self.network.module))}
        if epochs == 0:
            raise InvalidParameterError(
                f"{strategy.recovery!r} goes back to early weights, and those of a module that is "
                "trained are not known. Pass initial_state (the state_dict that its training began "
                "with), or an untrained module and epochs."
            )
        if epochs < epoch:
            raise InvalidParameterError(
                f"{strategy.recovery!r} goes back to the end of an epoch of the dense training, "
                f"which has {epochs} (the parameter epochs)."
            )
        return {}

    def _finished(self) -> PrunedModule:
        with given_back():
            rows = self.network.inputs
            if isinstance(self.samples, BatchSamples):
                rows = next(self.samples.batches(N_CHECK_ROWS)).inputs
            pruned = self._run.finished(rows)
        network = pruned.network
        self._watch = StepWatch(Masked(network.module, network.masks))
        return PrunedModule(
            network.module.eval(),
            pruned.masks,
            pruned.kept,
            pruned.sparsity,
            PruningReport(self._before, pruned.sizes, pruned.groups),
            network.removals,
            self._predictor(network),
        )

    def _predictor(self, network: Network) -> Predictor | None:
        example = self.network.inputs
        if isinstance(example, (tuple, list)):
            return None
        with torch.no_grad():
            computed = first_output(run_module(network.module, example))
        if not isinstance(computed, Tensor):
            return None
        outputs = outputs_of(self._loss, computed)
        return Predictor(
            network.module, outputs, masks=network.masks, removals=network.removals, example=example
        )


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
