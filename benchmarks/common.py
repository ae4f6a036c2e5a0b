"""What the benchmarks share: interleaved timing, tables, options."""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from sklearn.datasets import fetch_openml

Row = dict[str, Any]


def parser(description: str | None) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    result.add_argument("--json", type=Path, metavar="PATH", help="write the figures there too")
    return result


def add_timing_options(options: argparse.ArgumentParser, repeats: int) -> None:
    options.add_argument(
        "--repeats", type=int, default=repeats, help="rounds (default: %(default)s)"
    )
    options.add_argument(
        "--threads",
        type=int,
        nargs="+",
        default=[1, 2],
        metavar="N",
        help="numbers of torch's threads (default: 1 2)",
    )


def with_threads(counts: Sequence[int]) -> Iterator[int]:
    """Set torch's number of threads to one count after another, and back at the end."""
    before = torch.get_num_threads()
    try:
        for count in counts:
            torch.set_num_threads(count)
            yield count
    finally:
        torch.set_num_threads(before)


def interleaved(
    functions: Mapping[str, Callable[[], Any]], repeats: int, *, calls: int = 1, warm_up: int = 2
) -> dict[str, list[float]]:
    """Time functions in turns, so that a change of the machine's pace meets them all alike.

    Each round begins with another one, and measures the mean of `calls` calls. A function may
    return its own measurement, in seconds, as a float.
    """
    names = list(functions)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(-warm_up, repeats):
        shift = round_ % len(names)
        for name in names[shift:] + names[:shift]:
            function = functions[name]
            start = perf_counter()
            for _ in range(calls):
                own = function()
            elapsed = (perf_counter() - start) / calls
            if round_ >= 0:
                seconds[name].append(own if isinstance(own, float) else elapsed)
    return seconds


def speedup(seconds: Mapping[str, Sequence[float]], name: str, reference: str) -> float:
    """How many times faster than the reference: the median of the rounds' ratios."""
    pairs = zip(seconds[reference], seconds[name], strict=True)
    return median(slow / fast for slow, fast in pairs)


def publish(title: str, rows: Sequence[Row], path: Path | None = None) -> None:
    """Print rows as a Markdown table, and add them to a JSON file if there is one."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [[_text(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(cell) for cell in cells) for cells in zip(columns, *lines, strict=True)]
    print(f"\n### {title}\n")
    for cells in (columns, ["-" * width for width in widths], *lines):
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print(f"| {' | '.join(padded)} |", flush=True)
    if path is not None:
        tables = json.loads(path.read_text())["tables"] if path.exists() else {}
        about = {"torch": torch.__version__, "cpus": os.cpu_count()}
        path.write_text(json.dumps({"about": about, "tables": {**tables, title: rows}}, indent=2))


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def milliseconds(seconds: Sequence[float]) -> float:
    return 1e3 * median(seconds)


def mnist(path: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The training images and the test images, of mean zero and variance one."""
    if path is None:
        X, y = fetch_openml("mnist_784", return_X_y=True, as_frame=False, parser="liac-arff")
        X_train, y_train, X_test, y_test = X[:60000], y[:60000], X[60000:], y[60000:]
    else:
        data = np.load(path)
        X_train, y_train, X_test, y_test = (
            data[name] for name in ("X_train", "y_train", "X_test", "y_test")
        )
    scaled = ((X.astype(np.float32) / 255 - 0.1307) / 0.3081 for X in (X_train, X_test))
    X_train, X_test = scaled
    return X_train, y_train.astype(np.int64), X_test, y_test.astype(np.int64)
