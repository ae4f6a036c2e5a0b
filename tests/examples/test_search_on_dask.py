"""The search on dask runs, on workers of its own and on those of a scheduler that it is given."""

import importlib.util
import re

import pytest
from distributed import Client, LocalCluster

from tests.examples.common import EXAMPLES, run_example

SUMMARY = """\
2 workers with 2 threads in all
8 candidates on 3 folds, and the chosen one on all rows: 25 fits in .* s
The folder that they share holds 4 dense networks.
"""


@pytest.mark.slow
def test_on_its_own_workers(tmp_path):
    output = run_example("search_on_dask.py", cwd=tmp_path)

    assert re.match(SUMMARY, output)
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
    units = 512 * (1 - float(choice[2]))
    assert int(choice[3].replace(",", "")) < 64 * units + units**2 / 4 + units * 10
    assert output.endswith("the largest difference is 0.\n")
    assert not list(tmp_path.iterdir())


def test_on_workers_that_are_there():
    spec = importlib.util.spec_from_file_location("search", EXAMPLES / "search_on_dask.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    options = {"n_workers": 1, "threads_per_worker": 3, "dashboard_address": ":0"}
    with LocalCluster(processes=False, protocol="tcp", **options) as cluster:
        with example.connect(cluster.scheduler_address, None) as client:
            assert list(client.nthreads().values()) == [3]
        with Client(cluster) as client:  # it is still there
            assert client.submit(sum, [1, 2]).result() == 3
