"""How an estimator shows the net in it: by what differs from the defaults."""

from collections.abc import Callable
from inspect import Parameter, isclass, signature
from typing import Any

from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet

__all__ = ["ShownNet"]

# Longer values are cut, such as modules, which print all of their layers.
_LONGEST = 60


class ShownNet:
    """Stands for a net where an estimator is printed.

    Parameters
    ----------
    net : NeuralNet or FrozenEstimator
        The net.
    default : callable
        Makes the net that stands for ``estimator=None``.
    """

    def __init__(self, net: Any, default: Callable[[], NeuralNet]) -> None:
        self.net = net
        self.default = default

    def __repr__(self) -> str:
        """Show the class and the parameters that are not the default."""
        if isinstance(self.net, FrozenEstimator):
            return f"FrozenEstimator(estimator={ShownNet(self.net.estimator, self.default)!r})"
        own = _parameters(self.net)
        default = _parameters(self.default())
        # A net that began as the default one still leaves its type to the data.
        began = type(self.net) is type(self.default()) and own.keys() >= default.keys()
        usual = default if began else _signature(type(self.net))
        shown = [
            f"{name}={_short(value)}"
            for name, value in own.items()
            if name not in usual or not _equal(value, usual[name])
        ]
        return f"{type(self.net).__name__}({', '.join([*shown, '...'] if began else shown)})"


def _parameters(net: NeuralNet) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(net).items()
        if not name.endswith("_") and not name.startswith("_")
    }


def _signature(cls: type) -> dict[str, Any]:
    return {
        name: parameter.default
        for base in reversed(cls.__mro__)
        for name, parameter in signature(vars(base).get("__init__", object)).parameters.items()
        if parameter.default is not Parameter.empty
    }


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        same = bool(one == other)
    except Exception:  # arrays, and whatever else cannot be compared at once
        return False
    return same or (type(one) is type(other) and repr(one) == repr(other))


def _short(value: Any) -> str:
    text = " ".join((value.__name__ if isclass(value) else repr(value)).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
