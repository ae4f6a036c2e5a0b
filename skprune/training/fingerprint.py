"""What a training depends on, boiled down to one number: data, parameters, and code."""

import copyreg
import functools
import hashlib
import struct
import sys
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.training.code import (
    check_seen,
    constants_in,
    globals_in,
    imports_in,
    names_in,
    uses_any_name,
)
from skprune.training.packages import found_in, package_of, package_of_code
from skprune.training.sources import Unseen, is_of_source, sources_of

__all__ = ["Uncacheable", "fingerprint"]

_MAIN = ("__main__", "__mp_main__")
_SINGLEDISPATCH = functools.singledispatch(lambda x: x).__code__  # type: ignore[attr-defined]


class Uncacheable(ValueError):
    """An object cannot be told from another by its content."""


def fingerprint(*objects: Any) -> str:
    """Hash objects by their content.

    Arrays count by dtype, shape and values, and never by their memory layout; functions and
    classes by their code, what they close over, the globals that they use, and the files of the
    user's that they come from. What is installed, or Python's own, counts by its name and version.

    Parameters
    ----------
    *objects : object
        Numbers, strings, arrays, tensors, containers, functions, classes, modules, and objects
        that are made of these.

    Returns
    -------
    digest : str
        Equal for equal content, in any process.

    Raises
    ------
    Uncacheable
        If the content of an object cannot be seen.

    Examples
    --------
    >>> import numpy as np
    >>> from skprune.training.fingerprint import fingerprint
    >>> a = np.arange(6.0).reshape(2, 3)
    >>> fingerprint(a) == fingerprint(np.asfortranarray(a))
    True
    >>> fingerprint(a) == fingerprint(a + 1)
    False
    """
    hasher = _Hasher()
    try:
        for item in objects:
            hasher.add(item)
        hasher.finish()
    except Uncacheable:
        raise
    except Unseen as error:
        raise Uncacheable(str(error)) from error
    except Exception as error:  # whatever an object may answer when it is asked for its parts
        raise Uncacheable(
            f"its content cannot be seen ({type(error).__name__}: {error})"
        ) from error
    return hasher.digest.hexdigest()


