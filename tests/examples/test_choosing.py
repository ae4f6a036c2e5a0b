"""The examples of choosing print what they promise, and draw it."""

import re

import matplotlib.pyplot as plt
import pytest

from tests.examples.common import run_example


def assert_drawn(folder, name):
    assert [file.name for file in folder.iterdir()] == [name]
    picture = plt.imread(folder / name)
    assert picture.shape[0] > 400
    assert picture[..., :3].std() > 0.05


@pytest.mark.slow
def test_pruning_path(tmp_path):
    output = run_example("plot_pruning_path.py", cwd=tmp_path)
    chosen = re.search(r"strategy='(\w+)', sparsity=(0\.\d+)", output)
    assert chosen is not None
    assert chosen[1] == "magnitude"
    assert 0.5 < float(chosen[2]) < 0.98  # neither end of the path
    scores = re.search(
        r"accuracy is (0\.\d+); the best of all is (0\.\d+), the dense networks' (0\.\d+)", output
    )
    assert scores is not None
    mine, best, dense = map(float, scores.groups())
    assert best >= mine > dense - 0.02
    left = re.search(r"with ([\d,]+) of 7,400 weights", output)
    assert left is not None
    # Weights of units that have died are gone beside those that were chosen.
    assert int(left[1].replace(",", "")) <= 7400 * (1 - float(chosen[2])) + 4
    assert_drawn(tmp_path, "pruning_path.png")


@pytest.mark.slow
def test_choose_strategy(tmp_path):
    output = run_example("plot_choose_strategy.py", cwd=tmp_path)
    nested = re.search(r"Nested: accuracy (0\.\d+) ± (0\.\d+), ([\d,]+) MACs of 3,200", output)
    assert nested is not None
    assert float(nested[1]) > 0.9
    assert int(nested[3].replace(",", "")) < 1600
    assert len(re.findall(r"outer fold \d chose \{'strategy'", output)) == 4
    assert_drawn(tmp_path, "choose_strategy.png")


@pytest.mark.slow
def test_mask_stability(tmp_path):
    output = run_example("plot_mask_stability.py", cwd=tmp_path)
    rows = re.findall(r"sparsity (0\.\d+): masks agree (\d\.\d+), (\d+\.\d)% of", output)
    assert [float(row[0]) for row in rows] == [0.5, 0.8, 0.9, 0.95, 0.98] * 2
    # The folds draw the same random masks, since they begin with the same seed.
    assert [row[1] for row in rows[5:]] == ["1.00"] * 5
    assert all(0 < float(row[1]) < 1 for row in rows[:5])
    assert float(rows[4][2]) > float(rows[0][2])
    seeds = re.search(r"Over four seeds at sparsity 0.90: masks agree (\d\.\d+)", output)
    assert seeds is not None
    assert float(seeds[1]) < 0.5
    assert_drawn(tmp_path, "mask_stability.png")


@pytest.mark.slow
def test_compare_strategies(tmp_path):
    output = run_example("compare_strategies.py", cwd=tmp_path)
    rows = re.findall(r"^\S.*\s{2,}(\w+)\s+" + r"\s+".join([r"(0\.\d+)±0\.\d+"] * 3), output, re.M)
    scores = {name: [float(score) for score in row] for name, *row in rows}
    assert len(scores) == 9
    for name, row in scores.items():
        assert row[0] > 0.9
        # At 95 % each criterion is far above chance.
        assert name == "random" or row[2] > scores["random"][2] + 0.2
    assert re.search(r"Accuracy on new images: 0\.9\d", output)
    assert_drawn(tmp_path, "compare_strategies.png")
