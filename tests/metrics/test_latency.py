"""Times of predictions, by a clock that the tests wind."""

from collections.abc import Iterator

import pytest

from skprune.metrics import latency, predict_latency


def test_the_median_of_the_measured_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    durations: Iterator[float] = iter([100.0, 100.0, 3.0, 1.0, 50.0, 2.0, 4.0])
    seen = []

    def predict(X: list[int]) -> None:
        seen.append(X)
        now[0] += next(durations)

    monkeypatch.setattr(latency, "perf_counter", lambda: now[0])
    rows = [1, 2]
    assert predict_latency(predict, rows, repeats=5, warm_up=2) == 3.0
    assert seen == [rows] * 7