class _Hasher:
    def __init__(self) -> None:
        self.digest = hashlib.blake2b(digest_size=20)
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []  # ids are only unique among objects that live
        self.modules: dict[str, ModuleType] = {}  # of the user's
        self.names: set[str] = set()  # that the user's code uses
        self.any_name = False

    def text(self, *words: Any) -> None:
        for word in map(str, words):
            data = word.encode("utf8", "surrogatepass")
            self.digest.update(b"%d:" % len(data) + data)
        self.digest.update(b";")

    def data(self, kind: str, data: bytes) -> None:
        self.digest.update(f"{kind} {len(data)}:".encode() + data)

    def add(self, item: Any) -> None:
        kind = type(item)
        if kind in _SCALARS:
            self.text(kind.__name__, _SCALARS[kind](item))
            return
        # Python shares some constants as it likes, so that only what can change is told by place.
        if kind not in (tuple, frozenset):
            if id(item) in self.seen:
                self.text("seen", self.seen[id(item)])
                return
            self.seen[id(item)] = len(self.seen)
            self.alive.append(item)
        for kinds, method in _METHODS:
            if isinstance(item, kinds):
                method(self, item)
                return
        self.instance(item)

    def finish(self) -> None:
        """Add what the code that was found uses of the user's modules, and the files of these."""
        done: set[tuple[str, str]] = set()
        while True:
            wanted = [
                (name, key)
                for name, module in self.modules.items()
                for key in vars(module)
                if (name, key) not in done and self.is_used(key)
            ]
            if not wanted:
                break
            for name, key in sorted(wanted):
                done.add((name, key))
                self.text("of", name, key)
                self.add(vars(self.modules[name])[key])
        for name, module in sorted(self.modules.items()):
            if getattr(module, "__file__", None) is not None:
                self.text("sources", name, *sources_of(module).items())

    def is_used(self, key: str) -> bool:
        return key in self.names or (self.any_name and key[:2] != "__" and key[0] != "@")

    # Data

    def array(self, item: np.ndarray) -> None:
        if type(item) is not np.ndarray:
            self.add(type(item))
            self.attributes(item)
            if isinstance(item, np.ma.MaskedArray):
                self.add(np.ma.getmaskarray(item))
                self.add(item.fill_value)
        item = np.asarray(item.data if isinstance(item, np.ma.MaskedArray) else item)
        self.dtype(item.dtype)
        self.text("array", item.shape)
        if item.dtype.names is not None:
            for name in item.dtype.names:
                self.add(item[name])
        elif item.dtype.hasobject:
            self.sequence(item.ravel().tolist())
        else:
            flat = np.ascontiguousarray(item).reshape(-1)
            self.digest.update(flat.view(np.uint8).data if flat.nbytes else b"")

    def dtype(self, item: np.dtype) -> None:
        self.text("dtype", item.str, item, item.itemsize, item.alignment)
        if item.metadata:
            self.add(dict(item.metadata))

    def number(self, item: np.generic) -> None:
        self.add(type(item))
        self.array(np.asarray(item))

    def tensor(self, item: Tensor) -> None:
        if type(item) is not Tensor:
            self.add(type(item))
        strides = (
            item.is_leaf
            and isinstance(item, nn.Parameter)
            and [stride for stride, size in zip(item.stride(), item.shape, strict=True) if size > 1]
        )
        self.text("tensor", item.dtype, tuple(item.shape), item.device.type, item.layout, strides)
        self.text(item.requires_grad, item.is_leaf)
        with torch._C.DisableTorchFunctionSubclass():
            flat = item.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
            self.digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
        for hooks in (item._backward_hooks, getattr(item, "_post_accumulate_grad_hooks", None)):
            self.add(list(hooks.values()) if hooks else None)
        self.add(item.grad if item.is_leaf else None)
        self.attributes(item)

    def mapping(self, item: Any) -> None:
        if type(item) not in (dict, OrderedDict):
            self.add(type(item))
            self.add(getattr(item, "default_factory", None))
            self.attributes(item)
        kind = OrderedDict if isinstance(item, OrderedDict) else dict
        pairs = dict(item).items() if isinstance(item, MappingProxyType) else kind.items(item)
        self.text("mapping", len(pairs))
        for key, value in pairs:
            self.add(key)
            self.add(value)

    def sequence(self, item: Any) -> None:
        kind = list if isinstance(item, list) else tuple
        if type(item) is not kind:
            self.add(type(item))
            self.attributes(item)
        self.text(kind.__name__, kind.__len__(item))
        for value in kind.__iter__(item):
            self.add(value)

    def unordered(self, item: Any) -> None:
        kind = set if isinstance(item, set) else frozenset
        if type(item) is not kind:
            self.add(type(item))
            self.attributes(item)
        self.text(kind.__name__, *sorted(fingerprint(value) for value in kind.__iter__(item)))

    def scalar(self, item: Any) -> None:
        """Add an object of a subclass of numbers and strings, such as a member of an Enum."""
        self.add(type(item))
        base = next(kind for kind in _SCALARS if isinstance(item, kind))
        self.add(base.__new__(base, base.__str__(item)) if base is str else _plain(base, item))
        self.attributes(item)

    def generator(self, item: torch.Generator) -> None:
        self.text("generator", item.device, item.initial_seed())
        self.add(item.get_state())

    def plain(self, item: Any) -> None:
        self.text(type(item).__name__, item)

    def weak(self, item: weakref.ref) -> None:
        self.add(type(item))
        self.add(item())

    # Code

    def function(self, item: FunctionType) -> None:
        package = package_of_code(item.__code__)
        module = sys.modules.get(item.__module__ or "")
        self.text("function", item.__qualname__, package)
        if package is not None and module is not None and found_in(module, item):
            check_seen(item)
            return
        if package is not None and item.__code__ is _SINGLEDISPATCH:
            self.add(dict(item.registry))  # type: ignore[attr-defined]
            return
        # What wraps the user's code may be installed, but what it wraps is not.
        self.add(item.__defaults__)
        self.add(item.__kwdefaults__)
        for cell in item.__closure__ or ():
            self.add(cell.cell_contents)
        self.add(item.__dict__)
        if package is None:
            self.own_code(item)

    def own_code(self, item: FunctionType) -> None:
        code, scope = item.__code__, item.__globals__
        check_seen(item, own=True)
        self.code(code)
        module = sys.modules.get(scope.get("__name__", ""))
        if module is not None and vars(module) is scope and module.__name__ not in _MAIN:
            self.module(module)
            if not is_of_source(code, module):
                raise Uncacheable(
                    f"{module.__name__}.{item.__qualname__} is not what its file says: the file "
                    "was changed after it was loaded"
                )
        names = names_in(code)
        self.names.update(names, constants_in(code))
        self.any_name |= uses_any_name(code)
        for name in sorted(globals_in(code)):
            if name in scope:
                self.text("global", name)
                self.add(scope[name])
        for name in imports_in(code, scope.get("__package__") or ""):
            self.text("import", name)
            if (imported := _imported(name)) is not None:
                self.add(imported)

    def code(self, item: CodeType) -> None:
        self.text("code", item.co_names, item.co_varnames, item.co_freevars, item.co_cellvars)
        self.text(item.co_argcount, item.co_posonlyargcount, item.co_kwonlyargcount, item.co_flags)
        self.data("bytes", item.co_code)
        self.data("exceptions", item.co_exceptiontable)
        for constant in item.co_consts:
            self.code(constant) if isinstance(constant, CodeType) else self.add(constant)

    def method(self, item: MethodType) -> None:
        self.text("method")
        self.add(item.__func__)
        self.add(item.__self__)

    def partial(self, item: functools.partial) -> None:
        self.add(type(item))
        for part in (item.func, item.args, item.keywords):
            self.add(part)
        self.attributes(item)

    def builtin(self, item: Any) -> None:
        owner = getattr(item, "__self__", None)
        self.text(type(item).__name__, item.__name__)
        check_seen(item)
        if owner is not None and not isinstance(owner, ModuleType):
            self.add(owner)
            return
        module = sys.modules.get(getattr(item, "__module__", None) or "") or owner
        if isinstance(module, ModuleType) and (package := package_of(module)) is not None:
            self.text(module.__name__, package)
        elif _is_torch_builtin(item):
            self.text("torch")
        else:
            raise Uncacheable(f"{item!r} is compiled code that is not installed")

    def ufunc(self, item: np.ufunc) -> None:
        for name in ("numpy", "scipy.special"):
            if getattr(sys.modules.get(name), item.__name__, None) is item:
                self.text("ufunc", name, item.__name__)
                return
        raise Uncacheable(f"{item!r} shows nothing of its content")

    def part_of_class(self, item: Any) -> None:
        self.text(type(item).__name__, item.__name__)
        self.add(item.__objclass__)

    def module(self, item: ModuleType) -> None:
        package = package_of(item)
        self.text("module", item.__name__, package)
        if package is None and item.__name__ not in self.modules:
            if item.__name__ in _MAIN:
                raise Uncacheable(f"the module {item.__name__} is used as a whole")
            if type(item) is not ModuleType:
                self.instance(item)
            self.modules[item.__name__] = item

    def cls(self, item: type) -> None:
        package = package_of(item)
        module = "__main__" if item.__module__ in _MAIN else item.__module__
        self.text("class", module, item.__qualname__, package)
        if package is not None:
            for base in item.__mro__:
                for name, value in vars(base).items():
                    if isinstance(value, FunctionType) and _is_patched(value):
                        self.text("patched", name)
                        self.add(value)
            return
        if type(item) is not type:
            self.add(type(item))
        for base in item.__bases__:
            self.add(base)
        own = sys.modules.get(item.__module__)
        if own is not None and own.__name__ not in _MAIN and found_in(own, item):
            self.module(own)
        for name, value in sorted(vars(item).items()):
            if name not in _OF_EVERY_CLASS:
                self.text(name)
                self.add(value)

    def descriptor(self, item: Any) -> None:
        self.add(type(item))
        for name in ("__func__", "fget", "fset", "fdel"):
            self.add(getattr(item, name, None))
        self.attributes(item)

    def cached(self, item: Any) -> None:
        """Add a function with a cache, whatever is in that."""
        self.text("cached", item.cache_parameters())
        self.add(item.__wrapped__)

    def cached_property(self, item: functools.cached_property) -> None:
        self.add(type(item))
        self.text(item.attrname)
        self.add(item.func)

    # Objects

    def network(self, item: nn.Module) -> None:
        """Add a module; the numbers of its hooks depend on what else has hooks."""
        self.add(type(item))
        parts = vars(item)
        hooks = {name: part for name, part in parts.items() if "_hooks" in name and part}
        keys = sorted({key for part in hooks.values() for key in part})
        ranks = {key: rank for rank, key in enumerate(keys)}
        for name, value in parts.items():
            self.text(name)
            if name in hooks and isinstance(value, Mapping):
                self.add([(ranks[key], hook) for key, hook in value.items()])
            else:
                self.add(value)

    def instance(self, item: Any) -> None:
        self.add(type(item))
        if _is_all_attributes(item):
            self.attributes(item)
            return
        reduce = copyreg.dispatch_table.get(type(item))
        for method in (type(item).__reduce_ex__, type(item).__reduce__):
            if isinstance(method, FunctionType) and package_of_code(method.__code__) is None:
                raise Uncacheable(f"{item!r} says itself what there is of it")
        try:
            parts: Any = reduce(item) if reduce else item.__reduce_ex__(4)
        except TypeError as error:
            raise Uncacheable(f"{item!r} shows nothing of its content") from error
        if isinstance(parts, str):
            home = sys.modules.get(getattr(item, "__module__", type(item).__module__))
            if package_of(type(item)) is None or getattr(home, parts, None) is not item:
                raise Uncacheable(f"{item!r} shows nothing but a name")
            parts = (parts,)
        self.add([list(part) if isinstance(part, Iterator) else part for part in parts])

    def attributes(self, item: Any) -> None:
        self.add(getattr(item, "__dict__", None) or None)
        for name in _slots(type(item)):
            self.text(name, hasattr(item, name))
            self.add(getattr(item, name, None))


