"""The time of a prediction by each runtime."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from skprune import deploy
from skprune.inspection import LatencyDisplay
from skprune.pruning import Predictor
from tests.inspection.common import STYLES, assert_readable

SECONDS = {"torch": {1: 7e-5, 1024: 2e-3}, "onnx": {1: 1e-5, 1024: 1e-3}, "sparse": {1: 2e-5}}


@pytest.mark.parametrize("style", STYLES)
def test_each_time_is_a_bar(style):
    with plt.style.context(style):
        display = LatencyDisplay(seconds=SECONDS, chosen="onnx").plot()
        assert_readable(display)
    assert [bar.get_width() for bar in display.bars_[1]] == [7e-5, 1e-5, 2e-5]
    assert [bar.get_width() for bar in display.bars_[1024]] == [2e-3, 1e-3]
    ticks = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert ticks == ["torch", "onnx (chosen)", "sparse"]
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["1 row", "1,024 rows"]


def test_an_estimator_is_measured_and_a_deployed_one_was():
    predictor = Predictor(nn.Linear(3, 2), example=torch.zeros(4, 3))
    measured = LatencyDisplay.from_estimator(predictor, batch_sizes=(1, 7))
    assert {name: set(of) for name, of in measured.seconds.items()} == {
        name: {1, 7} for name in ("torch", "onnx", "sparse")
    }
    assert all(time > 0 for of in measured.seconds.values() for time in of.values())
    deployed = deploy(predictor, batch_sizes=(2,))
    display = LatencyDisplay.from_estimator(deployed)
    assert display.chosen == deployed.runtime_
    assert display.seconds["onnx"] == deployed.measurements_["onnx"]["seconds"]


def test_what_was_not_measured_is_an_error():
    predictor = Predictor(nn.Linear(3, 2), example=torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"none was measured: deploy\(\.\.\., runtime='auto'\)"):
        LatencyDisplay.from_estimator(deploy(predictor, runtime="torch"))
