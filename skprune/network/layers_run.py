"""Which layers of a network are run, and what may feed those that are not."""

from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import nn

from skprune.network.coupling import Coupling
from skprune.network.layers import layer_for
from skprune.network.network import Network

__all__ = ["fed_by_units", "layers_run", "layers_with_parameters"]


def layers_with_parameters(module: nn.Module) -> set[str]:
    """Name the layers of a network that have parameters of their own.

    Parameters
    ----------
    module : nn.Module
        The network.

    Returns
    -------
    names : set of str
        Without what is counted as part of a layer around it.
    """
    inside = {
        f"{name}.{part}"
        for name, layer in module.named_modules()
        if layer_for(layer).is_one_part
        for part, _ in layer.named_modules()
        if part
    }
    return {
        name
        for name, layer in module.named_modules()
        if name not in inside and any(True for _ in layer.parameters(recurse=False))
    }


def layers_run(network: Network, inputs: Any, *, training: bool = False) -> set[str] | None:
    """Say which layers with parameters a network calls.

    Parameters
    ----------
    network : Network
        The network; in training mode what it keeps of the rows it sees, such as the statistics of
        a batch norm, changes.
    inputs : object
        What it is given.
    training : bool, default=False
        Whether it is run in training mode.

    Returns
    -------
    names : set of str or None
        None if it does not run on these inputs.
    """
    module, ran = network.module, set[str]()
    before = module.training
    with ExitStack() as stack:
        stack.callback(module.train, before)
        for name in layers_with_parameters(module):
            see = partial(_see, ran, name)
            stack.callback(module.get_submodule(name).register_forward_pre_hook(see).remove)
        try:
            with torch.no_grad():
                network.forward(module.train(training), inputs)
        except Exception:  # a module may refuse inputs that no data would have
            return None
    return ran


def _see(ran: set[str], name: str, layer: nn.Module, inputs: Any) -> None:
    ran.add(name)


def fed_by_units(coupling: Coupling, module: nn.Module) -> dict[str, str]:
    """Find the groups whose units may enter layers that are not run, or meet what these put out.

    What they are connected with is told from widths alone, so that this finds too much rather than
    too little: a layer is taken to read something as wide as what layers that are run read or put
    out; where nothing is, any layer that is no wider may be part of what it reads.

    Parameters
    ----------
    coupling : Coupling
        The units.
    module : nn.Module
        The network.

    Returns
    -------
    layers : dict of str to str
        For each such group one of the layers.
    """
    names = coupling.not_run
    others = [layer for name, layer in module.named_modules() if name not in names]
    known = {width for layer in others for width in _widths(layer)}
    found: dict[str, str] = {}
    for name in names:
        layer = module.get_submodule(name)
        reads = layer_for(layer).n_channels("in")
        unknown = reads is not None and reads not in known
        for ids in coupling.units.values():
            if len(ids) in _widths(layer) or (unknown and reads is not None and len(ids) <= reads):
                mine = ids[ids >= 0]
                for group, units in coupling.groups.items():
                    if torch.isin(units, mine).any():
                        found.setdefault(group, name)
    return found


def _widths(layer: nn.Module) -> set[int]:
    """Widths of what a layer reads and puts out; the sizes of its parameters, if it is unknown."""
    sides = layer_for(layer).n_channels("in"), layer_for(layer).n_channels("out")
    if widths := {width for width in sides if width}:
        return widths
    return {size for parameter in layer.parameters(recurse=False) for size in parameter.shape}
