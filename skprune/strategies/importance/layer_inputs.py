"""What linear layers and convolutions are given, as rows that their weights are multiplied with."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skprune._sklearn import InvalidParameterError
from skprune.network.layers import layer_for, layer_of
from skprune.strategies.importance.base import ScoringContext
from skprune.strategies.samples import Samples
from skprune.structures.base import Elements

__all__ = ["InputRows", "elements_of_columns", "mean_of_inputs", "total_of_readers"]

# Numbers that the rows made of some inputs hold, at the most.
_CHUNK = 2**22


def elements_of_columns(elements: Elements) -> dict[str, Tensor]:
    """Say which columns of the weights belong to the same element.

    A row of a weight belongs to an output. Its columns are the inputs of a linear layer, and those
    of a convolution at each position of its kernel.

    Parameters
    ----------
    elements : Elements
        What can be removed.

    Returns
    -------
    columns : dict of str to Tensor of int of shape (n_columns,)
        By the parameter's name; equal numbers where the weights of a row go with one element.
        Weights that are tied to elements only by their rows are omitted.
    """
    codes = {name: torch.arange(2, size + 2) for name, size in elements.sizes.items()}
    columns = {}
    for name, code in elements.expand_to_weights(codes).items():
        numbers = code.flatten(1)[0].unique(return_inverse=True)[1]
        if elements.removes_by == "mask" or numbers.any():
            columns[name] = numbers
    return columns


def total_of_readers(elements: Elements, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add up scores of weights over the elements that their columns belong to.

    For a unit, the weights that read it count, and those that compute it do not.

    Parameters
    ----------
    elements : Elements
        What can be removed.
    scores : mapping of str to Tensor
        A score of each weight, by the parameter's name.

    Returns
    -------
    totals : dict of str to Tensor of shape (n_elements,)
        By layer.
    """
    if elements.removes_by == "mask":
        return elements.sum_by_element(scores)
    totals = {name: torch.zeros(size, dtype=torch.float64) for name, size in elements.sizes.items()}
    for name, score in scores.items():
        parts = {
            group: part
            for group, part in elements.sum_by_element({name: score}).items()
            if part.any()
        }
        own = elements.coupled_to.get(layer_of(name), layer_of(name))
        for group, part in parts.items():
            # A layer that feeds its own group, as around a residual sum, counts on both sides.
            if group != own or len(parts) == 1:
                totals[group] += part
    return totals


