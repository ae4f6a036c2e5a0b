"""Objects that are made by their parameters, and estimators of scikit-learn as they were fitted."""

from inspect import Parameter, signature
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skprune.components import NamesComponents
from skprune.deployment.saving.fields import check, field, names_in
from skprune.deployment.saving.trust import name_of
from skprune.deployment.saving.values import Kind, Reader, Writer
from skprune.exceptions import InvalidFileError, UnsavableError

__all__ = ["LearnedKind", "MadeKind", "RandomStateKind"]


class MadeKind(Kind):
    """Components of strategies, callbacks and splits: their class is called with parameters."""

    mark = "made"

    def fits(self, value: Any) -> bool:
        """Tell; see :class:`Kind`."""
        if isinstance(value, type):
            return False
        made_by_class = type(value).__module__.startswith("skorch.dataset")
        callback = hasattr(value, "on_train_begin") and hasattr(value, "get_params")
        return isinstance(value, NamesComponents) or made_by_class or callback

    def write(self, value: Any, to: Writer, where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        params = _params_of(value, where)
        return {
            "class": name_of(type(value), where),
            "params": {name: to.write(v, f"{where}.{name}") for name, v in params.items()},
        }

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Any:
        """Make it again; see :class:`Kind`."""
        names_in(about, where, {"class", "params"})
        cls = source.names.find(field(about, "class", str, where), where)
        params = source.read(field(about, "params", dict, where), where)
        check(isinstance(cls, type), where, "it is no class")
        return cls(**params)


def _params_of(value: Any, where: str) -> dict[str, Any]:
    """Give the parameters of an object that are not the default."""
    found: dict[str, Any] = {}
    for name, parameter in signature(type(value)).parameters.items():
        if parameter.kind is Parameter.VAR_KEYWORD:
            found.update(getattr(value, name, {}))
            continue
        if not hasattr(value, name):
            raise UnsavableError(f"{where} is a {type(value).__name__}, which hides its {name!r}.")
        own, default = getattr(value, name), parameter.default
        if own is not default and (type(own) is not type(default) or not _equal(own, default)):
            found[name] = own
    return found


def _equal(one: Any, other: Any) -> bool:
    return isinstance(one, (bool, int, float, str)) and one == other


class LearnedKind(Kind):
    """Estimators of scikit-learn, and of its manner: their class, and their attributes."""

    mark = "learned"

    def fits(self, value: Any) -> bool:
        """Tell; see :class:`Kind`."""
        return isinstance(value, BaseEstimator) and not hasattr(value, "on_train_begin")

    def write(self, value: Any, to: Writer, where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        state = value.__getstate__()
        if not isinstance(state, dict):
            raise UnsavableError(f"{where} is a {type(value).__name__} with a state of its own.")
        return {"class": name_of(type(value), where), "state": to.write(state, where)}

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Any:
        """Make it again; see :class:`Kind`."""
        names_in(about, where, {"class", "state"})
        cls = source.names.find(field(about, "class", str, where), where)
        is_estimator = isinstance(cls, type) and issubclass(cls, BaseEstimator)
        check(is_estimator, where, "it is no estimator")
        state = source.read(about["state"], where)
        check(isinstance(state, dict), where, "its state is no table")
        for name in state:
            public = name.isidentifier() and not name.startswith("__")
            check(public and not callable(getattr(cls, name, None)), where, f"{name[:80]!r} is set")
        value = cls.__new__(cls)
        value.__setstate__(state)
        return value


class RandomStateKind(Kind):
    """A generator of NumPy's, where it has come to."""

    mark = "random state"

    def fits(self, value: Any) -> bool:
        """Tell; see :class:`Kind`."""
        return isinstance(value, np.random.RandomState)

    def write(self, value: Any, to: Writer, where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        state = value.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            raise UnsavableError(f"{where} is a generator of the kind {state['bit_generator']}.")
        return {"is": to.write(state, where)}

    def read(self, about: dict[str, Any], source: Reader, where: str) -> np.random.RandomState:
        """Make it again; see :class:`Kind`."""
        names_in(about, where, {"is"})
        value = np.random.RandomState(0)
        state = source.read(about["is"], where)
        try:
            check(state["state"]["key"].shape == (624,), where, "it is no state of a generator")
            check(0 <= state["state"]["pos"] <= 624, where, "it is no state of a generator")
            value.set_state(state)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            if isinstance(error, InvalidFileError):
                raise
            raise InvalidFileError(f"The file is damaged, in {where}: {error}.") from error
        return value
