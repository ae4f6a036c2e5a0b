"""How the tests of the examples run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run_example(name: str, *arguments: str, cwd: Path) -> str:
    """Run an example in a folder, with warnings as errors, and give what it printed."""
    run = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


_COLUMNS = ("score", "spread", "parameters", "MACs", "bytes", "milliseconds", "times faster")


def comparison(output: str, *names: str) -> list[dict[str, float]]:
    """Read the table that compares networks from what was printed, a row for each name."""
    assert re.search(r"^ +\w+ +parameters +MACs +bytes +predict \(ms\) +times faster", output, re.M)
    rows = []
    for name in names:
        row = re.search(rf"^{name} +(-?\d+\.\d+) ± (.+)$", output, re.M)
        assert row is not None
        cells = [row[1], *row[2].replace(",", "").split()]
        rows.append(dict(zip(_COLUMNS, map(float, cells), strict=True)))
    return rows
