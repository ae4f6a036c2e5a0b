"""What became of each network when it was last looked at: ``outcomes.tsv``."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.zoo.outcome import Outcome
from tests.zoo.row import Row

__all__ = ["line_of", "read", "write"]

_PATH = Path(__file__).with_name("outcomes.tsv")
_KEYS = ("name", "units", "found", "outcome", "weights")


def line_of(row: Row, units: Outcome, weights: Outcome) -> dict[str, str]:
    """What is kept of an outcome: units counted, found, and what came of units and of weights."""
    numbers = (str(row.n_units), str(units.found))
    return dict(zip(_KEYS, (row.name, *numbers, units.what, weights.what), strict=True))


def read() -> dict[str, dict[str, str]]:
    """The lines by name."""
    with _PATH.open(newline="") as file:
        return {line["name"]: line for line in csv.DictReader(file, delimiter="\t")}


def write(lines: Iterable[Mapping[str, str]]) -> None:
    """Replace the lines that are given, and keep the others; ``python -m tests.zoo --write``."""
    known = read() if _PATH.exists() else {}
    known |= {line["name"]: dict(line) for line in lines}
    with _PATH.open("w", newline="") as file:
        writer = csv.DictWriter(file, _KEYS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(known.values())
