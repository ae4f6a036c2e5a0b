"""The report on what pruning did."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from skprune import Strategy
from skprune.metrics import PruningReport
from skprune.metrics.report import LayerSize, measure
from tests.helpers import fit_untrained, forward
from tests.networks import NETWORKS

QUANTITIES = ["weights", "units", "parameters", "macs", "bytes"]


@pytest.fixture
def report() -> PruningReport:
    """Half of the units of two hidden layers of 8 are gone."""
    return fit_untrained(
        "PrunedClassifier",
        NETWORKS["mlp"].build(),
        NETWORKS["mlp"],
        structure="unit",
        sparsity=0.5,
        strategy=Strategy(allocation="uniform"),
    ).report_


def test_before_and_after_are_counted_by_layer(report: PruningReport) -> None:
    assert report.before == {
        "hidden0": LayerSize(weights=48, units=8, parameters=56, macs=48, bytes=56 * 4),
        "hidden1": LayerSize(weights=64, units=8, parameters=72, macs=64, bytes=72 * 4),
        "output": LayerSize(weights=24, units=3, parameters=27, macs=24, bytes=27 * 4),
    }
    assert report.after == {
        "hidden0": LayerSize(weights=24, units=4, parameters=28, macs=24, bytes=28 * 4),
        "hidden1": LayerSize(weights=16, units=4, parameters=20, macs=16, bytes=20 * 4),
        "output": LayerSize(weights=12, units=3, parameters=15, macs=12, bytes=15 * 4),
    }
    assert report.total_before == LayerSize(136, 19, 155, 136, 620)
    assert report.total_after == LayerSize(52, 11, 63, 52, 252)
    assert report.compression_ratio == 155 / 63


def test_masked_weights_count_for_bytes_alone() -> None:
    estimator = fit_untrained(
        "PrunedClassifier",
        NETWORKS["mlp"].build(),
        NETWORKS["mlp"],
        sparsity=0.5,
        strategy=Strategy(allocation="uniform"),
    )
    assert estimator.report_.total_after == LayerSize(68, 19, 68 + 19, 68, 620)
    kept = sum(int(mask.sum()) for mask in estimator.masks_.values())
    assert kept == estimator.report_.total_after.weights


def test_it_prints_as_a_table(report: PruningReport) -> None:
    assert repr(report).splitlines() == [
        "layer      weights     units  parameters       macs       bytes",
        "---------------------------------------------------------------",
        "hidden0   48 -> 24    8 -> 4    56 -> 28   48 -> 24  224 -> 112",
        "hidden1   64 -> 16    8 -> 4    72 -> 20   64 -> 16   288 -> 80",
        "output    24 -> 12         3    27 -> 15   24 -> 12   108 -> 60",
        "---------------------------------------------------------------",
        "total    136 -> 52  19 -> 11   155 -> 63  136 -> 52  620 -> 252",
    ]


def test_large_numbers_are_grouped() -> None:
    sizes = {"layer": LayerSize(weights=1234567)}
    assert "1,234,567 -> 0" in repr(PruningReport(sizes, {"layer": LayerSize()}))
    assert " 1,234,567 " in repr(PruningReport(sizes, sizes))


def test_it_becomes_a_data_frame(report: PruningReport) -> None:
    frame = report.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.index) == ["hidden0", "hidden1", "output", "total"]
    assert frame.index.name == "layer"
    assert list(frame.columns) == [f"{q}_{w}" for q in QUANTITIES for w in ("before", "after")]
    assert frame.loc["hidden1", "weights_before"] == 64
    assert frame.loc["hidden1", "weights_after"] == 16
    np.testing.assert_array_equal(frame.iloc[:-1].sum(), frame.loc["total"])


def test_without_pandas_the_data_frame_is_an_error(
    report: PruningReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"PruningReport\.to_frame needs pandas: pip install"):
        report.to_frame()


def test_a_notebook_shows_it_as_a_table(report: PruningReport) -> None:
    html = report._repr_html_()
    assert all(f"<th>{name}</th>" in html for name in ("layer", *QUANTITIES))
    assert html.startswith("<table>")
    assert html.count("<tr>") == 1 + 3 + 1
    assert "<td>hidden0</td><td>48 -&gt; 24</td>" in html


def test_names_are_escaped_in_html() -> None:
    sizes = {"<script>": LayerSize()}
    assert "<td>&lt;script&gt;</td>" in PruningReport(sizes, sizes)._repr_html_()


def test_tensors_of_the_network_itself_have_a_row() -> None:
    module = NETWORKS["bare_parameter"].build()
    sizes = measure(module, torch.randn(4, 6), forward)
    assert sizes[""] == LayerSize(weights=8, parameters=8, bytes=32)
    assert "(network)" in repr(PruningReport(sizes, sizes))


def test_sizes_add_up() -> None:
    assert LayerSize(1, 2, 3, 4, 5) + LayerSize(10, 20, 30, 40, 50) == LayerSize(11, 22, 33, 44, 55)


def test_biases_inside_attention_are_no_weights() -> None:
    module = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(3, 5, 8)
    sizes = measure(module, x, lambda module, x: module(x, x, x)[0])
    assert sizes[""].weights == 4 * 64
    assert sizes[""].parameters == 4 * 64 + 4 * 8


def test_a_shared_weight_that_is_masked_is_multiplied_by_no_layer() -> None:
    example = NETWORKS["tied_weights"]
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[0, :3] = True
    inputs = torch.from_numpy(example.inputs(4))
    sizes = measure(example.build(), inputs, forward, {"one.weight": mask})
    assert (sizes["one"].macs, sizes["two"].macs) == (3, 3)
    assert (sizes["one"].weights, sizes["two"].weights) == (3, 0)
