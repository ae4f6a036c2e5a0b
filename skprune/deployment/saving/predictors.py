"""Predictors: a network, what inputs it takes, and what makes predictions of its outputs."""

from typing import Any

import numpy as np

from skprune.deployment.saving.fields import check, field, names_in
from skprune.deployment.saving.networks import SavedNetwork
from skprune.deployment.saving.values import Kind, Reader, Writer
from skprune.exceptions import UnsavableError
from skprune.pruning.inputs import InputSpec
from skprune.pruning.outputs import (
    BinaryOutputs,
    ClassOutputs,
    LabelOutputs,
    Outputs,
    ValueOutputs,
)
from skprune.pruning.predictor import Predictor

__all__ = ["PredictorKind"]

# The parameters of each class of outputs.
_OUTPUTS: dict[str, tuple[type[Outputs], tuple[str, ...]]] = {
    "classes": (ClassOutputs, ("classes", "nonlinearity")),
    "binary": (BinaryOutputs, ("classes", "nonlinearity", "threshold")),
    "labels": (LabelOutputs, ("nonlinearity", "sparse")),
    "values": (ValueOutputs, ("shape", "nonlinearity")),
}
_SPEC = ("row_shape", "dtype", "keys", "n_features", "feature_names", "tabular")


class PredictorKind(Kind):
    """A :class:`~skprune.pruning.Predictor`."""

    mark = "predictor"

    def fits(self, value: Any) -> bool:
        """Tell; see :class:`Kind`."""
        return type(value) is Predictor

    def write(self, value: Predictor, to: Writer, where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        network = SavedNetwork(
            value.module, value.recipe, value.removals, value.masks, value.example
        )
        spec = {name: getattr(value.inputs, name) for name in _SPEC}
        return {
            "network": to.write(network, "network"),
            "outputs": _write_outputs(value.outputs, to, f"{where}.outputs"),
            "inputs": to.write(spec, f"{where}.inputs"),
            "name": value.name,
        }

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Predictor:
        """Make it again; see :class:`Kind`."""
        names_in(about, where, {"network", "outputs", "inputs", "name"})
        network = source.read(about["network"], "network")
        check(isinstance(network, SavedNetwork), where, "it has no network")
        spec = source.read(about["inputs"], f"{where}.inputs")
        names_in(spec, f"{where}.inputs", _SPEC)
        return Predictor(
            network.module,
            _read_outputs(about["outputs"], source, f"{where}.outputs"),
            masks=network.masks,
            removals=network.removals,
            example=network.example,
            inputs=_checked(InputSpec(**spec), f"{where}.inputs"),
            name=field(about, "name", str, where),
            recipe=network.recipe,
        )


def _write_outputs(outputs: Outputs, to: Writer, where: str) -> dict[str, Any]:
    for kind, (cls, names) in _OUTPUTS.items():
        if type(outputs) is cls:
            params = {name: to.write(getattr(outputs, name), f"{where}.{name}") for name in names}
            return {"kind": kind, **params}
    raise UnsavableError(f"{where} is a {type(outputs).__name__}, which is none of skprune's own.")


def _read_outputs(about: Any, source: Reader, where: str) -> Outputs:
    kind = field(about, "kind", str, where)
    check(kind in _OUTPUTS, where, f"outputs of the kind {kind[:80]!r} are not known")
    cls, names = _OUTPUTS[kind]
    names_in(about, where, {"kind", *names})
    params = {name: source.read(about[name], f"{where}.{name}") for name in names}
    classes, shape = params.get("classes"), params.get("shape")
    check(
        classes is None or (isinstance(classes, np.ndarray) and classes.ndim == 1),
        where,
        "the classes are no vector",
    )
    check(shape is None or _is_shape(shape), where, "the shape of the values is none")
    check(
        isinstance(params.get("threshold", 0.5), (int, float)), where, "the threshold is no number"
    )
    return cls(**params)


def _checked(spec: InputSpec, where: str) -> InputSpec:
    keys, names, n = spec.keys, spec.feature_names, spec.n_features
    for each in (keys, names):
        right = each is None or (isinstance(each, tuple) and all(type(k) is str for k in each))
        check(right, where, "names are no text")
    check(n is None or (type(n) is int and n >= 0), where, "the number of features is none")
    shapes = spec.row_shape.values() if isinstance(spec.row_shape, dict) else [spec.row_shape]
    right = all(shape is None or _is_shape(shape) for shape in shapes)
    check(right, where, "the shape of a row is none")
    return spec


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(size) is int and size >= 0 for size in value)
