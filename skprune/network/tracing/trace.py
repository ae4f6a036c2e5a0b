"""Finds the units of a network by following labels through a run of it."""

from collections.abc import Iterable
from contextlib import suppress
from copy import deepcopy
from typing import Any

from torch import nn

from skprune.exceptions import UntraceableError
from skprune.network.coupling import Coupling, Forward
from skprune.network.tracing.channels import Channels
from skprune.network.tracing.recorder import Recorder
from skprune.network.tracing.units import units_of
from skprune.network.variants import variants_of
from skprune.seeding import preserve_rng

__all__ = ["trace_units"]


def trace_units(
    module: nn.Module, inputs: Any, forward: Forward, protected: Iterable[str] = ()
) -> Coupling:
    """Find the units of a network.

    Each index of each dimension of each parameter has a label. The network is run once, and what
    each operation does to numbers is done to their labels: what only moves them moves labels, a
    product or a sum unites those that meet. Outputs and what the user protects keep theirs for
    good. What is left are the units.

    Parameters
    ----------
    module : nn.Module
        The network; it is left as it is.
    inputs : object
        A few rows of input.
    forward : callable
        Computes the output of a module from inputs.
    protected : iterable of str
        Names of layers that keep their units.

    Returns
    -------
    coupling : Coupling
        The units, and why others are not among them.

    Raises
    ------
    UntraceableError
        If the network cannot be run.
    """
    traced = deepcopy(module)
    recorder = Recorder(traced, Channels())
    with preserve_rng():
        traced.eval()
        try:
            recorder.run(forward, inputs)
        except Exception as error:  # whatever a user's module may raise
            raise UntraceableError(
                f"{type(module).__name__} cannot be run on a few rows, so that its units cannot be "
                f"found ({type(error).__name__}: {error}). Use structure='weight' instead."
            ) from error
        _run_the_rest(recorder, inputs, forward)
    return units_of(traced, recorder, frozenset(protected))


def _run_the_rest(recorder: Recorder, inputs: Any, forward: Forward) -> None:
    """Run what the rows do not: it may be for training only, or for other values."""
    for variant, training in ((inputs, True), *((rows, False) for rows in variants_of(inputs))):
        if not recorder.unused():
            return
        recorder.module.train(training)
        with suppress(Exception):  # a module may refuse inputs that no data would have
            recorder.run(forward, variant)