def _plain(base: type, item: Any) -> Any:
    if base is bytes:
        return bytes(memoryview(item))
    return {int: int.__int__, float: float.__float__, complex: complex.__complex__}[base](item)


def _is_patched(function: FunctionType) -> bool:
    """Whether a function that an installed class has is the user's."""
    name = function.__code__.co_filename
    return not name.startswith("<") and package_of_code(function.__code__) is None


def _is_torch_builtin(item: Any) -> bool:
    """Whether a function is one of torch's that say nothing of their module."""
    found = (getattr(owner, item.__name__, None) for owner in (torch, torch._C._nn, torch._C))
    return any(each is item for each in found)


def _is_all_attributes(item: Any) -> bool:
    """Whether all that there is of an object is in its ``__dict__`` and its slots."""
    cls: Any = type(item)
    size = object.__basicsize__ + 8 * len(_slots(cls))
    size += 8 * (cls.__dictoffset__ > 0) + 8 * (cls.__weakrefoffset__ > 0)
    is_python = any(cls.__flags__ & 1 << 9 for cls in cls.__mro__)  # made by a class statement
    return is_python and cls.__basicsize__ <= size and cls.__itemsize__ == 0


def _slots(cls: type) -> list[str]:
    found = []
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__"):
                private = name.startswith("__") and not name.endswith("__")
                found.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return found


