"""Stability selection with networks on pure noise: what it selects, and what its bound says.

Features and targets are drawn independently, so that all that is selected is selected in error.
The mean number over the repeats is to be no larger than the bound.
"""

import warnings

import numpy as np
import torch
from common import parser, publish

from skprune import PrunedFeatureSelector, stability_selection
from skprune.model_selection import false_selection_bound

N_FEATURES, N_SELECTED, N_PAIRS = 20, 4, 5


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=200)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    selector = PrunedFeatureSelector(
        "regressor", strategy="magnitude", n_features_to_select=N_SELECTED, fine_tune_epochs=0
    ).set_params(estimator__module__hidden_layer_sizes=4, estimator__max_epochs=10)
    selector.set_params(estimator__lr=0.03)
    rng = np.random.default_rng(0)
    frequencies = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3 if arguments.quick else arguments.repeats):
            found = stability_selection(
                selector,
                rng.normal(size=(60, N_FEATURES)).astype(np.float32),
                rng.normal(size=60).astype(np.float32),
                n_pairs=N_PAIRS,
                random_state=int(rng.integers(2**31)),
            )
            frequencies.append(found.frequencies)
    rows = []
    for threshold in (0.6, 0.7, 0.8, 0.9, 1.0):
        number = (np.array(frequencies) >= threshold - 1e-9).sum(axis=1)
        error = number.std(ddof=1) / np.sqrt(len(number))
        row = {"threshold": threshold, "selected": number.mean(), "standard error": error}
        for assumption in ("none", "unimodal"):
            if assumption == "none" or threshold > 0.6:
                row[f"bound ({assumption})"] = false_selection_bound(
                    threshold, N_SELECTED, N_FEATURES, n_pairs=N_PAIRS, assumption=assumption
                )
        rows.append({key: float(value) for key, value in row.items()})
    publish(f"Stability selection of noise, {len(frequencies)} repeats", rows, arguments.json)


if __name__ == "__main__":
    main()
