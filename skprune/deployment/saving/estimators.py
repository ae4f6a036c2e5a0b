"""Estimators and their nets, by what they say that a file has to keep of them."""

from typing import Any

from skprune.deployment.saving.fields import check, field, names_in
from skprune.deployment.saving.trust import name_of
from skprune.deployment.saving.values import Kind, Reader, Writer
from skprune.exceptions import UnsavableError

__all__ = ["EstimatorKind", "NetKind", "TrainingKind"]


class EstimatorKind(Kind):
    """An estimator that can say what a file has to keep of it (``_to_saved``).

    Parameters
    ----------
    training : bool, default=False
        Whether a file has all that a training goes on from.
    """

    mark = "estimator"

    def __init__(self, *, training: bool = False) -> None:
        self._training = training

    def fits(self, value: Any) -> bool:
        """Tell; see :class:`Kind`."""
        return hasattr(type(value), "_to_saved")

    def write(self, value: Any, to: Writer, where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        saved = value._to_saved(training=self._training)
        params, lost = {}, []
        for name, each in saved.pop("params").items():
            try:
                params[name] = to.attempt(each, name)
            except UnsavableError:
                lost.append(name)
        parts = {
            name: to.write(each, "network" if name == "network" else f"{where}.{name}")
            for name, each in saved.items()
        }
        return {"class": name_of(type(value), where), "params": params, "lost": lost, **parts}

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Any:
        """Make it again; see :class:`Kind`."""
        cls = source.names.find(field(about, "class", str, where), where)
        check(hasattr(cls, "_from_saved"), where, "it is no estimator of skprune")
        parts = {
            name: source.read(each, f"{where}.{name}")
            for name, each in about.items()
            if name not in ("//", "class")
        }
        return cls._from_saved(parts)


class NetKind(Kind):
    """The record of a skorch net; what only a training reads may be left out."""

    mark = "net"

    def fits(self, value: Any) -> bool:
        """Tell; see :class:`Kind`."""
        return type(value).__name__ == "NetRecord"

    def write(self, value: Any, to: Writer, where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        from skprune.training.net_record import TRAINING_ONLY

        params, left_out = {}, list(value.left_out)
        for name, each in value.params.items():
            try:
                params[name] = to.attempt(each, f"{where}.{name}")
            except UnsavableError:
                if name.partition("__")[0] not in TRAINING_ONLY:
                    raise
                left_out.append(name)
        if any(name.startswith("module") for name in left_out):
            left_out = [n for n in left_out if not n.startswith("module")] + ["module"]
            params = {n: each for n, each in params.items() if not n.startswith("module")}
        return {"class": name_of(value.cls, where), "params": params, "left_out": left_out}

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Any:
        """Make it again; see :class:`Kind`."""
        from skprune.training.net_record import NetRecord

        names_in(about, where, {"class", "params", "left_out"})
        cls = source.names.find(field(about, "class", str, where), where)
        params = source.read(field(about, "params", dict, where), where)
        check(not params.get("compile"), where, "it compiles its module")
        left_out = field(about, "left_out", list, where)
        check(all(type(name) is str for name in left_out), where, "a name is no text")
        return NetRecord(cls, params, tuple(left_out))


class TrainingKind(Kind):
    """What a training goes on from: the states of optimizers, and the history."""

    mark = "training"

    def fits(self, value: Any) -> bool:
        """Tell; see :class:`Kind`."""
        return type(value).__name__ == "TrainingState"

    def write(self, value: Any, to: Writer, where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        return {
            "optimizers": to.write(dict(value.optimizers), f"{where}.optimizers"),
            "history": to.write([dict(row) for row in value.history], f"{where}.history"),
        }

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Any:
        """Make it again; see :class:`Kind`."""
        from skprune.training.net_record import TrainingState

        names_in(about, where, {"optimizers", "history"})
        optimizers = source.read(field(about, "optimizers", dict, where), where)
        return TrainingState(optimizers, source.read(field(about, "history", list, where), where))
