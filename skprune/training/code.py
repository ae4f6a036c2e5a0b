"""What code uses: names, imports, and what cannot be seen from outside."""

import dis
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from types import CodeType, FunctionType
from typing import Any

from skprune.training.sources import Unseen

__all__ = ["check_seen", "constants_in", "globals_in", "imports_in", "names_in", "uses_any_name"]

# Names of what reads files, the network, the environment or the surroundings of a call, runs code
# from a string, or finds code by a name that is computed. The first are harmless as methods.
_UNSEEN_GLOBALS = {"open", "exec", "eval", "compile", "__import__", "globals", "input"}
_UNSEEN_NAMES = """
    open import_module environ environb getenv getenvb fdopen popen system urlopen urlretrieve
    load loadtxt genfromtxt fromfile memmap open_memmap imread loadmat read_text read_bytes
    read_csv read_parquet read_json read_pickle read_excel read_table read_hdf read_sql
    read_feather read_image safe_open load_file load_state_dict_from_url load_library from_file
    from_pretrained __globals__ __builtins__ __subclasses__ _getframe currentframe f_globals
    f_locals f_back get_objects get_referrers CDLL cdll load_module exec_module
    spec_from_file_location run_path run_module Popen check_output create_connection
    sqlite3 ctypes subprocess socket urllib requests
"""
_UNSEEN = frozenset(_UNSEEN_NAMES.split())
_AT_CREATION = ("__init__", "__new__", "__post_init__")
_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_ANY_NAME = {"getattr", "vars", "__dict__", "attrgetter", "methodcaller", "__getattribute__"}


def check_seen(function: Any, *, own: bool = False) -> None:
    """Raise an error for a function by which something comes in that cannot be seen.

    Parameters
    ----------
    function : callable
        A function of the user's, or an installed one that the user's code holds.
    own : bool, default=False
        Whether it is the user's. What a constructor reads is seen in what it makes, and so is not
        looked for there.

    Raises
    ------
    Unseen
        The message says what and where.
    """
    if not own:
        if function.__name__ in _UNSEEN | _UNSEEN_GLOBALS:
            raise Unseen(f"{function.__name__} is used, and what it reads cannot be seen")
        return
    if function.__name__ in _AT_CREATION:
        return
    assert isinstance(function, FunctionType)
    names = names_in(function.__code__)
    found = {name for name in names if name in _UNSEEN} | globals_in(function.__code__) & (
        _UNSEEN_GLOBALS
    )
    if "sys" in names and "modules" in names:
        found.add("sys.modules")
    if found:
        raise Unseen(
            f"{function.__module__}.{function.__qualname__} uses {min(found)!r}, and what that "
            "reads cannot be seen"
        )


@cache
def names_in(code: CodeType) -> list[str]:
    """List the globals and attributes that code names, code inside it included."""
    inner = [name for part in _inside(code) for name in names_in(part)]
    return sorted({*code.co_names, *inner})


@cache
def constants_in(code: CodeType) -> list[str]:
    """List the strings in code that may be names."""
    own = [each for each in code.co_consts if isinstance(each, str) and each.isidentifier()]
    return sorted({*own, *(name for part in _inside(code) for name in constants_in(part))})


@cache
def uses_any_name(code: CodeType) -> bool:
    """Whether code may use attributes that it does not name."""
    return not _ANY_NAME.isdisjoint(names_in(code))


@cache
def imports_in(code: CodeType, package: str) -> list[str]:
    """List the modules that code may import as it runs."""
    return list(_imports(code, package))


@cache
def globals_in(code: CodeType) -> frozenset[str]:
    """List the globals that code reads, code inside it included."""
    found = {each.argval for each in dis.get_instructions(code) if each.opname in _GLOBAL}
    return frozenset(found.union(*map(globals_in, _inside(code))))


def _inside(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _imports(code: CodeType, package: str) -> Iterator[str]:
    loaded: list[Any] = [0, None]
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            level, names = loaded[-2:]
            module = resolve_name("." * level + instruction.argval, package)
            yield module
            yield from (f"{module}.{name}" for name in names or ())  # modules themselves, perhaps
        elif instruction.opname.startswith("LOAD_"):
            loaded.append(instruction.argval)
    for part in _inside(code):
        yield from _imports(part, package)
