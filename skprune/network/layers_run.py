"""Which layers of a network are run, and what may feed those that are not."""

from collections.abc import Collection
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import nn

from skprune.network.coupling import Coupling
from skprune.network.forward import flattened
from skprune.network.layers import layer_for
from skprune.network.network import Network

__all__ = ["fed_by_units", "layers_run", "layers_with_parameters", "used_by_weight"]


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


def used_by_weight(network: Network, names: Collection[str]) -> set[str]:
    """Say which layers have a parameter that the outputs depend on, though none is called.

    Parameters
    ----------
    network : Network
        The network; it is left as it is.
    names : collection of str
        Names of layers.

    Returns
    -------
    used : set of str
        Those of them that are used in such a way in evaluation mode.
    """
    module = network.copy().module.eval().requires_grad_(True)
    own = {
        name: [p for p in module.get_submodule(name).parameters(recurse=False) if p.requires_grad]
        for name in names
    }
    parameters = [parameter for mine in own.values() for parameter in mine]
    with torch.enable_grad():
        computed = flattened(network.forward(module, network.inputs))
        outputs = [output for output in computed if output.requires_grad]
        if not outputs or not parameters:
            return set()
        gradients = torch.autograd.grad(
            outputs, parameters, [torch.ones_like(out) for out in outputs], allow_unused=True
        )
    reached = {id(p) for p, found in zip(parameters, gradients, strict=True) if found is not None}
    return {name for name, mine in own.items() if any(id(p) in reached for p in mine)}


def fed_by_units(coupling: Coupling, module: nn.Module, names: Collection[str]) -> dict[str, str]:
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
    names : collection of str
        Names of layers that are not run.

    Returns
    -------
    layers : dict of str to str
        For each such group one of the layers.
    """
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
