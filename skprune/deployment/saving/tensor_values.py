"""Tensors among the values: weights of classes, states of optimizers."""

from typing import Any

from torch import Tensor

from skprune.deployment.saving.fields import field, names_in
from skprune.deployment.saving.tensors import dtype_name, to_numpy, to_tensor
from skprune.deployment.saving.values import Kind, Reader, Writer

__all__ = ["TensorKind"]


class TensorKind(Kind):
    """A tensor, which comes back on the CPU."""

    mark = "tensor"

    def fits(self, value: Any) -> bool:
        """Tell; see :class:`Kind`."""
        return type(value) is Tensor

    def write(self, value: Tensor, to: Writer, where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        stored = to.new_name()
        to.arrays.add(stored, to_numpy(value), dtype_name(value, where))
        return {"stored": stored}

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Tensor:
        """Make it again; see :class:`Kind`."""
        names_in(about, where, {"stored"})
        stored = field(about, "stored", str, where)
        array, _ = source.arrays.read(stored, where)
        return to_tensor(array, source.arrays.described(stored, where)[0])