def _imported(name: str) -> ModuleType | None:
    """Give a module; None if there is none of that name, as of a package that is not installed."""
    try:
        if name not in sys.modules and find_spec(name) is None:
            return None
    except ModuleNotFoundError:  # it would lie in something that is no package
        return None
    return import_module(name)


_SCALARS: dict[type, Any] = {
    type(None): repr,
    bool: repr,
    int: repr,
    float: lambda x: struct.pack("<d", x).hex(),
    complex: lambda x: struct.pack("<dd", x.real, x.imag).hex(),
    str: str,
    bytes: bytes.hex,
    type(...): repr,
    type(NotImplemented): repr,
}
_OF_EVERY_CLASS = {"__dict__", "__weakref__", "__module__", "__doc__", "_abc_impl"}
_METHODS: tuple[tuple[Any, Any], ...] = (
    (np.ndarray, _Hasher.array),
    (np.generic, _Hasher.number),
    (Tensor, _Hasher.tensor),
    ((dict, MappingProxyType), _Hasher.mapping),
    (torch.Size, _Hasher.plain),
    ((list, tuple), _Hasher.sequence),
    ((set, frozenset), _Hasher.unordered),
    ((int, float, complex, str, bytes), _Hasher.scalar),
    (FunctionType, _Hasher.function),
    (MethodType, _Hasher.method),
    (functools.partial, _Hasher.partial),
    (type(functools.lru_cache(lambda: None)), _Hasher.cached),
    (functools.cached_property, _Hasher.cached_property),
    (ModuleType, _Hasher.module),
    ((BuiltinFunctionType, MethodWrapperType), _Hasher.builtin),
    (np.ufunc, _Hasher.ufunc),
    (
        (
            ClassMethodDescriptorType,
            GetSetDescriptorType,
            MemberDescriptorType,
            MethodDescriptorType,
            WrapperDescriptorType,
        ),
        _Hasher.part_of_class,
    ),
    (type, _Hasher.cls),
    ((property, classmethod, staticmethod), _Hasher.descriptor),
    (np.dtype, _Hasher.dtype),
    ((torch.dtype, torch.device, torch.layout, torch.memory_format, range, slice), _Hasher.plain),
    (torch.Generator, _Hasher.generator),
    (weakref.ref, _Hasher.weak),
    (nn.Module, _Hasher.network),
)
