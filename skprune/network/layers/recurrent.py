"""Recurrent layers."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.network.layers.base import Count, Layer
from skprune.network.layers.registry import register_layer

__all__ = ["Recurrent", "RecurrentCell"]

_N_GATES = {"LSTM": 4, "GRU": 3}


@register_layer(nn.RNNBase)
class Recurrent(Layer):
    """A recurrent layer, or several stacked ones.

    The hidden units at equal places of all its layers and directions go together, since torch has
    one width for all of them.
    """

    is_recurrent = True
    kind = "hidden unit"
    is_followed_as_whole = True
    reads_features = True

    @property
    def n_units(self) -> int:
        """Number of hidden units."""
        return self.module.hidden_size

    def n_applications(self, inputs: Any, output: Any) -> int:
        """Count the steps."""
        data = inputs.data if isinstance(inputs, nn.utils.rnn.PackedSequence) else inputs
        return data.numel() // self.module.input_size

    def features(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the input weights of the first layer, in both directions if it has them."""
        names = ("weight_ih_l0", "weight_ih_l0_reverse")
        for name in names[: 1 + self.module.bidirectional]:
            weight = getattr(self.module, name)
            channel = torch.arange(weight.shape[1], device=weight.device)
            yield weight, channel.expand(weight.shape)

    def counts(self) -> Iterator[Count]:
        """Say what its numbers count."""
        yield Count("input_size", "weight_ih_l0", 1)
        if self.module.proj_size:
            yield Count("hidden_size", "weight_hr_l0", 1)
            yield Count("proj_size", "weight_hr_l0", 0)
        else:
            yield Count("hidden_size", "weight_hh_l0", 1)

    def follow(
        self,
        channels: Any,
        arguments: tuple[Any, ...],
        known: Callable[[Tensor], Any],
        own: Mapping[str, Any],
        output: Any,
    ) -> Iterator[tuple[Tensor, list[Any]]]:
        """Say what becomes of its channels; see :class:`Layer`."""
        inputs, *state = arguments
        data = inputs.data if isinstance(inputs, nn.utils.rnn.PackedSequence) else inputs
        given = known(data).dims[-1]
        put_out: Any = None
        hidden: Any = None
        for layer in range(self.module.num_layers):
            ways = []
            for way in ("", "_reverse")[: 1 + self.module.bidirectional]:
                of = {
                    name: own[f"{name}_l{layer}{way}"].dims
                    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
                    if f"{name}_l{layer}{way}" in own
                }
                inner = of["weight_hr"][1] if "weight_hr" in of else of["weight_hh"][1]
                outer = of["weight_hr"][0] if "weight_hr" in of else inner
                channels.meet(of["weight_hh"][1], outer)
                channels.meet(given, of["weight_ih"][1])
                self._meet_gates(channels, inner, of)
                hidden = inner if hidden is None else channels.meet(hidden, inner)
                put_out = outer if put_out is None else channels.meet(put_out, outer)
                ways.append(outer)
            size = self.module.proj_size or self.module.hidden_size
            given = channels.joined(ways, [size] * len(ways))
        if hidden is not put_out:
            # torch wants more hidden units than are put out, whichever stay.
            channels.fix([hidden], "they are projected to fewer, of which some may go")
        result, final = output
        states = list(final) if isinstance(final, tuple) else [final]
        first = state[0] if state else None
        for tensor, dim in zip(
            () if first is None else first if isinstance(first, tuple) else (first,),
            (put_out, hidden),
            strict=False,
        ):
            channels.fix(known(tensor).dims[:1], "they are layers of a recurrent network")
            channels.meet(known(tensor).dims[-1], dim)
        result = result.data if isinstance(result, nn.utils.rnn.PackedSequence) else result
        yield result, [*[None] * (result.dim() - 1), given]
        for tensor, dim in zip(states, (put_out, hidden), strict=False):
            yield tensor, [*[None] * (tensor.dim() - 1), dim]

    def _meet_gates(self, channels: Any, hidden: Any, dims: Mapping[str, Any]) -> None:
        """Say that each gate has all hidden units."""
        if not isinstance(hidden, np.ndarray):
            return
        gates = np.tile(hidden, (_N_GATES.get(self.module.mode, 1), 1))
        for name, own in dims.items():
            if name != "weight_hr":
                channels.meet(gates, own[0])


@register_layer(nn.RNNCellBase)
class RecurrentCell(Layer):
    """One step of a recurrent layer, whose channels are followed operation by operation."""

    kind = "hidden unit"

    @property
    def n_units(self) -> int:
        """Number of hidden units."""
        return self.module.hidden_size

    def n_applications(self, inputs: Any, output: Any) -> int:
        """Count the rows."""
        return inputs.numel() // self.module.input_size

    def counts(self) -> Iterator[Count]:
        """Say what its numbers count."""
        yield Count("input_size", "weight_ih", 1)
        yield Count("hidden_size", "weight_hh", 1)