def mean_of_inputs(
    inputs: "InputRows",
    context: ScoringContext,
    n_samples: int,
    function: Callable[[Tensor], Tensor],
    *,
    padded: bool = True,
) -> dict[str, Tensor]:
    """Average a function of what weights are multiplied with.

    Parameters
    ----------
    inputs : InputRows
        What knows the layers.
    context : ScoringContext
        Where rows are drawn from.
    n_samples : int
        How many rows, at the most.
    function : callable
        Applied to the rows, number by number.
    padded : bool, default=True
        Whether a weight of a convolution is multiplied with what its kernel meets, padding
        included, or counts as reading each place of a channel once.

    Returns
    -------
    means : dict of str to Tensor
        By the parameter's name, in its shape.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, float] = {}
    for batch in context.samples.batches(n_samples, context.generator):
        for name, given in inputs.given(inputs.layers, batch.inputs).items():
            for rows, weights in inputs.rows(name, given, batch.weights, padded=padded):
                part = (function(rows) * weights[:, None]).sum(1)
                sums[name] = sums[name] + part if name in sums else part
                counts[name] = counts.get(name, 0.0) + float(weights.sum())
    means = {}
    for name, total in sums.items():
        shape = inputs.weight(name).shape
        repeated = (total / counts[name]).repeat_interleave(shape[0] // len(total), 0)
        # One number of a channel is that of all weights that read it.
        means[name] = repeated.repeat_interleave(shape[1:].numel() // total.shape[1], 1).view(shape)
    return means


class InputRows:
    """Collects what the layers of some weights are given.

    Parameters
    ----------
    module : nn.Module
        The network.
    samples : Samples
        What computes its outputs.
    names : iterable of str
        The parameters' names.
    importance : str
        What needs to know, for the message.

    Raises
    ------
    InvalidParameterError
        If one of them is no weight of a linear layer or a convolution; the message names it.
    """

    def __init__(
        self, module: nn.Module, samples: Samples, names: Iterable[str], importance: str
    ) -> None:
        parameters = dict(module.named_parameters())
        self.module = module
        self._samples, self._importance = samples, importance
        self.layers: dict[str, list[nn.Module]] = {}
        for name in names:
            self.layers[name] = [
                layer
                for layer in module.modules()
                if layer_for(layer).has_input_rows and layer_for(layer).weight is parameters[name]
            ]
            if not self.layers[name]:
                self._refuse(name, "is not the weight of a linear layer or a convolution")

    def _refuse(self, name: str, why: str) -> None:
        layer = layer_of(name)
        raise InvalidParameterError(
            f"{self._importance} looks at what each weight is multiplied with, and {layer!r} {why}."
            f" Use another importance, such as 'magnitude' or 'obs', or protect it "
            f"(protect=[{layer!r}])."
        )

    def weight(self, name: str) -> nn.Parameter:
        """Find a weight.

        Parameters
        ----------
        name : str
            The parameter's name.

        Returns
        -------
        weight : Parameter
            The parameter.
        """
        return self.module.get_parameter(name)

    def bias(self, name: str) -> Tensor | None:
        """Find the bias that can make up for weights that go.

        Parameters
        ----------
        name : str
            The parameter's name.

        Returns
        -------
        bias : Tensor of shape (n_outputs,) or None
            None if there is none, if it is frozen, or if several layers share the weight.
        """
        layer, *others = self.layers[name]
        bias = dict(layer.named_parameters(recurse=False)).get("bias")
        return None if bias is None or others or not bias.requires_grad else bias

    def given(self, names: Iterable[str], inputs: Any) -> dict[str, list[Tensor]]:
        """Note the inputs of layers.

        Parameters
        ----------
        names : iterable of str
            Whose.
        inputs : Tensor or dict of str to Tensor
            What the network is given for some rows.

        Returns
        -------
        given : dict of str to list of Tensor
            Copies of what the layers are given, call by call, in the order in which they are
            reached.
        """
        found: dict[str, list[Tensor]] = {}

        def note(name: str, layer: nn.Module, args: Any, kwargs: Any) -> None:
            given = args[0] if args else kwargs["input"]
            found.setdefault(name, []).append(given.detach().clone())

        with ExitStack() as stack, torch.no_grad():
            for name in names:
                for layer in self.layers[name]:
                    hook = partial(note, name)
                    handle = layer.register_forward_pre_hook(hook, with_kwargs=True)
                    stack.callback(handle.remove)
            self._samples.outputs(self.module, inputs)
        for name in names:
            if name not in found:
                self._refuse(name, "is not called as a layer")
        return found

    def rows(
        self,
        name: str,
        inputs: Sequence[Tensor],
        weights: Tensor | None,
        *,
        padded: bool = True,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Arrange inputs as the rows that a weight is multiplied with.

        Parameters
        ----------
        name : str
            The parameter's name.
        inputs : sequence of Tensor
            What its layers are given for some rows of data.
        weights : Tensor of shape (n_rows,) or None
            Weights of these rows of data.
        padded : bool, default=True
            Whether a convolution's are what its kernel meets, padding included, or the places of
            its channels, each of them once.

        Yields
        ------
        rows : Tensor of shape (n_groups, n, n_columns), in double precision
            For each group of a convolution; with a column for each channel where not `padded`.
        weights : Tensor of shape (n,), in double precision
            The weight of each row; ones where there are none.
        """
        layer = layer_for(self.layers[name][0])
        arrange = layer.input_rows if padded else layer.input_places
        for given in map(layer.batched, inputs):
            if weights is None or len(weights) != len(given):
                weights = torch.ones(len(given))
            size = max(1, _CHUNK // max(1, arrange(given[:1]).numel()))
            for start in range(0, len(given), size):
                part = slice(start, start + size)
                rows = arrange(given[part]).double()
                times = rows.shape[1] // len(weights[part])
                yield rows, weights[part].to(rows).repeat_interleave(times)
