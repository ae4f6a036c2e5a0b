"""Follows one run of a network, operation by operation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from skprune.network.forward import flattened
from skprune.network.layers import Layer, layer_for
from skprune.network.tracing.channels import Channels
from skprune.network.tracing.labels import MIXED
from skprune.network.tracing.rules import rule_for
from skprune.network.tracing.values import ANY, Dim, Value, is_labelled

__all__ = ["Recorder"]


@dataclass(frozen=True)
class Call:
    """One operation.

    Attributes
    ----------
    name : str
        Its name among torch's own operations.
    arguments : dict of str to object
        By name, with a :class:`Value` for each tensor.
    outputs : list of Tensor
        What it gave, empty if no tensors.
    """

    name: str
    arguments: Mapping[str, Any]
    outputs: Sequence[Tensor]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Give an argument, if the operation has it."""
        return self.arguments.get(name, default)

    @property
    def values(self) -> list[Value]:
        """All tensors among the arguments."""
        return [value for value in tree_leaves(self.arguments) if isinstance(value, Value)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return tuple(self.outputs[0].shape)


class Recorder(TorchDispatchMode):
    """Knows the channels of all tensors that a network computes, while it computes them.

    Parameters
    ----------
    module : nn.Module
        The network, a copy of its own.
    channels : Channels
        Labels that what is found is added to.

    Attributes
    ----------
    tensors : dict of str to Value
        The parameters and buffers.
    used : set of str
        Names of those that an operation has seen.
    called : set of str
        Names of the modules that were called.
    widths : dict of str to (dict of int to list of Dim)
        The channels that were seen in each module itself, and not only in those inside it, by how
        many they are.
    passed_on : dict of str to Dim
        The channels that norms and the like passed on.
    norms : dict of str to int
        The dimension of the channels of norms over them: those that are registered, and modules
        with a number or two for each channel, over which they take a mean or the like.
    """

    def __init__(self, module: nn.Module, channels: Channels) -> None:
        super().__init__()
        self.channels = channels
        self.module = module
        self.used: set[str] = set()
        self.called: set[str] = set()
        self.widths: dict[str, dict[int, list[Dim]]] = {}
        self.passed_on: dict[str, Dim] = {}
        self.norms: dict[str, int] = {}
        self.tensors = {
            name: _with_fresh_channels(tensor, channels)
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]
        }
        self._values: dict[int, Value] = {id(v.tensor): v for v in self.tensors.values()}
        self._names = {id(value.tensor): name for name, value in self.tensors.items()}
        self._by_place = {_place(v.tensor): n for n, v in self.tensors.items() if v.tensor.numel()}
        # What has to stay if a tensor has an effect on the outputs, by the tensor's id.
        self._needs: dict[int, frozenset[int]] = {}
        self._needed: list[tuple[Any, str]] = []
        self._parents: dict[int, Value] = {}  # what a tensor is a part of, by its id
        self._modules: list[str] = []
        self._whole = 0  # how many layers that are followed as a whole it is in

    # What is run.

    def run(self, forward: Callable[[nn.Module, Any], Any], inputs: Any) -> None:
        """Run the network; what comes out of it keeps its channels."""
        self._modules, self._whole = [], 0  # an earlier run may have failed half-way
        with _only_plain_operations(), self._hooks(), torch.no_grad(), self:
            outputs = forward(self.module, inputs)
        for tensor in flattened(outputs):
            self.channels.fix(self.value_of(tensor).dims, "they are outputs of the network")
            for need in self._needs.get(id(tensor), ()):
                self.channels.fix([self._needed[need][0]], self._needed[need][1])

    def unused(self) -> set[str]:
        """Name the parameters that no operation has seen."""
        return {name for name, _ in self.module.named_parameters()} - self.used

    def value_of(self, tensor: Tensor) -> Value:
        """Say what is known of a tensor."""
        if (value := self._values.get(id(tensor))) is not None:
            if id(tensor) in self._names:
                self.used.add(self._names[id(tensor)])
            return value
        name = self._by_place.get(_place(tensor)) if tensor.numel() else None
        if name is not None:
            self.used.add(name)
            known = self.tensors[name]
            return self._know(Value(tensor, known.dims, known.is_weight))
        return self._know(Value.of(tensor, [None] * tensor.dim()))

    def _know(self, value: Value) -> Value:
        self._values[id(value.tensor)] = value
        return value

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, and find out what becomes of the channels of its arguments."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if self._whole:
            return output
        names = [argument.name for argument in func._schema.arguments]
        arguments = dict(zip(names, args, strict=False)) | kwargs
        known = tree_map_only(Tensor, self.value_of, arguments)
        call = Call(func.overloadpacket.__name__, known, flattened(output))
        self._follow(call, func)
        return output

    def _follow(self, call: Call, func: Any) -> None:
        if not call.outputs:
            return
        values = call.values
        is_weight = bool(values) and all(value.is_weight for value in values)
        dims = self._dims_of(call, func)
        for output, own in zip(call.outputs, dims, strict=True):
            self._note(self._know(Value.of(output, own, is_weight)))
        first = len(self._needed)
        if not self._in_norm(call):
            self._needed += self.channels.deferred
        self.channels.deferred.clear()
        new = frozenset(range(first, len(self._needed)))
        self._pass_needs([value.tensor for value in values], call.outputs, new)
        for value in values:
            self._note(value)
        if call.name in ("slice", "select"):
            self._parents |= {id(output): values[0] for output in call.outputs}
        elif call.name.endswith("_"):
            self._write_through(call.outputs[0])

    def _in_norm(self, call: Call) -> bool:
        """Whether an operation is that of a norm, which computes over the channels there are."""
        if call.name not in _STATISTICS or not self._modules:
            return False
        name = self._modules[-1]
        size = _norm_size(self.module.get_submodule(name))
        labels = self.channels.labels
        value = call.values[0]
        axes = [a for a, dim in enumerate(value.dims) if is_labelled(dim) and len(dim) == size]
        if not size or len(axes) != 1:
            return False
        for dim in value.channels:
            if len(dim) == size:
                labels.set_role(dim, MIXED)
        self.norms[name] = size
        return True

    def _pass_needs(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], new: frozenset[int] = frozenset()
    ) -> None:
        """Pass on what would have to stay if the inputs had an effect."""
        needs = new.union(*(self._needs.get(id(tensor), ()) for tensor in inputs))
        if needs:
            self._needs |= {id(o): needs | self._needs.get(id(o), frozenset()) for o in outputs}

    def _write_through(self, part: Tensor) -> None:
        """Tell what a tensor is a part of that it was written to."""
        if id(part) not in self._parents:
            return
        own, whole = self.value_of(part), self.value_of(self._parents[id(part)].tensor)
        dims = list(own.dims)
        if own.ndim == whole.ndim - 1:  # one place along a dimension
            axis = next(
                a for a in range(whole.ndim) if a == own.ndim or own.shape[a] != whole.shape[a]
            )
            dims.insert(axis, ANY)
        for axis, dim in enumerate(dims):
            if dim is not ANY and own.ndim == whole.ndim and own.shape[axis] != whole.shape[axis]:
                self.channels.fix([dim], "they are written to a part of another tensor")
                dims[axis] = None
        met = [self.channels.meet(a, b) for a, b in zip(whole.dims, dims, strict=True)]
        self._know(Value.of(whole.tensor, met, whole.is_weight))
        self._pass_needs([part], [whole.tensor])
        self._write_through(whole.tensor)

    def _dims_of(self, call: Call, func: Any) -> list[Sequence[Dim]]:
        """Apply the operation's rule; give the dimensions of each output."""
        rule = rule_for(call.name, func)
        labelled = any(value.channels for value in call.values)
        if rule is None:
            if labelled:
                for value in call.values:
                    self.channels.fix(
                        value.dims, f"skprune does not know what torch's {call.name!r} does to them"
                    )
            return [[None] * output.dim() for output in call.outputs]
        dims = rule(self.channels, call)
        if len(call.outputs) == 1 and (not dims or not isinstance(dims[0], (list, tuple))):
            return [dims]
        return dims

    # Where in the network it is.

    @contextmanager
    def _hooks(self) -> Iterator[None]:
        with ExitStack() as stack:
            for name, part in self.module.named_modules():
                if isinstance(part, torch.jit.ScriptModule):  # takes no hooks
                    continue
                for handle in (
                    part.register_forward_pre_hook(self._enter(name)),
                    part.register_forward_hook(self._leave(name), with_kwargs=True),
                ):
                    stack.callback(handle.remove)
            yield

    def _enter(self, name: str) -> Any:
        def enter(part: nn.Module, arguments: Any) -> None:
            self._modules.append(name)
            self.called.add(name)
            if not self._whole:
                for tensor in flattened(arguments):
                    self._note(self.value_of(tensor))
            self._whole += layer_for(part).is_followed_as_whole

        return enter

    def _leave(self, name: str) -> Any:
        def leave(part: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            layer = layer_for(part)
            if layer.is_followed_as_whole:
                self._whole -= 1
                if not self._whole:
                    self._follow_whole(name, layer, args, kwargs, output)
            self._modules.pop()
            if not self._whole:
                for tensor in flattened(output):
                    self._note(self.value_of(tensor))
            is_norm = name in self.norms or (layer.mixes_units and layer.n_channels("out"))
            if is_norm and isinstance(output, Tensor):
                size = _norm_size(part) or layer.n_channels("out")
                dims = self.value_of(output).dims
                axes = [a for a, d in enumerate(dims) if is_labelled(d) and len(d) == size]
                self.norms[name] = axes[0] - len(dims) if axes else -1
            if layer.passes_on and isinstance(output, Tensor):
                dims = self.value_of(output).dims
                own = [d for d in dims if is_labelled(d) and len(d) == layer.n_channels("out")]
                if own:
                    self.passed_on[name] = own[0]

        return leave

    def _follow_whole(self, name: str, layer: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Follow a layer whose operations are not looked at one by one."""
        own = {
            tensor: self.value_of(value)
            for tensor, value in layer.module.named_parameters(recurse=False)
        }
        arguments = (*args, *kwargs.values())
        for tensor, dims in layer.follow(self.channels, arguments, self.value_of, own, output):
            self._note(self._know(Value.of(tensor, dims)))
        self._pass_needs(flattened(arguments), flattened(output))

    def _note(self, value: Value) -> None:
        """Remember the channels that a module has seen."""
        if self._modules:
            seen = self.widths.setdefault(self._modules[-1], {})
            for dim in value.channels:
                own = seen.setdefault(len(dim), [])
                if not any(dim is other for other in own):
                    own.append(dim)


_STATISTICS = {
    "mean",
    "var",
    "var_mean",
    "std",
    "std_mean",
    "native_layer_norm",
    "native_group_norm",
}


def _norm_size(part: nn.Module) -> int:
    """Give the number of channels of a module that may be a norm; zero if it is none."""
    if type(layer_for(part)) is not Layer or any(True for _ in part.children()):
        return 0
    shapes = {tuple(parameter.shape) for parameter in part.parameters(recurse=False)}
    return next(iter(shapes))[0] if len(shapes) == 1 and len(next(iter(shapes))) == 1 else 0


def _with_fresh_channels(tensor: Tensor, channels: Channels) -> Value:
    real = tensor.is_floating_point() or tensor.is_complex()
    dims = [channels.fresh(size) if real else None for size in tensor.shape]
    return Value.of(tensor, dims, is_weight=True)


def _place(tensor: Tensor) -> tuple[Any, ...]:
    try:
        start = tensor.data_ptr()
    except RuntimeError:  # a kind of tensor without memory of its own
        start = id(tensor)
    return (start, tuple(tensor.shape), tensor.stride() if tensor.layout == torch.strided else ())


_LOCK = RLock()


@contextmanager
def _only_plain_operations() -> Iterator[None]:
    """Keep torch from doing whole layers at once, which it does where no gradient is needed."""
    with _LOCK:
        before = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(before)
