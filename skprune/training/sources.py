"""Files of the user's own code: their bytes, and those of the files that they import."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import MAGIC_NUMBER, find_spec, resolve_name
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from skprune.training.packages import package_at

__all__ = ["Unseen", "is_of_source", "sources_of"]


class Unseen(ValueError):
    """The code that runs is not the code that is on disk, or there is none on disk."""


# The bytes that a file had when it was first looked at, for each time it was loaded.
_FIRST_SEEN: dict[str, tuple[ModuleSpec | None, bytes]] = {}


def sources_of(module: ModuleType) -> dict[str, str]:
    """Tell the files that a module of the user's is made of, it and what it imports.

    Parameters
    ----------
    module : module
        One that is not installed.

    Returns
    -------
    digests : dict of str to str
        A hash of each file's bytes, by the module's name; installed modules by their package.

    Raises
    ------
    Unseen
        If a module has no file of Python source, or was loaded before its file was changed.
    """
    found: dict[str, str] = {}
    wanted = [module.__name__]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        file = _file_of(name)
        if file is None:
            continue
        package = package_at(file)
        if package is not None:
            found[name] = package
            continue
        if not file.endswith(".py"):
            raise Unseen(f"module {name!r} is compiled ({Path(file).name}) and not installed")
        data = _bytes_in_use(name, file)
        found[name] = hashlib.blake2b(data, digest_size=20).hexdigest()
        is_package = Path(file).name == "__init__.py"
        inside = name if is_package else name.rpartition(".")[0]
        wanted += [full for level, text in _imports(data) if (full := _full(level, text, inside))]
        wanted += _parents(name)
    return dict(sorted(found.items()))


def is_of_source(code: CodeType, module: ModuleType) -> bool:
    """Whether code that runs is in its module's file as that is now on disk.

    Parameters
    ----------
    code : code
        The code of a function.
    module : module
        Where the function is from.

    Returns
    -------
    is_of_source : bool
        True as well where a loader other than Python's own may have changed the code.
    """
    file = getattr(module, "__file__", None)
    loader = getattr(module.__spec__, "loader", None)
    if type(loader) is not SourceFileLoader or file is None or code.co_filename != file:
        return True
    return _bare(code) in _codes_in(Path(file).read_bytes())


def _bytes_in_use(name: str, file: str) -> bytes:
    """Read a file, and see whether it was changed after its module was loaded."""
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise Unseen(f"the source of module {name!r} cannot be read ({error})") from error
    module = sys.modules.get(name)
    if module is None:
        return data
    spec = module.__spec__
    before = _FIRST_SEEN.get(file)
    if before is None or before[0] is not spec:  # a module that is loaded again has another
        _FIRST_SEEN[file] = spec, hashlib.blake2b(data).digest()
    elif before[1] != hashlib.blake2b(data).digest():
        raise Unseen(f"{Path(file).name} was changed after module {name!r} was loaded")
    if _compiled_from_another(spec, file):
        raise Unseen(f"{Path(file).name} was changed after module {name!r} was loaded")
    return data


def _compiled_from_another(spec: ModuleSpec | None, file: str) -> bool:
    """Whether Python noted another size or time of a file when it loaded it."""
    if spec is None or type(spec.loader) is not SourceFileLoader or sys.dont_write_bytecode:
        return False
    try:
        with open(spec.cached or "", "rb") as compiled:
            head = compiled.read(16)
        now = Path(file).stat()
    except OSError:
        return False
    if len(head) < 16 or head[:4] != MAGIC_NUMBER or any(head[4:8]):
        return False
    noted = int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little")
    return noted != (int(now.st_mtime) & 0xFFFFFFFF, now.st_size & 0xFFFFFFFF)


@cache
def _imports(data: bytes) -> list[tuple[int, str]]:
    """List what a file may import: levels of dots, and names."""
    found: dict[tuple[int, str], None] = {}
    for node in ast.walk(ast.parse(data)):
        if isinstance(node, ast.Import):
            found.update({(0, alias.name): None for alias in node.names})
        elif isinstance(node, ast.ImportFrom):
            found[node.level, node.module or ""] = None
            for alias in node.names:  # modules themselves, perhaps
                found[node.level, f"{node.module or ''}.{alias.name}".lstrip(".")] = None
    return list(found)


def _full(level: int, name: str, package: str) -> str | None:
    try:
        return resolve_name("." * level + name, package) if level else name
    except ImportError:  # more dots than packages: it fails when it runs, too
        return None


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


def _file_of(name: str) -> str | None:
    """Give a module's file; None if there is none of that name, or it is Python's own."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    parent = name.rpartition(".")[0]
    try:
        if parent and not hasattr(sys.modules.get(parent), "__path__"):
            return None  # to look into a package that is not loaded would load it
        spec = find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return None if spec is None or not spec.has_location else spec.origin


@cache
def _codes_in(data: bytes) -> frozenset[Any]:
    def inside(code: CodeType) -> Iterator[Any]:
        yield _bare(code)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from inside(constant)

    return frozenset(inside(compile(data, "", "exec", dont_inherit=True)))


def _bare(code: CodeType) -> tuple[Any, ...]:
    """Reduce code to what does not depend on its place."""
    constants = [
        _bare(constant) if isinstance(constant, CodeType) else repr(constant)
        for constant in code.co_consts
        if not isinstance(constant, frozenset)  # whose order in print is another in each process
    ]
    return code.co_qualname, code.co_names, code.co_varnames, code.co_code, tuple(constants)
