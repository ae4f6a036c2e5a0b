"""Which units of a network go together, of which kind they are, and which layers keep theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["UnitGroup", "UnitGroups"]


@dataclass(frozen=True)
class UnitGroup:
    """Units that are chosen among each other, and lose all that is coupled to them.

    Attributes
    ----------
    name : str
        That of its first layer; of heads and of their dimensions with ``":heads"`` or
        ``":head_dims"`` at the end.
    kind : str
        "neuron", "channel", "head", "head dimension", "hidden unit" or "embedding dimension".
    before, after : int
        How many there were, and how many are left.
    layers : tuple of str
        The layers that lose their units with it, the first among them.
    """

    name: str
    kind: str
    before: int
    after: int
    layers: tuple[str, ...]


class UnitGroups(Sequence[UnitGroup]):
    """The groups of units that were found in a network, and the layers that keep their units.

    It prints as a table, in a notebook as an HTML one.

    Parameters
    ----------
    groups : sequence of UnitGroup, default=()
        The groups.
    kept_whole : mapping of str to str, default=None
        For each layer that keeps its units the reason, a clause that completes "keeps its units,
        since".

    Attributes
    ----------
    kept_whole : dict of str to str
        The reasons, by the layer's name.

    Examples
    --------
    >>> from skprune.metrics import UnitGroup, UnitGroups
    >>> groups = UnitGroups(
    ...     [UnitGroup("conv", "channel", 16, 4, ("conv",))],
    ...     {"head": "they are outputs of the network"},
    ... )
    >>> groups
    group  kind       units  layers
    conv   channel  16 -> 4  conv
    head keeps its units, since they are outputs of the network.
    >>> groups[0].after
    4
    """

    def __init__(
        self, groups: Sequence[UnitGroup] = (), kept_whole: Mapping[str, str] | None = None
    ) -> None:
        self._groups = tuple(groups)
        self.kept_whole = dict(kept_whole or {})

    def __len__(self) -> int:
        """Count the groups."""
        return len(self._groups)

    def __getitem__(self, index: Any) -> Any:
        """Give a group, or several."""
        return self._groups[index]

    def to_frame(self) -> Any:
        """Give the groups as a data frame.

        Returns
        -------
        frame : pandas.DataFrame
            A row for each group, and one for each layer that keeps its units, with the reason.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("UnitGroups.to_frame needs pandas: pip install pandas") from error
        rows = [
            (group.name, group.kind, group.before, group.after, ", ".join(group.layers), "")
            for group in self
        ]
        rows += [(layer, "", 0, 0, layer, reason) for layer, reason in self.kept_whole.items()]
        columns = ["group", "kind", "before", "after", "layers", "reason"]
        return pandas.DataFrame(rows, columns=columns).set_index("group")

    def _cells(self) -> list[list[str]]:
        return [
            [group.name, group.kind, f"{group.before} -> {group.after}", ", ".join(group.layers)]
            for group in self
        ]

    def _reasons(self) -> list[str]:
        return [
            f"{layer or '(network)'} keeps its units, since {reason}."
            for layer, reason in self.kept_whole.items()
        ]

    def __repr__(self) -> str:
        table = [list(_HEAD), *self._cells()]
        widths = [max(len(row[i]) for row in table) for i in range(len(_HEAD) - 1)]
        lines = [
            "  ".join(
                [
                    name.ljust(widths[0]),
                    kind.ljust(widths[1]),
                    units.rjust(widths[2]),
                    layers,
                ]
            )
            for name, kind, units, layers in table
        ]
        return "\n".join([*(lines if len(table) > 1 else []), *self._reasons()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in _HEAD)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._cells()
        )
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in self._reasons())
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{reasons}</ul>"
        )


_HEAD = ("group", "kind", "units", "layers")
