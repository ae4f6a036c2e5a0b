"""What a training depends on, boiled down to one number: data, parameters, and code."""

import dis
import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Uncacheable", "fingerprint", "package_of"]

# Where installed packages lie, and Python's own.
_SITES = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
_STANDARD = Path(sysconfig.get_path("stdlib"))
_OWN = Path(__file__).parents[1]


class Uncacheable(ValueError):
    """An object cannot be told from another by its content."""


def fingerprint(*objects: Any) -> str:
    """Hash objects by their content.

    Arrays count by dtype, shape and values, and never by their memory layout; functions and
    classes by their code, what they close over, and the globals that they use, those of modules
    among them. What is installed, or Python's own, counts by its name and version.

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
    except Uncacheable:
        raise
    except Exception as error:  # whatever an object may answer when it is asked for its parts
        raise Uncacheable(
            f"its content cannot be seen ({type(error).__name__}: {error})"
        ) from error
    return hasher.digest.hexdigest()


def package_of(item: ModuleType | type) -> str | None:
    """Name the installed package that a module or a class belongs to, and its version.

    Parameters
    ----------
    item : module or type
        A class belongs to its module only if it is found there, whatever it calls itself.

    Returns
    -------
    package : str or None
        None for what is not installed: a user's own code. skprune, which need not be installed,
        and Python go by their names alone.
    """
    if isinstance(item, ModuleType):
        file = getattr(item, "__file__", None)
        return "python" if item.__name__ in sys.builtin_module_names else _package_at(file)
    module = found = sys.modules.get(item.__module__)
    for name in item.__qualname__.split("."):
        found = getattr(found, name, None)
    return package_of(module) if module is not None and found is item else None


@cache
def _package_at(file: str | None) -> str | None:
    if file is None:
        return None
    if file.startswith("<frozen "):
        return "python"
    path = Path(file)
    for site in _SITES:
        if path.is_relative_to(site):
            name = path.relative_to(site).parts[0].partition(".")[0]
            return " ".join([name, *(version(d) for d in _distributions().get(name, []))])
    if path.is_relative_to(_OWN):
        return "skprune"
    return "python" if path.is_relative_to(_STANDARD) else None


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


class _Hasher:
    def __init__(self) -> None:
        self.digest = hashlib.blake2b(digest_size=20)
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []  # ids are only unique among objects that live
        self.entered: set[tuple[Any, ...]] = set()

    def text(self, *words: Any) -> None:
        self.digest.update(("\0".join(map(str, words)) + "\1").encode())

    def add(self, item: Any) -> None:
        if item is None or isinstance(item, (bool, int, float, complex, str, bytes)):
            self.text(type(item).__name__, repr(item))
            return
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

    def array(self, item: np.ndarray) -> None:
        if item.dtype.hasobject:
            self.text("objects", item.shape)
            self.sequence(item.ravel().tolist())
            return
        self.text("array", item.dtype.str, item.shape)
        self.digest.update(np.ascontiguousarray(item).data)

    def tensor(self, item: Tensor) -> None:
        self.text("tensor", item.dtype, tuple(item.shape), item.device.type, item.requires_grad)
        flat = item.detach().cpu().contiguous().reshape(-1)
        self.digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")

    def mapping(self, item: Mapping[Any, Any]) -> None:
        self.text(type(item).__qualname__, len(item))
        for key, value in item.items():
            self.add(key)
            self.add(value)

    def sequence(self, item: Any) -> None:
        self.text(type(item).__qualname__, len(item))
        for value in item:
            self.add(value)

    def unordered(self, item: Any) -> None:
        self.text(type(item).__qualname__, *sorted(fingerprint(value) for value in item))

    def function(self, item: FunctionType) -> None:
        package = _package_at(item.__code__.co_filename)
        self.text("function", item.__module__, item.__qualname__, package)
        if package is not None:
            return
        self.code(item.__code__)
        self.add(item.__defaults__)
        self.add(item.__kwdefaults__)
        for cell in item.__closure__ or ():
            self.add(cell.cell_contents)
        names = _names(item.__code__)
        for name in names:
            if name in item.__globals__:
                self.text("global", name)
                self.global_(item.__globals__[name], names)
        for name in _imports(item.__code__, item.__globals__.get("__package__") or ""):
            self.text("import", name)
            if (module := _imported(name)) is not None:
                self.global_(module, names)

    def global_(self, item: Any, names: Sequence[str]) -> None:
        """Add what a function uses of its surroundings: of a module, what the code names."""
        self.add(item)
        if not isinstance(item, ModuleType) or package_of(item) is not None:
            return
        if (id(item), *names) in self.entered:  # modules may name each other
            return
        self.entered.add((id(item), *names))
        for name in names:
            if name in vars(item):
                self.text("of", item.__name__, name)
                self.global_(vars(item)[name], names)

    def code(self, item: CodeType) -> None:
        self.text("code", item.co_names, item.co_varnames, item.co_freevars, item.co_cellvars)
        self.text(item.co_argcount, item.co_kwonlyargcount, item.co_flags)
        self.text(item.co_code, item.co_exceptiontable)
        for constant in item.co_consts:
            self.code(constant) if isinstance(constant, CodeType) else self.add(constant)

    def method(self, item: MethodType) -> None:
        self.text("method")
        self.add(item.__func__)
        self.add(item.__self__)

    def partial(self, item: partial) -> None:
        self.text("partial")
        self.add((item.func, item.args, item.keywords))

    def named(self, item: Any) -> None:
        self.text(type(item).__name__, getattr(item, "__module__", None), item.__name__)

    def module(self, item: ModuleType) -> None:
        package = package_of(item)
        self.text("module", item.__name__, package)
        file = getattr(item, "__file__", None)
        if package is None and file is not None:
            self.digest.update(Path(file).read_bytes())

    def cls(self, item: type) -> None:
        package = package_of(item)
        self.text("class", item.__module__, item.__qualname__, package)
        if package is not None:
            return
        self.sequence(item.__bases__)
        for name, value in vars(item).items():
            if name not in ("__dict__", "__weakref__", "__module__", "__doc__", "_abc_impl"):
                self.text(name)
                self.add(value)

    def descriptor(self, item: Any) -> None:
        self.text(type(item).__name__)
        for name in ("__func__", "fget", "fset"):
            self.add(getattr(item, name, None))

    def plain(self, item: Any) -> None:
        self.text(type(item).__name__, item)

    def instance(self, item: Any) -> None:
        self.add(type(item))
        if _pickles_by_default(item):
            self.add(getattr(item, "__dict__", None))
            for name in _slots(type(item)):
                self.add(getattr(item, name, None))
            return
        try:
            parts = item.__reduce_ex__(4)
        except TypeError as error:
            raise Uncacheable(f"{item!r} shows nothing of its content") from error
        self.add([list(part) if isinstance(part, Iterator) else part for part in parts])


def _pickles_by_default(item: Any) -> bool:
    """Whether all that there is of an object is in its ``__dict__`` and its slots."""
    cls = type(item)
    own = cls.__reduce_ex__ is object.__reduce_ex__ and cls.__reduce__ is object.__reduce__
    return own and (hasattr(item, "__dict__") or bool(_slots(cls)))


def _slots(cls: type) -> list[str]:
    return [
        name
        for base in cls.__mro__
        for name in np.atleast_1d(vars(base).get("__slots__", [])).tolist()
        if name not in ("__dict__", "__weakref__")
    ]


def _names(code: CodeType) -> list[str]:
    inner = [name for c in code.co_consts if isinstance(c, CodeType) for name in _names(c)]
    return sorted({*code.co_names, *inner})


def _imports(code: CodeType, package: str) -> Iterator[str]:
    """List the modules that code may import as it runs."""
    loaded: list[Any] = [0, None]
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            level, names = loaded[-2:]
            module = resolve_name("." * level + instruction.argval, package)
            yield module
            yield from (f"{module}.{name}" for name in names or ())  # modules themselves, perhaps
        elif instruction.opname.startswith("LOAD_"):
            loaded.append(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imports(constant, package)


def _imported(name: str) -> ModuleType | None:
    """Give a module; None if there is none of that name, as of a package that is not installed."""
    try:
        if name not in sys.modules and find_spec(name) is None:
            return None
    except ModuleNotFoundError:  # it would lie in something that is no package
        return None
    return import_module(name)


_OF_C_TYPES = (
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
_METHODS: tuple[tuple[Any, Any], ...] = (
    (np.ndarray, _Hasher.array),
    (Tensor, _Hasher.tensor),
    (Mapping, _Hasher.mapping),
    ((list, tuple), _Hasher.sequence),
    ((set, frozenset), _Hasher.unordered),
    (FunctionType, _Hasher.function),
    (MethodType, _Hasher.method),
    (partial, _Hasher.partial),
    (ModuleType, _Hasher.module),
    ((BuiltinFunctionType, np.ufunc, *_OF_C_TYPES), _Hasher.named),
    (type, _Hasher.cls),
    ((property, classmethod, staticmethod), _Hasher.descriptor),
    ((torch.dtype, torch.device, np.dtype, np.generic, range, slice), _Hasher.plain),
)
