"""What each entry of each tensor of a network costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from skprune.metrics.size import (
    count_applications,
    count_rows,
    layers,
    multiplied,
    tensors_of,
)

__all__ = ["PRICED", "Prices", "prices_of"]

# Quantities of the report that are sums over tensors; units are not.
PRICED = ("weights", "parameters", "macs", "bytes")


@dataclass(frozen=True)
class Prices:
    """What the entries of a network's tensors cost, so that what is left of them can be priced.

    Attributes
    ----------
    per_entry : dict of str to (dict of str to int)
        The price of an entry of each tensor, by the layer's name and the tensor's. A shared
        tensor goes by its first name.
    sizes : dict of str to int
        Number of entries of each tensor of the whole network.
    rows : int
        By how many rows the price of a layer is divided, rounded down.
    """

    per_entry: Mapping[str, Mapping[str, int]]
    sizes: Mapping[str, int]
    rows: int

    def costs(self, left: Mapping[str, int]) -> dict[str, int]:
        """Say what each layer costs.

        Parameters
        ----------
        left : mapping of str to int
            How many entries of a tensor are left; a tensor that is not there is whole.

        Returns
        -------
        costs : dict of str to int
            By the layer's name.
        """
        return {
            layer: sum(price * left.get(n, self.sizes[n]) for n, price in tensors.items())
            // self.rows
            for layer, tensors in self.per_entry.items()
        }


def prices_of(
    module: nn.Module, inputs: Any, forward: Callable[[nn.Module, Any], Any], quantity: str
) -> Prices:
    """Find out what each entry of each tensor of a network costs.

    Parameters
    ----------
    module : nn.Module
        The network.
    inputs : object
        A few rows of input.
    forward : callable
        Computes the output of a module from inputs.
    quantity : {"weights", "parameters", "macs", "bytes"}
        In what, as the report counts it.

    Returns
    -------
    prices : Prices
        The prices.
    """
    first = {id(tensor): name for name, tensor in module.named_parameters()}
    first |= {id(tensor): name for name, tensor in module.named_buffers()}
    applications = count_applications(module, inputs, forward) if quantity == "macs" else {}
    per_entry: dict[str, dict[str, int]] = {}
    sizes: dict[str, int] = {}
    for layer, part in layers(module):
        prices = per_entry[layer] = {}
        if quantity == "macs":
            priced = [
                (name, weight, applications[layer])
                for name, weight in (multiplied(part) if applications[layer] else ())
            ]
        else:
            priced = [
                (name, tensor, tensor.element_size() if quantity == "bytes" else 1)
                for name, tensor in tensors_of(part, buffers=quantity == "bytes")
                if quantity != "weights" or tensor.dim() >= 2
            ]
        for name, tensor, price in priced:
            name = first.get(id(tensor), f"{layer}.{name}" if layer else name)
            # To store a shared tensor costs once, to multiply with it every time.
            if quantity == "macs" or name not in sizes:
                prices[name] = prices.get(name, 0) + price
            sizes[name] = tensor.numel()
    return Prices(per_entry, sizes, count_rows(inputs) if quantity == "macs" else 1)
