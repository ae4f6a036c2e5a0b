"""Which code is installed, and so counts by its version; all other code is the user's own."""

import hashlib
import re
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

__all__ = ["found_in", "package_at", "package_of", "package_of_code", "requirements"]

_STANDARD = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
_STANDARD |= {
    Path(sys.base_prefix) / path.relative_to(sys.prefix)
    for path in _STANDARD
    if path.is_relative_to(sys.prefix)
}
_OWN = Path(__file__).parents[1]


class _Installed(NamedTuple):
    """A distribution: its name and version, and its files, without those that pip compiled."""

    label: str
    files: frozenset[str]


def package_of(item: ModuleType | type) -> str | None:
    """Name the installed package that a module or a class belongs to, and its version.

    A file is installed if a distribution lists it, wherever that lies: in ``site-packages``, in the
    user's own, or in a folder on ``PYTHONPATH``. An editable installation lists no files.

    Parameters
    ----------
    item : module or type
        A class belongs to its module only if it is found there, whatever it calls itself.

    Returns
    -------
    package : str or None
        None for what is not installed: a user's own code.
    """
    if isinstance(item, ModuleType):
        if item.__name__ in sys.builtin_module_names:
            return "python"
        return package_at(getattr(item, "__file__", None))
    module = sys.modules.get(item.__module__)
    return package_of(module) if module is not None and found_in(module, item) else None


def found_in(module: ModuleType, item: Any) -> bool:
    """Whether a module holds an object under the name that the object goes by."""
    found: Any = module
    for name in item.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is item


def package_of_code(code: CodeType) -> str | None:
    """Name the installed package that code was read from; None for a user's own."""
    return package_at(code.co_filename)


@cache
def requirements(*names: str) -> list[str]:
    """List distributions, and those that they require, with the versions that are installed.

    Parameters
    ----------
    *names : str
        Names of distributions.

    Returns
    -------
    labels : list of str
        Names and versions. What is not installed is left out.
    """
    found: dict[str, str] = {}
    wanted = list(names)
    while wanted:
        name = _normalized(wanted.pop())
        if name in found:
            continue
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = installed.version
        required = [line for line in installed.requires or [] if "extra ==" not in line]
        wanted += [re.split(r"[^\w.-]", line)[0] for line in required]
    return [f"{name} {version}" for name, version in sorted(found.items())]


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def package_at(file: str | None) -> str | None:
    """Name the installed package that a file belongs to; None for a user's own."""
    if file is None:
        return None
    if file.startswith("<frozen "):
        return "python"
    path = Path(file)
    if path.is_relative_to(_OWN):
        return f"skprune {_own_sources()}"
    for folder in path.parents:
        if folder.name in ("site-packages", "dist-packages"):
            break
        if folder in _STANDARD:
            return "python"
    for folder in path.parents:
        inside = path.relative_to(folder).as_posix()
        for package in _installed_in(folder):
            if inside in package.files:
                return package.label
    return None


@cache
def _own_sources() -> str:
    """Tell skprune's own code apart, which need not be installed."""
    files = sorted(_OWN.rglob("*.py"))
    return _digest(line for file in files for line in (file.name.encode(), file.read_bytes()))


@cache
def _installed_in(folder: Path) -> list[_Installed]:
    """Read what distributions lie in a folder."""
    try:
        found = sorted(folder.glob("*.dist-info"))
    except OSError:  # a folder that may not be read
        return []
    return [_read(path) for path in found if (path / "RECORD").is_file()]


def _read(path: Path) -> _Installed:
    lines = [
        line
        for line in (path / "RECORD").read_text(encoding="utf8").splitlines()
        if not line.startswith((f"{path.name}/", "../", "/")) and ".pyc," not in line
    ]
    # The list has a checksum of each file: it differs between two builds of one version.
    label = f"{path.name.removesuffix('.dist-info')} {_digest(map(str.encode, sorted(lines)))}"
    files = frozenset(line.rsplit(",", 2)[0].strip('"') for line in lines)
    return _Installed(label, files)


def _digest(lines: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=20)
    for line in lines:
        digest.update(b"%d " % len(line) + line)
    return digest.hexdigest()
