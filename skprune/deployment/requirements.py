"""Packages that only some ways to deploy need: imported when they are, or an error says how."""

from importlib import import_module
from typing import Any

__all__ = ["require"]


def require(package: str, extra: str, purpose: str) -> Any:
    """Import a package that belongs to an extra.

    Parameters
    ----------
    package : str
        Name of the module to import.
    extra : str
        The extra of skprune that installs it.
    purpose : str
        What needs it, for the message.

    Returns
    -------
    module : module
        The package.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {package}: pip install skprune[{extra}]") from error
