"""Checks of what a file says, one value at a time."""

from collections.abc import Collection
from math import prod
from typing import Any, TypeVar

from skprune.exceptions import InvalidFileError

__all__ = ["check", "field", "names_in", "shape_in"]

_Kind = TypeVar("_Kind")

_MAX_SIZE = 1 << 48
_MAX_DIMENSIONS = 64


def check(condition: bool, where: str, message: str) -> None:
    """Raise an error if something does not hold.

    Parameters
    ----------
    condition : bool
        What has to hold.
    where : str
        What of the file it is about.
    message : str
        What is wrong.

    Raises
    ------
    InvalidFileError
        If it does not.
    """
    if not condition:
        raise InvalidFileError(f"The file is damaged, in {where}: {message}.")


def field(about: Any, name: str, kind: type[_Kind], where: str) -> _Kind:
    """Take a value of an expected type out of a table.

    Parameters
    ----------
    about : object
        The table.
    name : str
        Name of the value.
    kind : type
        Its type: exactly that, so that True is no number.
    where : str
        What of the file the table is.

    Returns
    -------
    value : object
        The value.
    """
    check(type(about) is dict, where, f"a {type(about).__name__} where a table is expected")
    check(name in about, where, f"{name!r} is missing")
    value = about[name]
    check(
        type(value) is kind, where, f"{name!r} is a {type(value).__name__}, and no {kind.__name__}"
    )
    return value


def names_in(
    about: Any, where: str, required: Collection[str], optional: Collection[str] = ()
) -> None:
    """Check which values a table has.

    Parameters
    ----------
    about : object
        The table.
    where : str
        What of the file it is.
    required, optional : collection of str
        The names that it must have, and may have.
    """
    check(type(about) is dict, where, f"a {type(about).__name__} where a table is expected")
    names = about.keys() - {"//"}
    missing, unknown = set(required) - names, names - set(required) - set(optional)
    check(not missing, where, f"{sorted(missing)} are missing")
    check(not unknown, where, f"{sorted(unknown)} are not known")


def shape_in(about: Any, name: str, where: str) -> tuple[int, ...]:
    """Take a shape out of a table.

    Parameters
    ----------
    about : object
        The table.
    name : str
        Name of the shape.
    where : str
        What of the file the table is.

    Returns
    -------
    shape : tuple of int
        The shape.
    """
    shape = field(about, name, list, where)
    right = len(shape) <= _MAX_DIMENSIONS and all(type(n) is int and n >= 0 for n in shape)
    check(right and prod(shape) < _MAX_SIZE, where, f"{name!r} is {str(shape)[:80]}")
    return tuple(shape)
