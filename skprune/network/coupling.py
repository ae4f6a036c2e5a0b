"""Which channels of a network can only be removed together.

torch-pruning's ``DependencyGraph`` follows the network's graph; this file reads from it which
channel of which layer meets which, and joins what meets into units.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch_pruning
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch_pruning._helpers import _HybridIndex
from torch_pruning.dependency.index_mapping import _ConcatIndexMapping, _FlattenIndexMapping

from skprune.exceptions import UntraceableError
from skprune.network.layers import Side, layer_for

__all__ = ["Coupling", "LayerSide", "trace_units"]

Forward = Callable[[nn.Module, Any], Any]


class LayerSide(NamedTuple):
    """One side of one layer (``layer`` a module's name), or one dimension of a bare parameter."""

    layer: str
    side: Side


@dataclass
class Coupling:
    """The removable units of a network.

    Attributes
    ----------
    units : dict of LayerSide to Tensor of int of shape (n_channels,)
        For each channel of each side of a layer the unit that it belongs to; -1 where it has to
        stay.
    groups : dict of str to Tensor of int
        The units of each coupled group, by the name of its first layer.
    parameter_dims : dict of str to int
        The channel dimension of each bare parameter among the sides.
    group_of : dict of str to str
        The group that a layer's own units are in, by the layer's name.
    """

    units: dict[LayerSide, Tensor] = field(default_factory=dict)
    groups: dict[str, Tensor] = field(default_factory=dict)
    parameter_dims: dict[str, int] = field(default_factory=dict)
    group_of: dict[str, str] = field(default_factory=dict)

    def indispensable(self) -> Iterator[tuple[str, Tensor]]:
        """Go through sets of units of which one has to stay, or a layer would be left without any.

        Yields
        ------
        group : str
            The group that they are in.
        units : Tensor of int
            All units of the group first; then the part of it that a layer has, where it has all
            units of no group.
        """
        yield from self.groups.items()
        seen = set()
        for ids in self.units.values():
            mine = set(ids.tolist())
            if min(mine) < 0 or any(mine.issuperset(u.tolist()) for u in self.groups.values()):
                continue
            parts = {
                name: units[torch.isin(units, ids)]
                for name, units in self.groups.items()
                if torch.isin(units, ids).any()
            }
            group = max(parts, key=lambda name: len(parts[name]))
            if (key := tuple(parts[group].tolist())) not in seen:
                seen.add(key)
                yield group, parts[group]

    def on(self, side: Side) -> "Coupling":
        """Give the same units, and of the layers this side alone."""
        units = {
            layer_side: ids for layer_side, ids in self.units.items() if layer_side.side == side
        }
        return replace(self, units=units)

    def without(self, units: Tensor) -> "Coupling":
        """Give the coupling of a network that has lost units; the others keep their numbers."""
        return Coupling(
            {layer_side: ids[~torch.isin(ids, units)] for layer_side, ids in self.units.items()},
            {name: ids[~torch.isin(ids, units)] for name, ids in self.groups.items()},
            self.parameter_dims,
            self.group_of,
        )


def trace_units(
    module: nn.Module,
    inputs: Any,
    forward: Forward,
    protected: Iterable[str] = (),
    parameter_dims: Mapping[str, int] | None = None,
) -> Coupling:
    """Find the units of a network.

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
    parameter_dims : mapping of str to int, default=None
        The channel dimension of bare parameters, where it is known from an earlier trace. It is
        guessed as the last dimension that is not one.

    Returns
    -------
    coupling : Coupling
        The units. Channels that reach the output, a protected layer, a layer that shares its
        weight with another, or one whose inside cannot lose channels (attention, recurrent) are
        not among them.

    Raises
    ------
    UntraceableError
        If the graph cannot be followed.
    """
    for name, layer in module.named_modules():
        if layer_for(layer).has_computed_tensors:
            raise UntraceableError(
                f"The weight of layer {name!r} is computed from other parameters (by weight_norm, "
                "spectral_norm or the like), so that its units cannot be removed. Use "
                "structure='weight', or remove the parametrization first."
            )
    parameters = dict(module.named_parameters())
    protected = {*protected, *(_owner(name) for name in protected if name in parameters)}
    # The tracer follows autograd through every parameter and switches to evaluation mode: a copy.
    traced = deepcopy(module).requires_grad_(True)
    try:
        return _trace(traced, inputs, forward, frozenset(protected), parameter_dims or {})
    except UntraceableError:
        raise
    except Exception as error:  # whatever a user's module or the tracer may raise
        raise UntraceableError(
            f"The graph of {type(module).__name__} cannot be followed, so that its units cannot be "
            f"removed{_reason(module)} ({type(error).__name__}: {error}). "
            "Use structure='weight' instead."
        ) from error


def _reason(module: nn.Module) -> str:
    recurrent = [
        f"{name!r} ({type(layer).__name__})"
        for name, layer in module.named_modules()
        if layer_for(layer).is_recurrent
    ]
    return f", perhaps because of the recurrent layer {', '.join(recurrent)}" if recurrent else ""


def _trace(
    module: nn.Module,
    inputs: Any,
    forward: Forward,
    protected: frozenset[str],
    parameter_dims: Mapping[str, int],
) -> Coupling:
    edges = _Edges(module, protected)
    graph = _dependency_graph(module, inputs, forward, parameter_dims)
    names = {id(m): name for name, m in module.named_modules()}
    names |= {id(p): name for name, p in module.named_parameters()}
    for layer_side, root in _roots(module):
        if layer_side not in edges.covered:
            for dependency, origin, index in _reached(graph, root):
                edges.join(layer_side, origin, dependency, index, names, graph)
    return edges.coupling()


def _roots(module: nn.Module) -> Iterator[tuple[LayerSide, Any]]:
    """List the layers that make channels, with what the graph knows them by."""
    for name, part in module.named_modules():
        layer = layer_for(part)
        if layer.makes_units:
            yield LayerSide(name, "out"), part.weight if layer.traced_by_weight else part


def _owner(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def _tied_layers(module: nn.Module) -> set[str]:
    """Names of the layers that share a parameter: cut apart, they would no longer share it."""
    owners: dict[int, list[str]] = {}
    for name, layer in module.named_modules():
        for parameter in layer.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    return {name for names in owners.values() if len(names) > 1 for name in names}


class _Edges:
    """Collects which channel is coupled to which, and joins them."""

    def __init__(self, module: nn.Module, protected: frozenset[str]) -> None:
        self.modules = dict(module.named_modules())
        self.protected = protected
        self.tied = _tied_layers(module)
        self.offsets: dict[LayerSide, int] = {}
        self.widths: dict[LayerSide, int] = {}
        self.dims: dict[str, int] = {}
        self.left: list[np.ndarray] = []
        self.right: list[np.ndarray] = []
        self.fixed: list[np.ndarray] = []
        self.covered: set[LayerSide] = set()

    def _place_of(self, layer_side: LayerSide, width: int) -> int:
        if layer_side not in self.offsets:
            self.offsets[layer_side] = sum(self.widths.values())
            self.widths[layer_side] = width
        return self.offsets[layer_side]

    def join(
        self,
        root: LayerSide,
        root_index: np.ndarray,
        dependency: Any,
        index: np.ndarray,
        names: dict[int, str],
        graph: Any,
    ) -> None:
        """Join channels of a root with those of one thing that they reach."""
        start = self._place_of(root, _width(self.modules[root.layer], "out"))
        node = dependency.target
        target = node.module
        ends = start + root_index
        name = names.get(id(target))
        if name is None:
            if node.type == graph.ops.OPTYPE.OUTPUT:
                self.fixed.append(ends)
            return
        if isinstance(target, nn.Parameter):
            owner = self.modules[_owner(name)]
            if layer_for(owner).traced_by_weight:
                layer_side, width = LayerSide(_owner(name), "out"), _width(owner, "out")
            else:
                layer_side, width = LayerSide(name, "out"), target.shape[node.pruning_dim]
                self.dims[name] = node.pruning_dim % target.dim()
        else:
            out = graph.is_out_channel_pruning_fn(dependency.handler)
            side: Side = "out" if out or layer_for(target).passes_on else "in"
            layer_side = LayerSide(name, side)
            count = layer_for(target).n_channels(side)
            if count is None:
                # A lone number (PReLU) acts on every channel alike; anything else is opaque, and
                # its inside cannot lose channels.
                if any(parameter.numel() > 1 for parameter in target.parameters()):
                    self.fixed.append(ends)
                return
            width = count
        if index.size and index.max() >= width:
            raise UntraceableError(
                f"The channels of layer {root.layer!r} were followed to layer "
                f"{layer_side.layer!r}, which has {width} of them where at least "
                f"{index.max() + 1} were expected. Protect it "
                f"(protect=[{root.layer!r}]) or use structure='weight'."
            )
        if layer_side.side == "out" and layer_side.layer in self.protected:
            self.fixed.append(ends)
        self.left.append(ends)
        self.right.append(self._place_of(layer_side, width) + index)
        if np.unique(index).size == width:
            self.covered.add(layer_side)

    def _groups_of_channels(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for layer_side, offset in self.offsets.items():
            if layer_side.layer in self.dims:
                continue
            layer = layer_for(self.modules[layer_side.layer])
            channels = np.arange(self.widths[layer_side])
            yield offset + channels, offset + channels % layer.channels_per_group(layer_side.side)

    def coupling(self) -> Coupling:
        """Join everything; number the units that may go, group by group."""
        total = sum(self.widths.values())
        if not total:
            return Coupling()
        grouped = list(self._groups_of_channels())
        left = np.concatenate([*self.left, *(a for a, _ in grouped)])
        right = np.concatenate([*self.right, *(b for _, b in grouped)])
        ones = np.ones(left.size, dtype=np.int8)
        _, component = connected_components(coo_array((ones, (left, right)), shape=(total, total)))
        stays = np.zeros(component.max() + 1, dtype=bool)
        tied = [
            offset + np.arange(self.widths[layer_side])
            for layer_side, offset in self.offsets.items()
            if layer_side.layer in self.tied
        ]
        for ends in [*self.fixed, *tied]:
            stays[component[ends]] = True
        number = np.full(stays.size, -1)
        result = Coupling(parameter_dims=self.dims)
        count = 0
        group: dict[int, str] = {}
        for name, layer in self.modules.items():
            layer_side = LayerSide(name, "out")
            if layer_side not in self.offsets or not layer_for(layer).makes_units:
                continue
            offset = self.offsets[layer_side]
            mine = dict.fromkeys(component[offset : offset + self.widths[layer_side]].tolist())
            new = [c for c in mine if not stays[c] and number[c] < 0]
            if new:
                number[new] = np.arange(count, count + len(new))
                result.groups[name] = torch.arange(count, count + len(new))
                count += len(new)
            group |= dict.fromkeys(new, name)
            if (first := next((c for c in mine if c in group), None)) is not None:
                result.group_of[name] = group[first]
        for layer_side, offset in self.offsets.items():
            ids = number[component[offset : offset + self.widths[layer_side]]]
            if (ids >= 0).any():
                result.units[layer_side] = torch.from_numpy(ids)
        return result


def _width(layer: nn.Module, side: Side) -> int:
    width = layer_for(layer).n_channels(side)
    assert width is not None
    return width


class _Graph(torch_pruning.DependencyGraph):
    def get_pruner_of_module(self, module: nn.Module) -> Any:
        # Otherwise a convolution with one output per group passes for a depthwise one.
        if (layer := layer_for(module)).makes_units and layer.n_groups > 1:
            return self.REGISTERED_PRUNERS[self.ops.OPTYPE.CONV]
        return super().get_pruner_of_module(module)


def _dependency_graph(
    module: nn.Module, inputs: Any, forward: Forward, parameter_dims: Mapping[str, int]
) -> Any:
    bare: list[tuple[Tensor, int]] = [
        (module.get_parameter(name), dim) for name, dim in parameter_dims.items()
    ]
    bare += [
        (part.get_parameter("weight"), 1)
        for part in module.modules()
        if layer_for(part).traced_by_weight
    ]
    graph, concatenations = _Graph(), _Concatenations()
    with torch.enable_grad(), warnings.catch_warnings(), concatenations:
        # What the tracer is not sure of is tried out later.
        warnings.filterwarnings("ignore", module="torch_pruning")
        graph.build_dependency(
            module,
            inputs,
            forward_fn=forward,
            # The operation after the network marks what reaches its output.
            output_transform=lambda outputs: [output * 1 for output in _tensors(outputs)],
            unwrapped_parameters=bare,
            customized_pruners=_of_registered(module),
            verbose=False,
        )
    _map_flattened_channels(graph)
    _map_concatenations(graph, concatenations.widths)
    return graph


class _Making(torch_pruning.BasePruningFunc):
    """Tells the graph the number of channels of a layer whose type skprune alone knows."""

    def get_out_channels(self, layer: nn.Module) -> int | None:
        return layer_for(layer).n_channels("out")

    def get_in_channels(self, layer: nn.Module) -> int | None:
        return layer_for(layer).n_channels("in")

    def prune_out_channels(self, layer: nn.Module, idxs: Any) -> None:
        """Stand for the output side; the graph itself removes nothing."""

    def prune_in_channels(self, layer: nn.Module, idxs: Any) -> None:
        """Stand for the input side."""


class _Passing(_Making):
    """The same for a layer that passes its channels on: its two sides are one."""

    prune_in_channels = _Making.prune_out_channels


def _of_registered(module: nn.Module) -> dict[type[nn.Module], Any]:
    """Describe the types of layers in a network that only skprune knows, as users register them."""
    unknown = torch_pruning.ops.OPTYPE.ELEMENTWISE
    return {
        type(part): _Passing() if layer.passes_on else _Making()
        for part in module.modules()
        if (layer := layer_for(part)).out_axes
        and not layer.traced_by_weight
        and torch_pruning.ops.module2type(part) == unknown
    }


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs] if outputs.is_floating_point() else []
    values = outputs.values() if isinstance(outputs, dict) else outputs
    return [tensor for value in values for tensor in _tensors(value)]


def _map_flattened_channels(graph: Any) -> None:
    """Set how channels are flattened next to layers of sequences, which the graph leaves out."""
    for node in graph.module2node.values():
        sizes = getattr(node.grad_fn, "_saved_self_sym_sizes", None)
        if node.type != graph.ops.OPTYPE.RESHAPE or sizes is None or len(sizes) not in (3, 4, 5):
            continue
        read = [layer_for(n.module) for n in node.outputs]
        followers = [layer for layer in read if layer.makes_units and layer.channels_last]
        width = np.prod(sizes[1:])
        if not followers or any(layer.n_channels("in") != width for layer in followers):
            continue
        mapping: Any = partial(_FlattenIndexMapping, stride=int(np.prod(sizes[2:])))
        if _channels_are_last(node):
            mapping = partial(_Repeat, width=int(sizes[-1]), count=int(np.prod(sizes[1:-1])))
        for source in node.inputs:
            _set_mapping(node, source, 0, mapping(reverse=True))
            _set_mapping(source, node, 0, mapping(reverse=False))


def _channels_are_last(node: Any) -> bool:
    """Whether what reaches a node was made by a layer that has its channels at the end."""
    queue, seen = list(node.inputs), set()
    while queue:
        source = queue.pop(0)
        last = layer_for(source.module).channels_last
        if last:
            return True
        if last is False or source in seen:
            continue
        seen.add(source)
        queue += source.inputs
    return False


class _Repeat:
    """The places of channels after flattening, where each position has all channels in a row."""

    def __init__(self, width: int, count: int, reverse: bool) -> None:
        self.width, self.count, self.reverse = width, count, reverse

    def __call__(self, indices: list[Any]) -> list[Any]:
        if self.reverse:
            return list({_HybridIndex(i.idx % self.width, i.root_idx) for i in indices})
        return [
            _HybridIndex(position * self.width + i.idx, i.root_idx)
            for position in range(self.count)
            for i in indices
        ]


class _Concatenations(TorchFunctionMode):
    """Records the width of each part of each concatenation, which the graph lacks for inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.widths: dict[Any, list[int]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in (torch.cat, torch.concat, torch.concatenate) and output.grad_fn is not None:
            parts = args[0] if args else kwargs["tensors"]
            dim = output.grad_fn._saved_dim % output.dim()
            if dim == 1 or (output.dim() == 3 and dim == 2):
                self.widths[output.grad_fn] = [part.shape[dim] for part in parts]
        return output


def _map_concatenations(graph: Any, widths: Mapping[Any, list[int]]) -> None:
    """Tell the graph where the parts of each concatenation stand."""
    for node in graph.module2node.values():
        if node.grad_fn not in widths:
            continue
        ends = np.cumsum([0, *widths[node.grad_fn]])
        done: dict[int, int] = {}
        sources = iter(node.inputs)
        for place, (function, _) in enumerate(node.grad_fn.next_functions):
            if function is None or not _is_node(graph, function):
                continue
            source = next(sources)
            part = ends[place : place + 2].tolist()
            number = done[id(source)] = done.get(id(source), -1) + 1
            _set_mapping(node, source, 1, _ConcatIndexMapping(part, reverse=True), number)
            _set_mapping(source, node, 1, _ConcatIndexMapping(part, reverse=False), number)


def _is_node(graph: Any, function: Any) -> bool:
    """Whether a part of a concatenation is in the graph: leaves are, if they are its parameters."""
    if not hasattr(function, "variable"):
        return True
    return any(function.variable is parameter for parameter, _ in graph.unwrapped_parameters)


def _set_mapping(start: Any, end: Any, place: int, mapping: Any, number: int | None = None) -> None:
    """Set how indices change from one node to the next: on one of their connections, or on all."""
    ways = [dependency for dependency in start.dependencies if dependency.target is end]
    for dependency in ways if number is None else ways[number : number + 1]:
        dependency.index_mapping[place] = mapping


def _reached(graph: Any, root: Any) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    """Follow all channels of a layer to everything they are coupled to.

    The graph's own groups keep one origin of a channel where several meet; here all are told.
    """
    pruner = graph.get_pruner_of_module(root)
    node = graph.module2node.get(root)
    if pruner is None or node is None:
        return
    start = [_HybridIndex(i, i) for i in range(graph.get_out_channels(node))]
    seen: dict[tuple[int, int], list[set[Any]]] = {}
    stack = [(node, pruner.prune_out_channels, start)]
    while stack:
        node, handler, indices = stack.pop()
        for dependency in node.dependencies:
            if not dependency.is_triggered_by(handler):
                continue
            reached = indices
            for mapping in dependency.index_mapping:
                if mapping is not None:
                    reached = mapping(reached)
            if not reached:
                continue
            key = (id(dependency.target), id(getattr(dependency.handler, "__func__", None)))
            found = set(reached)
            if any(found <= earlier for earlier in seen.get(key, [])):
                continue
            seen.setdefault(key, []).append(found)
            yield (
                dependency,
                np.array([i.root_idx for i in reached]),
                np.array([i.idx for i in reached]),
            )
            stack.append((dependency.target, dependency.handler, reached))
