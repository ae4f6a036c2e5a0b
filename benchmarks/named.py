"""Every named strategy on the digits, with the default network and nothing tuned.

Half of the rows for training and half for testing, 3 seeds: mean and standard deviation of the
accuracy at 90 % and 95 % of the weights and at 75 % of the units, and the seconds of a fit. Some of
the named strategies (`movement`, `l0`, `admm`, `splicing`) were chosen among variants by these very
figures, which are therefore a little too good for them.
"""

from time import perf_counter

import numpy as np
import torch
from common import Row, parser, publish
from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skprune import PrunedClassifier
from skprune.strategies import STRATEGIES

POINTS = [("weight", 0.9), ("weight", 0.95), ("unit", 0.75)]


def run(
    strategy: str, structure: str, sparsity: float, seed: int, epochs: int | None
) -> tuple[float, float]:
    torch.set_num_threads(1)
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, test_size=0.5, random_state=seed, stratify=y)
    pruned = PrunedClassifier(
        strategy=strategy, structure=structure, sparsity=sparsity, random_state=seed
    )
    if epochs is not None:
        pruned.set_params(estimator__max_epochs=epochs)
    start = perf_counter()
    pruned.fit(X, y)
    return 100 * pruned.score(X_test, y_test), perf_counter() - start


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--n-jobs", type=int, default=2)
    arguments = options.parse_args()
    epochs = 1 if arguments.quick else None
    cases = [
        (strategy, structure, sparsity)
        for strategy, make in STRATEGIES.items()
        for structure, sparsity in POINTS
        # Units that are gone from the network cannot come back.
        if structure == "weight" or make().regrowth is None
    ]
    results = Parallel(n_jobs=arguments.n_jobs)(
        delayed(run)(*case, seed, epochs) for case in cases for seed in range(arguments.seeds)
    )
    rows: dict[str, Row] = {name: {"strategy": name} for name in STRATEGIES}
    for number, (strategy, structure, sparsity) in enumerate(cases):
        mine = results[number * arguments.seeds : (number + 1) * arguments.seeds]
        accuracy, seconds = np.array(mine).T
        rows[strategy][f"{sparsity:.0%} of {structure}s"] = (
            f"{accuracy.mean():.1f} ± {accuracy.std(ddof=1) if len(accuracy) > 1 else 0:.1f}"
        )
        rows[strategy].setdefault("fit s", round(float(np.median(seconds)), 1))
    publish("Named strategies, digits", list(rows.values()), arguments.json)


if __name__ == "__main__":
    main()
