"""What becomes of a network: all of its units can go, some, or none; or it goes wrong."""

import time
import traceback
import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from skprune import Strategy, UnreachableSparsityError, prune
from tests.zoo.oracle import call, kept_entries, lively, outputs, reference, worst_error
from tests.zoo.row import Row

__all__ = ["Outcome", "outcome_of", "weight_outcome"]

# How the two prunings go: strategy and sparsity.
PRUNINGS = ((Strategy(allocation="global"), 0.5), ("random", 0.9))


@dataclass(frozen=True)
class Outcome:
    """What became of a network.

    ``what`` is "all", "some" or "none" of the units that were counted ("none" is for networks that
    have none), "refused" as a whole, "wrong" where the pruned network computes something else or
    fails, "crash" where pruning does, and "miscounted" where more units went than were counted.
    """

    what: str
    found: int
    detail: str = ""
    seconds: float = 0.0


def outcome_of(row: Row) -> Outcome:
    """Remove units, and compare with the original."""
    start, found, details = time.perf_counter(), 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = lively(row.build(), row.rows(4, 0))
        for strategy, sparsity in PRUNINGS:
            try:
                pruned = _pruned(row, module, strategy, sparsity)
            except Exception as error:
                what = "refused" if row.n_units else "none"
                what = what if _is_refusal(error) else "crash"
                return Outcome(what, 0, _said(error), time.perf_counter() - start)
            found = sum(len(mask) for mask in pruned.kept.values())
            try:
                if wrong := _mistake(row, module, pruned):
                    details.append(f"{strategy} at {sparsity}: {wrong}")
            except Exception as error:
                details.append(f"{strategy} at {sparsity}: {_said(error)}")
    if details:
        what = "wrong"
    elif found == row.n_units:
        what = "all"
    else:
        what = "some" if found < row.n_units else "miscounted"
    if not details:
        details = [", ".join(f"{name}: {len(mask)}" for name, mask in pruned.kept.items())]
    return Outcome(what, found, "; ".join(details), time.perf_counter() - start)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _pruned(row: Row, module: nn.Module, strategy: str, sparsity: float) -> Any:
    """Prune as far as asked for, or as the layers can bear."""
    while True:
        try:
            return prune(
                module,
                row.rows(4, 1),
                structure="unit",
                strategy=strategy,
                sparsity=sparsity,
                fine_tune_epochs=0,
                random_state=0,
            )
        except UnreachableSparsityError:
            sparsity -= 0.05


def _mistake(row: Row, module: nn.Module, pruned: Any) -> str:
    """Say what is wrong with a pruned network; nothing if nothing is."""
    gone = [name for name, mask in pruned.kept.items() if not mask.any()]
    if gone or all(mask.all() for mask in pruned.kept.values()):
        return f"{gone} are empty" if gone else "nothing was removed"
    if uneven := _sizes_that_differ(pruned.module, pruned.masks):
        return f"{uneven} are not of the size that their masks say"
    kept = kept_entries(module, pruned.module, pruned.masks)
    zeroed = reference(module, kept)
    some = row.rows(16, 4)
    if worst_error(outputs(zeroed, some), outputs(module, some)) < 1e-6:
        return "what was removed did not matter"
    ours = deepcopy(pruned.module).train()
    inputs = row.rows(6, 5)
    if row.trains:
        error = worst_error(outputs(ours, inputs), outputs(deepcopy(zeroed).train(), inputs))
        if error > row.rounding:
            return f"in training, outputs differ by {error:.1e}"
    else:
        call(ours, inputs)
    return _far_off(row, pruned.module, zeroed)


def _far_off(row: Row, ours: nn.Module, theirs: nn.Module) -> str:
    """Say on which rows two networks differ."""
    errors = {
        what: worst_error(outputs(ours, inputs), outputs(theirs, inputs))
        for what, inputs in _trials(row).items()
    }
    wrong = {what: error for what, error in errors.items() if not error <= row.rounding}
    return ", ".join(f"{what} differ by {error:.1e}" for what, error in wrong.items())


def _trials(row: Row) -> dict[str, Any]:
    # Other rows, more of them, far out, and the other way round: branches on data turn with them.
    others = row.rows(4, 2)
    return {
        "the same rows": row.rows(4, 1),
        "other rows": others,
        "more rows": row.rows(7, 3),
        "far rows": _times(others, 10.0),
        "negated rows": _times(others, -10.0),
    }


def _times(inputs: Any, factor: float) -> Any:
    if isinstance(inputs, Mapping):
        return {name: _times(value, factor) for name, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(_times(value, factor) for value in inputs)
    return inputs * factor if inputs.is_floating_point() else inputs


def _sizes_that_differ(module: nn.Module, masks: Mapping[str, Any]) -> list[str]:
    left = dict(module.named_parameters())
    return [n for n, mask in masks.items() if n in left and left[n].numel() != mask.sum()]


def weight_outcome(row: Row) -> Outcome:
    """Mask half of all weights: "ok", "refused", "wrong" or "crash"."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = lively(row.build(), row.rows(4, 0))
        try:
            pruned = prune(module, row.rows(4, 1), sparsity=0.5, fine_tune_epochs=0, random_state=0)
        except Exception as error:
            what = "refused" if _is_refusal(error) else "crash"
            return Outcome(what, 0, _said(error), time.perf_counter() - start)
        masked = deepcopy(module)
        with torch.no_grad():
            for name, mask in pruned.masks.items():
                masked.get_parameter(name)[~torch.from_numpy(mask)] = 0.0
        error = _far_off(row, pruned.module, masked)
    what = "wrong" if error else "ok"
    return Outcome(
        what, sum(map(np.size, pruned.masks.values())), error, time.perf_counter() - start
    )


def _is_refusal(error: Exception) -> bool:
    """Whether skprune says what is wrong; an error from below that it lets through is a crash."""
    if not isinstance(error, ValueError):
        return False
    *_, frame = traceback.extract_tb(error.__traceback__)
    return "/skprune/" in frame.filename
