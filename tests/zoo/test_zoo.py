"""Of networks of all kinds, the units that can go are found, and what is left computes the same.

``python -m tests.zoo`` prints what becomes of each; where that has changed for the better,
``python -m tests.zoo --write`` keeps it in ``outcomes.tsv``.
"""

from collections import Counter

import pytest

from tests.zoo.outcome import outcome_of, weight_outcome
from tests.zoo.record import line_of, read
from tests.zoo.row import Row
from tests.zoo.table import ODDITIES, ROWS, TABULAR

OUTCOMES = read()
_QUICK = {row.name for row in (*TABULAR, *ODDITIES)}


def _params() -> list:
    return [
        pytest.param(row, id=row.name, marks=() if row.name in _QUICK else pytest.mark.slow)
        for row in ROWS
    ]


@pytest.mark.parametrize("row", _params())
def test_network(row: Row) -> None:
    units, weights = outcome_of(row), weight_outcome(row)
    assert line_of(row, units, weights) == OUTCOMES[row.name], f"{units.detail} {weights.detail}"


def test_every_network_stands_in_the_record() -> None:
    assert [row.name for row in ROWS] == list(OUTCOMES)
    assert len(OUTCOMES) == len(ROWS) >= 83  # no name stands twice


def test_the_record_agrees_with_the_table() -> None:
    for row in ROWS:
        line = OUTCOMES[row.name]
        assert int(line["units"]) == row.n_units
        assert line["outcome"] == _outcome(row, int(line["found"])) or line["outcome"] in (
            "wrong",
            "crash",
        )


def _outcome(row: Row, found: int) -> str:
    if not row.n_units:
        return "none"
    if found >= row.n_units:
        return "all" if found == row.n_units else "miscounted"
    return "some" if found else "refused"


def test_none_goes_wrong() -> None:
    counts = Counter(line["outcome"] for line in OUTCOMES.values())
    assert not counts["wrong"] + counts["crash"] + counts["miscounted"]
    assert {line["weights"] for line in OUTCOMES.values()} <= {"ok", "refused"}


def test_nearly_all_lose_all_units_that_they_can() -> None:
    counts = Counter(line["outcome"] for line in OUTCOMES.values())
    assert counts["all"] + counts["none"] >= len(OUTCOMES) * 75 / 83
