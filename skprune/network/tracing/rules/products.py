"""Products of matrices."""

from typing import Any

from skprune.network.tracing.labels import HEAD, HEAD_DIMENSION
from skprune.network.tracing.rules.base import rule
from skprune.network.tracing.values import Dim, Value, is_labelled

__all__ = ["product"]


def product(channels: Any, first: Value, second: Value, letters: str) -> list[Dim]:
    """Multiply; what meets when activations do belongs to heads."""
    inputs, _, output = letters.partition("->")
    dims = channels.product(first, second, inputs)
    if not first.is_weight and not second.is_weight:
        one, other = inputs.split(",")
        batch = [c for c in output if c in one and c in other and is_labelled(dims[c])]
        for letter in batch:
            channels.labels.set_role(dims[letter], HEAD)
        for letter, dim in dims.items():
            met = letter in one and letter in other
            if is_labelled(dim) and letter not in batch and (met or batch):
                channels.labels.set_role(dim, HEAD_DIMENSION)
    return [dims[c] for c in output]


@rule("mm")
def matrices(channels: Any, call: Any) -> list[Dim]:
    """Multiply two matrices."""
    return product(channels, call["self"], call["mat2"], "ij,jk->ik")


@rule("bmm")
def batches_of_matrices(channels: Any, call: Any) -> list[Dim]:
    """Multiply matrices pair by pair."""
    return product(channels, call["self"], call["mat2"], "bij,bjk->bik")


@rule("mv")
def matrix_and_vector(channels: Any, call: Any) -> list[Dim]:
    """Multiply a matrix with a vector."""
    return product(channels, call["self"], call["vec"], "ij,j->i")


@rule("dot", "vdot")
def vectors(channels: Any, call: Any) -> list[Dim]:
    """Multiply two vectors."""
    return product(channels, call.values[0], call.values[1], "i,i->")


def _with_addend(channels: Any, call: Any, dims: list[Dim]) -> list[Dim]:
    known = Value(call.outputs[0], tuple(dims))
    return channels.pointwise([known, call["self"]], call.shape)


@rule("addmm", "_addmm_activation")
def matrices_and_addend(channels: Any, call: Any) -> list[Dim]:
    """Multiply two matrices, and add something."""
    dims = product(channels, call["mat1"], call["mat2"], "ij,jk->ik")
    return _with_addend(channels, call, dims)


@rule("addmv")
def matrix_and_vector_and_addend(channels: Any, call: Any) -> list[Dim]:
    """Multiply a matrix with a vector, and add something."""
    return _with_addend(channels, call, product(channels, call["mat"], call["vec"], "ij,j->i"))


@rule("baddbmm")
def batches_and_addend(channels: Any, call: Any) -> list[Dim]:
    """Multiply matrices pair by pair, and add something."""
    dims = product(channels, call["batch1"], call["batch2"], "bij,bjk->bik")
    return _with_addend(channels, call, dims)


@rule("linear")
def linear(channels: Any, call: Any) -> list[Dim]:
    """Multiply rows with a matrix of outputs and inputs."""
    value = call["input"]
    lead = "abcdefgh"[: value.ndim - 1]
    dims = product(channels, value, call["weight"], f"{lead}i,oi->{lead}o")
    bias = call.get("bias")
    if isinstance(bias, Value):
        dims[-1] = channels.meet(dims[-1], bias.dims[0])
    return dims


@rule("_trilinear")
def bilinear(channels: Any, call: Any) -> list[Dim]:
    """Multiply two inputs with a table, each of whose dimensions may be left out of the sum."""
    values = (call["i1"], call["i2"], call["i3"])
    gaps = (call["expand1"], call["expand2"], call["expand3"])
    total = values[0].ndim + len(gaps[0])
    known: list[Dim] = []
    for axis in range(total):
        dims = []
        for value, gap in zip(values, gaps, strict=True):
            own = [i for i in range(total) if i not in gap]
            if axis in own and value.shape[own.index(axis)] > 1:
                dims.append(value.dims[own.index(axis)])
        dim = dims[0] if dims else None
        for other in dims[1:]:
            dim = channels.meet(dim, other)
        known.append(dim)
    return [dim for axis, dim in enumerate(known) if axis not in call["sumdim"]]


@rule("_cdist_forward", "cdist")
def distances(channels: Any, call: Any) -> list[Dim]:
    """Add up differences along the last dimension, of which zeros make none."""
    first, second = call["x1"], call["x2"]
    channels.meet(first.dims[-1], second.dims[-1])
    lead = channels.pointwise(
        [first.with_dims(first.dims[:-2]), second.with_dims(second.dims[:-2])], call.shape[:-2]
    )
    return [*lead, first.dims[-2], second.dims[-2]]


@rule("addr")
def outer_product_and_addend(channels: Any, call: Any) -> list[Dim]:
    """Multiply each number of a vector with each of another, and add something."""
    return _with_addend(channels, call, [call["vec1"].dims[0], call["vec2"].dims[0]])


@rule("addbmm")
def sum_of_batches_and_addend(channels: Any, call: Any) -> list[Dim]:
    """Multiply matrices pair by pair, and add them all up."""
    dims = product(channels, call["batch1"], call["batch2"], "bij,bjk->ik")
    return _with_addend(channels, call, dims)
