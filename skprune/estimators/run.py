"""A net on its way from dense to pruned."""

from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any
from warnings import warn

import numpy as np
import torch
from joblib import Memory
from scipy.sparse import issparse
from torch.utils.data import Dataset

from skprune.exceptions import UncachedWarning
from skprune.metrics.report import LayerSize, PruningReport
from skprune.network.network import Network
from skprune.pruning.run import N_CHECK_ROWS, PruningRun
from skprune.pruning.target import Goal
from skprune.seeding import GeneratorStates, preserve_rng, seeded
from skprune.strategies.schedule import Schedule
from skprune.strategies.stage import DENSE, Stage
from skprune.strategies.strategy import ResolvedStrategy
from skprune.strategies.target import Target
from skprune.structures import Elements, FeatureElements, Structure
from skprune.training.dense_cache import train_once
from skprune.training.masked_net import with_masks
from skprune.training.nets import ModuleForward, rows_on_device
from skprune.training.stage import StageTrainer

__all__ = ["Dense", "NetRun", "found_again"]


@dataclass(frozen=True)
class Dense:
    """A network before it is pruned, and the data that it is trained on.

    Attributes
    ----------
    trainer : StageTrainer
        Trains the network.
    network : Network
        The network, with a few rows to follow and to measure it with.
    sizes : mapping of str to LayerSize
        Sizes of its layers.
    X : array or mapping of arrays
        All rows.
    seeds : mapping of str to int
        Seeds of the stages, by their names.
    randomness : GeneratorStates
        What the training draws from: it goes on from where the initialization ended.
    pretrained : bool
        Whether the net came with weights that the user trained.
    """

    trainer: StageTrainer
    network: Network
    sizes: Mapping[str, LayerSize]
    X: Any
    seeds: Mapping[str, int]
    randomness: GeneratorStates
    pretrained: bool

    def train(self, memory: str | PathLike | Memory | None) -> None:
        """Train the network, in place, or restore what an equal training made of it.

        Parameters
        ----------
        memory : str, PathLike, Memory or None
            Where trained networks are kept.

        Raises
        ------
        Interrupted
            If Ctrl-C ended the training.
        """
        trainer = self.trainer

        def train() -> None:
            trainer.train(Stage(trainer.net.max_epochs, DENSE))

        if self.pretrained:
            return
        with self.randomness.resumed():
            if memory is None:
                train()
            elif isinstance(trainer.X, Dataset):
                warn(
                    "The dense network is not kept in memory: X is read row by row, and not before "
                    "it is trained on. It is trained anew by every fit.",
                    UncachedWarning,
                    stacklevel=2,
                )
                train()
            elif train_once(
                trainer.net, (trainer.X, trainer.y), self.seeds["dense"], memory, train
            ):
                trainer.resume()
                trainer.bar.advance(trainer.net.max_epochs)

    def copy(self) -> "Dense":
        """Copy the network, so that one of the two can be changed."""
        trainer = self.trainer.copy()
        net = trainer.net
        network = self.network.on(net.module_, ModuleForward(net))
        return replace(self, trainer=trainer, network=network)


def found_again(
    memory: str | PathLike | Memory | None, random_state: Any
) -> str | PathLike | Memory | None:
    """Give a memory to keep dense networks in, if another fit can ask for the same ones.

    Parameters
    ----------
    memory : str, PathLike, Memory or None
        What the user asks for.
    random_state : int, RandomState instance or None
        The seed of the fit.

    Returns
    -------
    memory : str, PathLike, Memory or None
        None where nothing would ever be found.

    Warns
    -----
    UncachedWarning
        If the fit has no seed.
    """
    if memory is None or random_state is not None:
        return memory
    warn(
        "The dense network is not kept in memory: with random_state=None each fit draws another "
        "seed, and would never find it. Pass a number for random_state.",
        UncachedWarning,
        stacklevel=3,
    )
    return None


def _constant_features(X: Any, elements: FeatureElements) -> np.ndarray | None:
    """Say which features are the same in all rows; None where rows are read one by one."""
    if isinstance(X, Dataset):
        return None
    if issparse(X):
        low, high = (np.ravel(m.toarray()) for m in (X.min(axis=0), X.max(axis=0)))
        return low == high
    if elements.axis is None:
        X = X.reshape(len(X), -1)
    columns = np.moveaxis(X, elements.axis or 1, 0).reshape(len(elements.element_of), -1)
    return columns.min(axis=1) == columns.max(axis=1)


