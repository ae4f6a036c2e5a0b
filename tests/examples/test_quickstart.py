"""The quick start prints and draws what it promises."""

import re

import matplotlib.pyplot as plt
import pytest

from tests.examples.common import run_example

ROW = re.compile(
    r"(?P<model>.+?) +(?P<accuracy>0\.\d+) ± 0\.\d+ +(?P<sparsity>0\.\d+) +(?P<parameters>[\d,]+)"
    r" +(?P<macs>[\d,]+) +(?P<bytes>[\d,]+) +(?P<milliseconds>\d+\.\d+) *"
)


@pytest.mark.slow
def test_quickstart(tmp_path):
    output = run_example("quickstart.py", cwd=tmp_path)

    header = re.search(
        r"^ +accuracy +sparsity +parameters +MACs +bytes +predict \(ms\)", output, re.M
    )
    assert header is not None
    rows = [row for line in output.splitlines() if (row := ROW.fullmatch(line))]
    table = {row["model"]: row.groupdict() for row in rows}
    assert list(table) == ["dense (skorch)", "dense (skprune)", "weights pruned", "units pruned"]
    dense, weights, units = (
        {
            name: float(value.replace(",", ""))
            for name, value in table[model].items()
            if name != "model"
        }
        for model in ("dense (skorch)", "weights pruned", "units pruned")
    )
    assert dense["parameters"] == 64 * 256 + 256 * 256 + 256 * 10 + 2 * 256 + 10
    assert dense["sparsity"] == 0
    assert weights["sparsity"] == units["sparsity"] == 0.9
    assert weights["macs"] < dense["macs"] / 5
    assert units["bytes"] < dense["bytes"] / 5
    assert min(weights["accuracy"], units["accuracy"]) > dense["accuracy"] - 0.02

    choice = re.search(r"GridSearchCV chose strategy='(\w+)' and sparsity=(0\.\d+)", output)
    assert choice is not None
    kept = re.search(r"^total .* 522 -> (\d+) ", output, re.M)
    assert kept is not None
    assert int(kept[1]) == 10 + 512 - int(512 * float(choice[2]) + 0.5)

    picture = plt.imread(tmp_path / "quickstart_accuracy.png")
    assert picture.shape[0] > 400
    assert picture[..., :3].std() > 0.05
    assert [file.name for file in tmp_path.iterdir()] == ["quickstart_accuracy.png"]
