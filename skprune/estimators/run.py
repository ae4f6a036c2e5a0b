"""A network on its way from dense to pruned."""

from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any
from warnings import warn

import numpy as np
import torch
from joblib import Memory
from torch import nn
from torch.utils.data import Dataset

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match
from skprune.exceptions import UncachedWarning
from skprune.metrics.report import LayerSize, PruningReport, measure
from skprune.network.dead_units import remove_dead_units
from skprune.network.network import Network
from skprune.pruning.checks import check_combination
from skprune.pruning.loop import prune
from skprune.pruning.target import target_sparsity
from skprune.seeding import GeneratorStates, preserve_rng, seeded
from skprune.strategies.strategy import ResolvedStrategy
from skprune.structures import Feature, Structure
from skprune.training.dense_cache import train_once
from skprune.training.masked_net import with_masks
from skprune.training.nets import ModuleForward, rows_on_device
from skprune.training.stage import StageTrainer

__all__ = ["N_PROBE_ROWS", "Dense", "PruningRun", "found_again"]

# Rows that the network is traced and measured with, and rows that compaction is checked on.
N_PROBE_ROWS, _N_CHECK_ROWS = 8, 256


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
            trainer.train(trainer.net.max_epochs, stage="training the dense network")

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


class PruningRun:
    """Prunes a network in place.

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
        net = dense.trainer.net
        self.dense = dense
        self.strategy = strategy
        self.network = dense.network
        self._structure = structure
        self._protected = _protected_modules(net.module_, protect)
        with preserve_rng(net.device):  # the user's modules may draw when they are run
            self.elements = structure.elements(self.network, self._protected)
        check_combination(self.elements, strategy, only_named=only_named)
        strategy.recovery.prepare(dense.trainer, strategy.start)
        self._generator = torch.Generator().manual_seed(dense.seeds["scores"])

    def target(self, sparsity: float | None) -> float | None:
        """Settle how much is to be pruned; see :func:`target_sparsity`."""
        return target_sparsity(self.elements, self.strategy, sparsity)

    def epochs(self, epochs: int | None) -> int:
        """Count the epochs that there are once pruning begins.

        Parameters
        ----------
        epochs : int or None
            Those that the user asks for; None for the recovery's own.

        Returns
        -------
        epochs : int
            With those of the dense training where the network is pruned before it.
        """
        max_epochs = self.dense.trainer.net.max_epochs
        if epochs is None:
            n_steps = len(self.strategy.schedule.steps(0.5, 1))
            epochs = self.strategy.recovery.default_epochs(max_epochs, n_steps)
        return epochs + (max_epochs if self.strategy.start == "init" else 0)

    def prune(
        self,
        target: float | None,
        epochs: int,
    ) -> None:
        """Prune the network, and train what is left; see :func:`skprune.pruning.loop.prune`.

        Raises
        ------
        Interrupted
            If Ctrl-C ended the training.
        """
        trainer, seeds = self.dense.trainer, self.dense.seeds
        trainer.network = self.network
        with seeded(seeds["fine_tune"], trainer.net.device):
            prune(
                self.elements,
                self.strategy,
                target,
                epochs,
                trainer,
                self._generator,
                tell=trainer.bar.tell,
            )

    def copy(self) -> "PruningRun":
        """Copy the run as far as it has come: the copy can be finished while this one goes on."""
        other = copy(self)
        other.dense = self.dense.copy()
        other.network = other.dense.network
        return other

    def fitted(self) -> dict[str, Any]:
        """Leave the network ready to predict, and say what an estimator keeps of it.

        Returns
        -------
        attributes : dict of str to object
            The fitted attributes, by name.
        """
        dense, network = self.dense, self.network
        net = dense.trainer.net
        masks = network.original_masks()
        feature_norms = self._feature_norms()
        with preserve_rng(net.device):
            if network.masks and not self.elements.keeps_layout:
                rows = rows_on_device(net, dense.X, _N_CHECK_ROWS)
                network = remove_dead_units(network, self._protected, rows)
            net.module_ = network.module
            dense.trainer.finish()
            after = measure(net.module_, network.inputs, network.forward, network.masks)
        return {
            "net_": with_masks(net, network.masks),
            "masks_": masks,
            "kept_": {name: kept.numpy().copy() for name, kept in self.elements.kept.items()},
            "sparsity_": self.elements.sparsity,
            "report_": PruningReport(dense.sizes, after),
            "removals_": network.removals,
            "_masks": network.masks,
            "_feature_norms": feature_norms,
        }

    def _feature_norms(self) -> np.ndarray | None:
        """Give the norm of the weights that read each input feature; None for other structures."""
        if not isinstance(self._structure, Feature):
            return None
        weights = self.network.module.named_parameters()
        squares = {name: weight.detach().double() ** 2 for name, weight in weights}
        (norms,) = self.elements.sum_by_element(squares).values()
        return norms.sqrt().cpu().numpy()


def _protected_modules(module: nn.Module, names: Collection[str]) -> tuple[str, ...]:
    """Names of the protected modules and of all that is inside them."""
    modules = [name for name, _ in module.named_modules() if name]
    known = [*modules, *(name for name, _ in module.named_parameters())]
    for name in names:
        if name not in known:
            raise InvalidParameterError(
                f"protect names an unknown layer {name!r}.{near_match(name, known)} "
                f"Layers: {', '.join(map(repr, modules))}."
            )
    for name in names:
        if name in modules and not any(True for _ in module.get_submodule(name).parameters()):
            with_parameters = [
                known
                for known, part in module.named_modules()
                if known and any(True for _ in part.parameters(recurse=False))
            ]
            raise InvalidParameterError(
                f"protect names {name!r}, a {type(module.get_submodule(name)).__name__}, which has "
                "no weights and no units to protect. Layers that have: "
                f"{', '.join(map(repr, with_parameters))}."
            )
    inside = [m for m in modules if any(m == name or m.startswith(f"{name}.") for name in names)]
    return tuple(dict.fromkeys([*names, *inside]))
