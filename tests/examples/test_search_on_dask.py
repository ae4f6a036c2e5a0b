"""The search on dask runs, on workers of its own and on those of a scheduler that it is given."""

import re

import pytest
from distributed import LocalCluster

from tests.examples.common import run_example

SUMMARY = re.compile(
    r"(?P<workers>\d+) workers with (?P<threads>\d+) threads in all\n"
    r"8 candidates on 3 folds, and the chosen one on all rows: 25 fits in \d+\.\d s\n"
    r"(The folder that they share holds (?P<dense>\d+) dense networks\.\n)?"
)


def check(output, **expected):
    found = SUMMARY.match(output)
    assert found is not None, output
    assert found.groupdict() == expected
    rows = re.findall(r"^(magnitude|random) +(.+)$", output, re.M)
    table = {name: [float(score) for score in scores.split()] for name, scores in rows}
    assert list(table) == ["magnitude", "random"]
    assert all(len(scores) == 4 and min(scores) > 0.5 for scores in table.values())
    choice = re.search(
        r"strategy='(\w+)', sparsity=(0\.\d)\. It takes ([\d,]+) MACs, and the dense network "
        r"84,480\.",
        output,
    )
    assert choice is not None
    score = table[choice[1]][[0.5, 0.7, 0.8, 0.9].index(float(choice[2]))]
    assert score > max(map(max, table.values())) - 0.03
    units = round(256 * (1 - float(choice[2])))
    macs = int(choice[3].replace(",", ""))
    assert macs < 1.3 * (64 * units + units * units + units * 10)
    assert output.endswith("the largest difference is 0.\n")


@pytest.mark.slow
def test_on_its_own_workers(tmp_path):
    check(run_example("search_on_dask.py", cwd=tmp_path), workers="2", threads="2", dense="4")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_on_a_cluster_that_is_there(tmp_path):
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with LocalCluster(**options) as cluster:
        output = run_example("search_on_dask.py", cluster.scheduler_address, cwd=tmp_path)
    check(output, workers="1", threads="2", dense=None)
