"""What is left of a plain torch module."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from skprune.metrics.report import PruningReport
from skprune.network.removals import Removals
from skprune.pruning.predictor import Predictor

__all__ = ["PrunedModule"]


@dataclass(frozen=True)
class PrunedModule:
    """What is left of a module.

    Attributes
    ----------
    module : nn.Module
        The pruned module: units that are gone are removed, masked weights are zero. It is in
        evaluation mode.
    masks : dict of str to ndarray of bool
        What the strategy kept of each weight, by the parameter's name, in the original shape.
    kept : dict of str to ndarray of bool
        What was kept of the structure's elements, by layer.
    sparsity : float
        The fraction of the structure's elements that is gone.
    report : PruningReport
        Weights, units, parameters, multiply-accumulates and bytes of each layer, before and after.
    removals : Removals
        The units that were removed. ``removals.replay(module)`` cuts an equal module, dense and
        untrained, to the shape of this one, so that its ``state_dict`` can be loaded into it.
    predictor : Predictor or None
        Predicts for arrays, as an estimator does: classes by their numbers and probabilities where
        the loss is one of torch for classes or labels, and otherwise what the module puts out. None
        where the module takes several inputs in their order, or puts out something else than a
        tensor, or a tuple that begins with one.
    history : list of dict
        The epochs that skprune's own loop has trained: ``epoch``, ``stage``, ``train_loss``.
    """

    module: nn.Module
    masks: dict[str, np.ndarray]
    kept: dict[str, np.ndarray]
    sparsity: float
    report: PruningReport
    removals: Removals
    predictor: Predictor | None
    history: list[dict[str, Any]] = field(default_factory=list)
