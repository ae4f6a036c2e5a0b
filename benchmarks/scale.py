"""What scoring and selecting cost as networks grow: seconds, and memory beyond what was there.

`obs` scores the 266,200 weights of LeNet-300-100 by 1,000 samples, in blocks of 50. The global
allocation selects a tenth of up to 100 million weights in ten layers. Each figure is of a process
of its own; the memory is the difference of its peaks before and after.
"""

import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from time import perf_counter

import torch
from common import Row, parser, publish
from importance_cost import scorer, trainer_of

from skprune.strategies import OBS, Global
from skprune.strategies.allocation.base import KeepBudget
from skprune.strategies.selection import keep_best
from skprune.structures import Weight

N_LAYERS = 10


def obs() -> Callable[[], object]:
    trainer = trainer_of(1_000, 128)
    return scorer(trainer, Weight(), OBS(block_size=50, n_samples=1_000))


def select(n_weights: int) -> Callable[[], object]:
    generator = torch.Generator().manual_seed(0)
    n_each = n_weights // N_LAYERS
    scores = {str(i): torch.rand(n_each, generator=generator) for i in range(N_LAYERS)}
    sizes = {name: len(score) for name, score in scores.items()}
    n_keep = n_weights // 10
    budget = KeepBudget(
        n_keep=n_keep,
        n_final=n_keep,
        sizes=sizes,
        shapes={name: (size,) for name, size in sizes.items()},
        scores=scores,
        alive=sizes,
        min_kept=dict.fromkeys(sizes, 1),
    )

    def run() -> None:
        counts = Global().counts(budget)
        kept = {name: keep_best(score, counts[name]) for name, score in scores.items()}
        assert sum(int(mask.sum()) for mask in kept.values()) == n_keep

    return run


def measure(make: Callable[[], Callable[[], object]], threads: int) -> tuple[float, float]:
    torch.set_num_threads(threads)
    run = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = perf_counter()
    run()
    seconds = perf_counter() - start
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = options.parse_args()
    counts = [10**4, 10**5] if arguments.quick else [10**6, 10**7, 10**8]
    cases: list[tuple[str, Callable, str]] = [("obs, LeNet-300-100", obs, "< 20 s, < 1000 MB")]
    cases += [(f"a tenth of {n:,} weights", partial(select, n), "linear") for n in counts]
    rows: list[Row] = []
    for threads in arguments.threads:
        for name, make, target in cases:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                seconds, megabytes = process.submit(measure, make, threads).result()
            rows.append(
                {"what": name, "threads": threads, "s": seconds, "MB": megabytes, "target": target}
            )
    publish("ScoringContext and selecting", rows, arguments.json)


if __name__ == "__main__":
    main()
