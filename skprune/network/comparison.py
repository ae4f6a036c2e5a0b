"""Whether two networks compute the same."""

from typing import Any

import torch
from torch import Tensor

from skprune.network.forward import flattened
from skprune.network.layers_run import layers_run, layers_with_parameters
from skprune.network.network import Network
from skprune.network.variants import variants_of

__all__ = ["outputs_of", "same_on", "same_outputs", "trials_and_layers", "trials_for"]


def trials_for(network: Network, inputs: Any = None) -> list[Any]:
    """Give inputs to compare networks on.

    Parameters
    ----------
    network : Network
        The network, which has to run on them.
    inputs : object, default=None
        Rows of the data; the network's own few if None.

    Returns
    -------
    trials : list of object
        The rows, and, if the network takes them, others that are unlike them; larger and smaller
        ones where these run layers that the others do not.
    """
    return trials_and_layers(network, inputs)[0]


def trials_and_layers(network: Network, inputs: Any = None) -> tuple[list[Any], set[str]]:
    """Give inputs to compare networks on, and name the layers with parameters that they run."""
    some = network.inputs if inputs is None else inputs
    trials, ran = [some], layers_run(network, some) or set()
    disturbed, *others = variants_of(some)
    if (more := layers_run(network, disturbed)) is not None:
        trials.append(disturbed)
        ran |= more
    for scaled in others:
        if layers_with_parameters(network.module) <= ran:
            break
        if more := (layers_run(network, scaled) or set()) - ran:
            trials.append(scaled)
            ran |= more
    return trials, ran


def same_on(ours: Network, theirs: Network, trials: list[Any]) -> bool:
    """Whether a network runs on inputs, and computes there what another does."""
    try:
        return all(same_outputs(outputs_of(ours, t), outputs_of(theirs, t)) for t in trials)
    except Exception:  # whatever a module raises that relies on channels which are gone
        return False


def same_outputs(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    """Whether two networks computed the same, up to the rounding of reordered sums."""
    return len(ours) == len(theirs) and all(map(_same, ours, theirs))


def _same(ours: Tensor, theirs: Tensor) -> bool:
    if ours.is_complex() and theirs.is_complex():
        ours, theirs = torch.view_as_real(ours), torch.view_as_real(theirs)
    if ours.shape != theirs.shape or not ours.is_floating_point():
        return torch.equal(ours, theirs)
    # Half the digits: sums over many terms and layers lose some of the others.
    rounding = torch.finfo(ours.dtype).eps ** 0.5
    finite = theirs[theirs.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(ours, theirs, rtol=0.0, atol=rounding * scale, equal_nan=True)


def outputs_of(network: Network, inputs: Any = None, *, training: bool = False) -> list[Tensor]:
    """Compute the outputs of a network.

    Parameters
    ----------
    network : Network
        The network.
    inputs : object, default=None
        What it is given; its own few rows if None.
    training : bool, default=False
        Whether it is run in training mode.

    Returns
    -------
    outputs : list of Tensor
        Every tensor that it returns.
    """
    before = network.module.training
    network.module.train(training)
    try:
        with torch.no_grad():
            inputs = network.inputs if inputs is None else inputs
            return flattened(network.forward(network.module, inputs))
    finally:
        network.module.train(before)