class NetRun:
    """Prunes the network of a net in place, which trains it in between.

    Parameters
    ----------
    dense : Dense
        The network. It may be trained after the run is made.
    strategy : ResolvedStrategy
        How it is pruned.
    structure : Structure
        What of it is removed together.
    protect : collection of str
        Names of layers that are left as they are.
    only_named : bool
        Whether layers that an allocation does not name are left alone.

    Raises
    ------
    InvalidParameterError
        If a protected layer is unknown, or the strategy makes no sense for the structure.
    UntraceableError
        If units are asked for and the network's graph cannot be followed.
    """

    def __init__(
        self,
        dense: Dense,
        strategy: ResolvedStrategy,
        structure: Structure,
        protect: Collection[str],
        *,
        only_named: bool,
    ) -> None:
        self.dense = dense
        self.strategy = strategy
        seed = dense.seeds["scores"]
        self._run = PruningRun(
            dense.network, strategy, structure, protect, only_named=only_named, seed=seed
        )
        if strategy.recovery.rewinds_to is not None:
            dense.trainer.remember(strategy.recovery.rewinds_to)
        strategy.recovery.check(dense.trainer.learning, strategy.start.trains_dense)
        if isinstance(self.elements, FeatureElements):
            constant = _constant_features(dense.X, self.elements)
            if constant is not None:
                self.elements.set_constant(torch.from_numpy(constant))

    @property
    def network(self) -> Network:
        """The network on its way."""
        return self._run.network

    @property
    def elements(self) -> Elements:
        """What can be removed, and what is left of it."""
        return self._run.elements

    def target(self, target: Target | None) -> Goal | None:
        """Settle how much is to be pruned; see :class:`~skprune.pruning.run.PruningRun`."""
        return self._run.target(target)

    def least_density(self, budget: str) -> float:
        """Say what is left at the least; see :class:`~skprune.pruning.run.PruningRun`."""
        return self._run.least_density(budget)

    def epochs(self, epochs: int | None) -> int:
        """Count the epochs that there are once pruning begins; None for the recovery's own."""
        return self._run.epochs(epochs, self.dense.trainer.net.max_epochs)

    def trial_importances(self) -> np.ndarray:
        """Say what each feature is worth now; see :class:`~skprune.pruning.run.PruningRun`."""
        with preserve_rng(self.dense.trainer.net.device):
            return self._run.trial_importances(self.dense.trainer.learning)

    def prune(
        self,
        target: Goal | None,
        epochs: int,
        *,
        schedule: Schedule | None = None,
        states: GeneratorStates | None = None,
    ) -> None:
        """Prune the network, and train what is left.

        Parameters
        ----------
        target : Goal or None
            How much; see :meth:`target`.
        epochs : int
            For how long the network is trained in all; see :meth:`epochs`.
        schedule : Schedule, default=None
            In place of the strategy's own.
        states : GeneratorStates, default=None
            What the training draws from; they are set to where it ends. If None, it is seeded.

        Raises
        ------
        Interrupted
            If Ctrl-C ended the training.
        """
        trainer = self.dense.trainer
        trainer.network = self.dense.network
        randomness = (
            seeded(self.dense.seeds["fine_tune"], trainer.net.device)
            if states is None
            else states.resumed(onward=True)
        )
        learning, tell = trainer.learning, trainer.bar.tell
        with randomness:
            for stage in self._run.stages(target, epochs, learning, tell, schedule=schedule):
                if stage.epochs:
                    trainer.train(stage)

    def copy(self) -> "NetRun":
        """Copy the run as far as it has come: the copy can be finished while this one goes on."""
        other = copy(self)
        other.dense = self.dense.copy()
        other._run = self._run.on(other.dense.network)
        return other

    def fitted(self) -> dict[str, Any]:
        """Leave the network ready to predict, and say what an estimator keeps of it.

        Returns
        -------
        attributes : dict of str to object
            The fitted attributes, by name.
        """
        dense = self.dense
        net = dense.trainer.net
        with preserve_rng(net.device):
            pruned = self._run.finished(rows_on_device(net, dense.X, N_CHECK_ROWS))
            net.module_ = pruned.network.module
            dense.trainer.finish()
        return {
            "net_": with_masks(net, pruned.network.masks),
            "masks_": pruned.masks,
            "kept_": pruned.kept,
            "sparsity_": pruned.sparsity,
            "report_": PruningReport(dense.sizes, pruned.sizes, pruned.groups),
            "removals_": pruned.network.removals,
            "_masks": pruned.network.masks,
            "_features": pruned.features,
        }
