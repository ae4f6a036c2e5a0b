"""Tables to look numbers up in."""

from typing import Any

from skprune.network.tracing.rules.base import rule
from skprune.network.tracing.values import Dim

__all__: list[str] = []

_LOOKED_UP = "they are looked up by their numbers"


@rule("embedding")
def embedding(channels: Any, call: Any) -> list[Dim]:
    """Look rows up."""
    table = call["weight"]
    channels.fix([table.dims[0]], _LOOKED_UP)
    return [*[None] * call["indices"].ndim, table.dims[1]]


@rule("_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(channels: Any, call: Any) -> list[list[Dim]]:
    """Look rows up, and add them."""
    table = call["weight"]
    channels.fix([table.dims[0]], _LOOKED_UP)
    return [[None, table.dims[1]], *[[None] * output.dim() for output in call.outputs[1:]]]


@rule("one_hot")
def one_hot(channels: Any, call: Any) -> list[Dim]:
    """Mark numbers."""
    return [None] * len(call.shape)
