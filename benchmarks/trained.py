"""Test scores of trained networks without many of their units, against the dense ones.

The networks are those of the examples: a ResNet that loses 75 % of its channels, a transformer that
loses half of its heads and feed-forward units, an LSTM that loses half of its hidden units. Each
seed draws a split, a third of the rows for testing, and the initial weights. The dense network is
trained for as many epochs as the pruned one, fine-tuning included. Standard errors are those of the
mean over the seeds.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from common import Row, parser, publish
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import speech_speakers
import text_sentiment
import vision_digits_cnn

Load = Callable[[], tuple[np.ndarray, np.ndarray]]
Run = tuple[float, float, Any, Any]


def digits() -> tuple[np.ndarray, np.ndarray]:
    return load_digits(return_X_y=True)


def run(load: Load, make: Callable[..., Any], options: Row, rows: int | None, seed: int) -> Run:
    """Give the percentages of test rows that the dense and the pruned network get right."""
    torch.set_num_threads(1)
    X, y = load()
    X, X_test, y, y_test = train_test_split(X, y, test_size=1 / 3, stratify=y, random_state=seed)
    with TemporaryDirectory() as memory:
        pruned = make(**options, memory=memory, random_state=seed)
        dense = clone(pruned).set_params(
            prunedclassifier__strategy="magnitude", prunedclassifier__sparsity=0.0
        )
        scores = [
            100 * model.fit(X[:rows], y[:rows]).score(X_test, y_test) for model in (dense, pruned)
        ]
    report = pruned[-1].report_
    return scores[0], scores[1], report.total_before, report.total_after


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--reviews", metavar="FILE", help="see examples/text_sentiment.py")
    options.add_argument("--vowels", metavar="FOLDER", help="see examples/speech_speakers.py")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--n-jobs", type=int, default=2)
    arguments = options.parse_args()
    reviews, vowels = arguments.reviews, arguments.vowels
    networks: dict[tuple[str, str, str], tuple[Load, Callable[..., Any], Row]] = {
        ("digits", "ResNet", "75 % of the channels"): (
            digits,
            vision_digits_cnn.make_model,
            {"width": 16},
        )
    }
    if reviews is not None:
        networks["movie reviews", "transformer", "half of heads, feed-forward units"] = (
            lambda: text_sentiment.load_texts(reviews),
            text_sentiment.make_model,
            {},
        )
    if vowels is not None:
        networks["Japanese vowels", "LSTM", "half of the hidden units"] = (
            lambda: speech_speakers.load_japanese_vowels(vowels),
            speech_speakers.make_model,
            {"n_hidden": 64},
        )
    quick = {"epochs": 1, "fine_tune_epochs": 1} if arguments.quick else {}
    rows = 60 if arguments.quick else None
    # The longest begin first.
    cases = [case for case in reversed(networks.values()) for _ in range(arguments.seeds)]
    results = Parallel(n_jobs=arguments.n_jobs)(
        delayed(run)(load, make, {**parameters, **quick}, rows, number % arguments.seeds)
        for number, (load, make, parameters) in enumerate(cases)
    )
    table: list[Row] = []
    for number, names in enumerate(reversed(networks)):
        mine = results[number * arguments.seeds : (number + 1) * arguments.seeds]
        dense, pruned = np.array([scores[:2] for scores in mine]).T
        _, _, before, after = mine[0]
        table.append(
            {
                **dict(zip(("data", "network", "removed"), names, strict=True)),
                "dense": with_error(dense),
                "pruned": with_error(pruned),
                "difference": with_error(pruned - dense),
                "parameters": f"{before.parameters:,} -> {after.parameters:,}",
                "MACs": f"{before.macs:,} -> {after.macs:,}",
            }
        )
    publish("Trained networks, accuracy in %", table[::-1], arguments.json)


def with_error(values: np.ndarray) -> str:
    """Give a mean, and its standard error if there are several values."""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.2f} ± {error:.2f}"


if __name__ == "__main__":
    main()
