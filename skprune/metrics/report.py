"""What pruning did to each layer of a network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from html import escape
from typing import Any

from torch import Tensor, nn

from skprune.metrics.groups import UnitGroups
from skprune.metrics.size import (
    count_macs,
    count_parameters,
    count_units,
    count_weights,
    size_in_bytes,
)

__all__ = ["LayerSize", "PruningReport", "measure"]


@dataclass(frozen=True)
class LayerSize:
    """Size and cost of a layer.

    Attributes
    ----------
    weights : int
        Weights (parameters of two or more dimensions) that are not masked.
    units : int
        Neurons, channels or embedding dimensions that it puts out.
    parameters : int
        Weights, biases and the like, those that are masked not counted.
    macs : int
        Multiply-accumulates per row of input, those of masked weights not counted.
    bytes : int
        Memory of its tensors as they are stored, masked weights included.
    """

    weights: int = 0
    units: int = 0
    parameters: int = 0
    macs: int = 0
    bytes: int = 0

    def __add__(self, other: "LayerSize") -> "LayerSize":
        """Add up the sizes of two layers."""
        return LayerSize(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


QUANTITIES = tuple(field.name for field in fields(LayerSize))


def measure(
    module: nn.Module,
    inputs: Any,
    forward: Callable[[nn.Module, Any], Any],
    masks: Mapping[str, Tensor] | None = None,
) -> dict[str, LayerSize]:
    """Measure every layer of a network.

    Parameters
    ----------
    module : nn.Module
        The network.
    inputs : object
        A few rows of input.
    forward : callable
        Computes the output of a module from inputs.
    masks : mapping of str to Tensor of bool, default=None
        What is kept of each weight, by the parameter's name.

    Returns
    -------
    sizes : dict of str to LayerSize
        By the layer's name.
    """
    weights, parameters = count_weights(module, masks), count_parameters(module, masks)
    macs = count_macs(module, inputs, forward, masks)
    units, size = count_units(module), size_in_bytes(module)
    return {
        name: LayerSize(
            weights=weights[name],
            units=units[name],
            parameters=parameters[name],
            macs=macs[name],
            bytes=size[name],
        )
        for name in parameters
    }


class PruningReport:
    """Sizes of a network's layers before and after pruning.

    It prints as a table, in a notebook as an HTML one.

    Parameters
    ----------
    before, after : mapping of str to LayerSize
        The layers of the dense and of the pruned network, by name.
    groups : UnitGroups, default=None
        The groups of units that were found, if units were looked for.

    Attributes
    ----------
    before, after : dict of str to LayerSize
        The layers.
    groups : UnitGroups
        Which units went together, of which kind they are, and which layers kept theirs, and why.
        It is empty unless the structure removes units.
    total_before, total_after : LayerSize
        Their sums.
    """

    def __init__(
        self,
        before: Mapping[str, LayerSize],
        after: Mapping[str, LayerSize],
        groups: UnitGroups | None = None,
    ) -> None:
        self.before = dict(before)
        self.after = dict(after)
        self.groups = UnitGroups() if groups is None else groups

    @property
    def total_before(self) -> LayerSize:
        """Size of the dense network."""
        return sum(self.before.values(), LayerSize())

    @property
    def total_after(self) -> LayerSize:
        """Size of the pruned network."""
        return sum(self.after.values(), LayerSize())

    @property
    def compression_ratio(self) -> float:
        """Parameters of the dense network over those that remain."""
        return self.total_before.parameters / max(self.total_after.parameters, 1)

    def to_frame(self) -> Any:
        """Give the report as a data frame.

        Returns
        -------
        frame : pandas.DataFrame
            A row per layer and one for the total; columns such as ``weights_before`` and
            ``weights_after``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("PruningReport.to_frame needs pandas: pip install pandas") from error
        rows = self._rows()
        return pandas.DataFrame(
            {
                f"{quantity}_{when}": [getattr(size, quantity) for size in column]
                for quantity in QUANTITIES
                for when, column in (
                    ("before", [before for _, before, _ in rows]),
                    ("after", [after for _, _, after in rows]),
                )
            },
            index=pandas.Index([name for name, _, _ in rows], name="layer"),
        )

    def _rows(self) -> list[tuple[str, LayerSize, LayerSize]]:
        rows = [
            (name or "(network)", size, self.after.get(name, LayerSize()))
            for name, size in self.before.items()
        ]
        return [*rows, ("total", self.total_before, self.total_after)]

    def _cells(self) -> list[list[str]]:
        return [
            [name, *(_change(getattr(before, q), getattr(after, q)) for q in QUANTITIES)]
            for name, before, after in self._rows()
        ]

    def __repr__(self) -> str:
        table = [["layer", *QUANTITIES], *self._cells()]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines = [
            "  ".join(
                [
                    row[0].ljust(widths[0]),
                    *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
                ]
            )
            for row in table
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("layer", *QUANTITIES))
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _change(before: int, after: int) -> str:
    return f"{before:,}" if before == after else f"{before:,} -> {after:,}"
