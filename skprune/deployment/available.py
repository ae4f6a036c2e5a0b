"""Methods that an object has only under a condition, without scikit-learn's import."""

from collections.abc import Callable
from typing import Any

__all__ = ["available_if"]


class available_if:
    """Make a method that is there for some objects of a class only.

    Parameters
    ----------
    condition : callable
        Says of an object whether it has the method.
    """

    def __init__(self, condition: Callable[[Any], bool]) -> None:
        self.condition = condition

    def __call__(self, method: Callable) -> Any:
        """Decorate a method."""
        return _Conditional(method, self.condition)


class _Conditional:
    def __init__(self, method: Callable, condition: Callable[[Any], bool]) -> None:
        self.method, self.condition = method, condition
        self.__doc__ = method.__doc__

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self.method
        if not self.condition(instance):
            raise AttributeError(
                f"This {owner.__name__!r} has no attribute {self.method.__name__!r}"
            )
        return self.method.__get__(instance, owner)
