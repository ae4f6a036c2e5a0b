"""Print what becomes of each network; with names, of those; with ``--write``, keep it."""

import sys
from collections import Counter

from tests.zoo.outcome import outcome_of, weight_outcome
from tests.zoo.record import line_of, write
from tests.zoo.table import ROWS


def main(*names: str) -> None:
    chosen = [row for row in ROWS if not names or row.name in names]
    lines, totals, spent = [], Counter[str](), 0.0
    for row in chosen:
        units, weights = outcome_of(row), weight_outcome(row)
        lines.append(line_of(row, units, weights))
        totals.update([f"units {units.what}", f"weights {weights.what}"])
        spent += units.seconds + weights.seconds
        shown = "  ".join(f"{lines[-1][key]:{width}}" for key, width in WIDTHS.items())
        details = " | ".join(filter(None, (units.detail, weights.detail)))
        print(f"{shown}  {units.seconds:4.1f} s  {details}", flush=True)
    print(*(f"{what}: {n}" for what, n in totals.most_common()), f"{spent:.0f} s", sep=", ")
    if "--write" in sys.argv:
        write(lines)


WIDTHS = {"name": 28, "units": 6, "found": 6, "outcome": 10, "weights": 8}

if __name__ == "__main__":
    main(*(name for name in sys.argv[1:] if name != "--write"))
