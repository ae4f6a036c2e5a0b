"""A network on its way from dense to pruned, whoever trains it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from skprune._sklearn import InvalidParameterError
from skprune.metrics.groups import UnitGroups
from skprune.metrics.report import LayerSize, measure
from skprune.network.dead_units import remove_dead_units
from skprune.network.forward import module_device
from skprune.network.network import Network
from skprune.network.protection import protected_modules
from skprune.pruning.checks import check_combination
from skprune.pruning.loop import pruning_stages, score_elements
from skprune.pruning.peers import Peers
from skprune.pruning.target import Goal, least_density, resolve_target
from skprune.seeding import preserve_rng
from skprune.strategies.learning import Learning
from skprune.strategies.schedule import Schedule
from skprune.strategies.stage import Stage
from skprune.strategies.strategy import ResolvedStrategy
from skprune.strategies.target import Target
from skprune.structures import FeatureElements, FeatureRecord, Structure

__all__ = ["N_CHECK_ROWS", "N_PROBE_ROWS", "SEEDS", "Pruned", "PruningRun"]

# Rows that the network is traced and measured with, and rows that compaction is checked on.
N_PROBE_ROWS, N_CHECK_ROWS = 8, 256

# What draws random numbers, each from a seed of its own.
SEEDS = ("dense", "scores", "fine_tune", "partial_fit")


@dataclass(frozen=True)
class Pruned:
    """What a run has come to.

    Attributes
    ----------
    network : Network
        The compact network, with the masks of its weights and the removals that led to it.
    masks : dict of str to ndarray of bool
        What the strategy kept of each weight, by the parameter's name, in the original shape.
    kept : dict of str to ndarray of bool
        What was kept of the structure's elements, by layer.
    sparsity : float
        The fraction of the structure's elements that is gone.
    sizes : mapping of str to LayerSize
        Sizes of the layers.
    groups : UnitGroups
        The groups of units that were found.
    features : FeatureRecord or None
        What was found out about the features of the input; None for other structures.
    """

    network: Network
    masks: dict[str, np.ndarray]
    kept: dict[str, np.ndarray]
    sparsity: float
    sizes: Mapping[str, LayerSize]
    groups: UnitGroups
    features: FeatureRecord | None


class PruningRun:
    """Prunes a network in place, and says what training that asks for.

    Parameters
    ----------
    network : Network
        The network. It may be trained after the run is made.
    strategy : ResolvedStrategy
        How it is pruned.
    structure : Structure
        What of it is removed together.
    protect : collection of str or type
        Names of layers that are left as they are, patterns of names, and types of layers.
    only_named : bool
        Whether layers that an allocation does not name are left alone.
    seed : int
        Where random scores and the choice of rows are drawn from.

    Raises
    ------
    InvalidParameterError
        If a protected layer is unknown, or the strategy makes no sense for the structure.
    UntraceableError
        If units are asked for and the network's graph cannot be followed.
    """

    def __init__(
        self,
        network: Network,
        strategy: ResolvedStrategy,
        structure: Structure,
        protect: Collection[str | type[nn.Module]],
        *,
        only_named: bool,
        seed: int,
    ) -> None:
        self.network = network
        self.strategy = strategy
        self._protected = protected_modules(network.module, protect)
        with preserve_rng(module_device(network.module)):  # modules may draw when they are run
            self.elements = structure.elements(network, self._protected)
        check_combination(self.elements, strategy, only_named=only_named)
        self._goal: Goal | None = None
        self._generator = torch.Generator().manual_seed(seed)

    def target(self, target: Target | None) -> Goal | None:
        """Settle how much is to be pruned; see :func:`~skprune.pruning.target.resolve_target`."""
        with preserve_rng(module_device(self.network.module)):
            return resolve_target(self.elements, self.strategy, target)

    def least_density(self, budget: str) -> float:
        """Say what is left at the least; see :func:`~skprune.pruning.target.least_density`."""
        with preserve_rng(module_device(self.network.module)):
            return least_density(self.elements, budget)

    def epochs(self, epochs: int | None, max_epochs: int) -> int:
        """Count the epochs that there are once pruning begins.

        Parameters
        ----------
        epochs : int or None
            Those that the user asks for; None for the recovery's own.
        max_epochs : int
            Those of a dense training.

        Returns
        -------
        epochs : int
            With those of the dense training where the network is pruned before its end.
        """
        start = self.strategy.start
        if epochs is None and not start.fine_tunes:
            epochs = 0
        elif epochs is None:
            n_steps = len(self.strategy.schedule.steps(0.5, 1))
            epochs = self.strategy.recovery.default_epochs(max_epochs, n_steps)
        return epochs + (0 if start.trains_dense else max_epochs)

    def stages(
        self,
        target: Goal | None,
        epochs: int,
        learning: Learning,
        tell: Callable[[str], object] | None = None,
        peers: Peers | None = None,
        *,
        schedule: Schedule | None = None,
    ) -> Iterator[Stage]:
        """Prune the network, and yield what is to be trained in between and afterwards.

        Parameters
        ----------
        target : Goal or None
            How much; see :meth:`target`.
        epochs : int
            For how long the network is trained in all; see :meth:`epochs`.
        learning : Learning
            What the network learns.
        tell : callable, default=None
            Is told, in a few words, how far a long scoring is.
        peers : Peers, default=None
            Processes that prune the network together.
        schedule : Schedule, default=None
            In place of the strategy's own.

        Yields
        ------
        stage : Stage
            To be trained before the next is asked for; see
            :func:`~skprune.pruning.loop.pruning_stages`.
        """
        self._goal = target
        strategy = self.strategy if schedule is None else self.strategy.following(schedule)
        return pruning_stages(
            self.elements, strategy, target, epochs, learning, self._generator, tell, peers
        )

    def trial_importances(self, learning: Learning) -> np.ndarray:
        """Say what each feature of the input is worth in the network as it is.

        The scores are those that a removal would go by now; random ones are not used up.

        Parameters
        ----------
        learning : Learning
            What the network learns.

        Returns
        -------
        importances : ndarray of shape (n_features,)
            They add up to 1.

        Raises
        ------
        InvalidParameterError
            If the importance can only score a network whose training it has watched.
        """
        importance = self.strategy.importance
        if importance.observer() is not None:
            raise InvalidParameterError(
                f"importance={importance!r} scores a network whose training it has watched, so "
                "that there are no importances to compare with a threshold. Say how many features "
                "are to be selected, or use another importance."
            )
        generator = torch.Generator()
        generator.set_state(self._generator.get_state())
        score_elements(self.elements, self.strategy, learning.samples, None, generator)
        features = self._features()
        assert features is not None
        return features.importances

    def on(self, network: Network) -> "PruningRun":
        """Say the same of a copy of the network, which can be finished while this run goes on."""
        other = copy(self)
        other.network = network
        return other

    def finished(self, rows: Any) -> Pruned:
        """Leave the network ready to predict, without the units that have died.

        Parameters
        ----------
        rows : object
            Rows of input that the smaller network is compared with the whole one on.

        Returns
        -------
        pruned : Pruned
            What the run has come to.
        """
        network = self.network
        masks, features = network.original_masks(), self._features()
        with preserve_rng(module_device(network.module)):
            if network.masks and not self.elements.keeps_layout:
                # A bias that stands for a unit is a parameter more.
                may_add = self._goal is None or self._goal.quantity != "parameters"
                network = remove_dead_units(network, self._protected, rows, may_add_biases=may_add)
            sizes = measure(network.module, network.inputs, network.forward, network.masks)
        kept = {name: kept.numpy().copy() for name, kept in self.elements.kept.items()}
        groups = self.elements.unit_groups()
        return Pruned(network, masks, kept, self.elements.sparsity, sizes, groups, features)

    def _features(self) -> FeatureRecord | None:
        if not isinstance(self.elements, FeatureElements):
            return None
        return self.elements.record(self.network.module.named_parameters())
