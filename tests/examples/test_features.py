"""The examples of features and representations print what they promise, and draw it."""

import re

import pytest

from tests.examples.common import run_example
from tests.examples.test_choosing import assert_drawn


@pytest.mark.slow
def test_feature_selection(tmp_path):
    output = run_example("plot_feature_selection.py", cwd=tmp_path)
    found = {name.strip(): int(n) for name, n in re.findall(r"^(.+): (\d) of 5", output, re.M)}
    assert found["pruned network"] == 5
    assert found["L1 logistic regression"] < 3
    assert found["mutual information"] < 5
    chosen = re.search(r"features are chosen: \[(.+)\]", output)
    assert chosen is not None
    assert len({*"01234"} & {*chosen[1].split(", ")}) >= 4
    assert_drawn(tmp_path, "feature_selection.png")


@pytest.mark.slow
def test_embedding_pipeline(tmp_path):
    output = run_example("embedding_pipeline.py", cwd=tmp_path)
    pixels, units = map(float, re.findall(r"Neighbours .+: (0\.\d+)", output))
    assert units > pixels - 0.02
    auc = re.search(r"with an AUC of (0\.\d+)", output)
    assert auc is not None
    assert float(auc[1]) > 0.75
