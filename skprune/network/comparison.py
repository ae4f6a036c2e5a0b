"""Whether two networks compute the same."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skprune.network.network import Network

__all__ = ["outputs_of", "runs_on", "same_on", "same_outputs", "trials_for"]


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
        The rows, and, if the network takes them, others that are unlike them.
    """
    some = network.inputs if inputs is None else inputs
    disturbed = _disturbed(some)
    return [some, disturbed] if runs_on(network, disturbed) else [some]


def same_on(ours: Network, theirs: Network, trials: list[Any]) -> bool:
    """Whether a network runs on inputs, and computes there what another does."""
    try:
        return all(same_outputs(outputs_of(ours, t), outputs_of(theirs, t)) for t in trials)
    except Exception:  # whatever a module raises that relies on channels which are gone
        return False


def _disturbed(inputs: Any) -> Any:
    """Make inputs unlike those of the data, so that what is constant by chance is seen to vary."""
    generator = torch.Generator().manual_seed(0)

    def disturb(values: Any) -> Any:
        if isinstance(values, Mapping):
            return {key: disturb(value) for key, value in values.items()}
        if not isinstance(values, Tensor):
            return values
        if values.is_floating_point():
            noise = torch.randn(values.shape, generator=generator).to(values)
            return values + 3 * (1 + values.detach().std(correction=0)) * noise
        order = torch.rand(values.shape, generator=generator).argsort(0).to(values.device)
        shuffled = values.gather(0, order)
        return ~shuffled if values.dtype == torch.bool else shuffled

    return disturb(inputs)


def runs_on(network: Network, inputs: Any) -> bool:
    """Whether a network runs on inputs."""
    try:
        outputs_of(network, inputs)
    except Exception:  # a module may refuse inputs that no data would have
        return False
    return True


def same_outputs(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    """Whether two networks computed the same, up to the rounding of reordered sums."""
    return all(map(_same, ours, theirs))


def _same(ours: Tensor, theirs: Tensor) -> bool:
    if ours.shape != theirs.shape or not ours.is_floating_point():
        return torch.equal(ours, theirs)
    # Half the digits: sums over many terms and layers lose some of the others.
    rounding = torch.finfo(ours.dtype).eps ** 0.5
    finite = theirs[theirs.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(ours, theirs, rtol=0.0, atol=rounding * scale, equal_nan=True)


def outputs_of(network: Network, inputs: Any = None) -> list[Tensor]:
    """Compute the outputs of a network in evaluation mode.

    Parameters
    ----------
    network : Network
        The network.
    inputs : object, default=None
        What it is given; its own few rows if None.

    Returns
    -------
    outputs : list of Tensor
        Every floating-point tensor that it returns.
    """
    training = network.module.training
    network.module.eval()
    try:
        with torch.no_grad():
            inputs = network.inputs if inputs is None else inputs
            return _flat(network.forward(network.module, inputs))
    finally:
        network.module.train(training)


def _flat(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    values = outputs.values() if isinstance(outputs, dict) else outputs
    return [tensor for value in values for tensor in _flat(value)]
