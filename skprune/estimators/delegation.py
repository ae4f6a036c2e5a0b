"""How an estimator shows what another one is, which it holds."""

from copy import copy
from functools import cache
from typing import Any

__all__ = ["Delegated", "in_name_of"]


class Delegated:
    """An attribute that an estimator has from another one that it holds, once that is fitted.

    Parameters
    ----------
    holder : str, default="best_estimator_"
        The attribute under which the other one is held.
    """

    def __init__(self, holder: str = "best_estimator_") -> None:
        self._holder = holder

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self._holder not in vars(instance):
            raise AttributeError(
                f"{type(instance).__name__!r} has no {self._name!r} before it is fitted"
            )
        return getattr(in_name_of(instance, vars(instance)[self._holder]), self._name)


def in_name_of(owner: Any, estimator: Any) -> Any:
    """Let an estimator speak as the one that holds it: errors name what the user has made.

    Parameters
    ----------
    owner : estimator
        Whose class is named.
    estimator : estimator
        The one that it holds.

    Returns
    -------
    speaking : estimator
        A shallow copy, of a class that has the other name and is the same in all else.
    """
    speaking = copy(estimator)
    named: Any = type(estimator)
    speaking.__class__ = _renamed(named, type(owner).__name__)
    return speaking


@cache
def _renamed(cls: type, name: str) -> type:
    return type(name, (cls,), {"__module__": cls.__module__, "__doc__": cls.__doc__})
