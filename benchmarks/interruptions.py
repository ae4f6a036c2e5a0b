"""Fits of every named strategy that are interrupted somewhere, and what they leave behind.

Half of the fits get a KeyboardInterrupt or a MemoryError before a line of skprune that is drawn at
random, or before one of those lines that borrow the generators or give them back; the others get
SIGINT at a random time. Afterwards torch's, numpy's and Python's generators have to be as they
were, another thread has to be able to fit, and the estimator has to be as it was, or to predict.
"""

import random
import signal
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from common import parser
from sklearn.datasets import load_iris

import skprune
from skprune import InterruptedWarning, PrunedClassifier
from skprune.seeding import preserve_rng
from skprune.strategies import STRATEGIES

HOUSE = str(Path(skprune.__file__).parent)


class Interruption:
    """Raises an error before the n-th line of some files of skprune, in this thread."""

    def __init__(self, place: str, number: int, error: type[BaseException] | None) -> None:
        self.place, self.number, self.error = place, number, error
        self.count = 0

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        return self.line if name.startswith(HOUSE) and self.place in name else None

    def line(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "line":
            self.count += 1
            if self.count == self.number and self.error is not None:
                raise self.error
        return self.line

    def __enter__(self) -> "Interruption":
        sys.settrace(self)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)


class Alarm:
    """Has Ctrl-C pressed some time from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def states() -> list[Any]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return [torch.get_rng_state().tolist(), kind, keys.tolist(), rest, random.getstate()]


def lock_is_free() -> bool:
    """Whether another thread can borrow the generators."""

    def borrow() -> None:
        with preserve_rng():
            pass

    thread = threading.Thread(target=borrow, daemon=True)
    thread.start()
    thread.join(5)
    return not thread.is_alive()


def wrongs(estimator: Any, X: np.ndarray, y: np.ndarray, interruption: Any) -> list[str]:
    """Interrupt a fit, and say what is not as it should be while its error is still alive."""
    before, attributes = states(), dict(vars(estimator))
    wrong: list[str] = []
    failure: BaseException | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InterruptedWarning)
            with interruption:
                estimator.fit(X, y)
    except BaseException as error:
        # What torch or skorch were in the middle of may fail in turn as the error passes.
        failure = error
        if not isinstance(error, KeyboardInterrupt | MemoryError) and not isinstance(
            error.__context__, KeyboardInterrupt | MemoryError
        ):
            wrong.append(f"another error: {error!r}")
    if states() != before:
        wrong.append("the generators have changed")
    if not lock_is_free():
        wrong.append("a lock is held")
    fitted = "net_" in vars(estimator)
    if failure is not None and not fitted and vars(estimator) != attributes:
        wrong.append("the estimator has changed")
    if failure is None and not fitted:
        wrong.append("the estimator is not fitted")
    if fitted:
        torch.set_grad_enabled(True)
        if not np.isfinite(estimator.predict_proba(X)).all():
            wrong.append("the estimator does not predict")
    torch.set_grad_enabled(True)
    return wrong


def run(n_fits: int, seed: int, report: Callable[[str], None] = print) -> Counter[str]:
    """Interrupt so many fits, in turns over the strategies.

    Returns
    -------
    wrongs : Counter of str
        What went wrong, and how often.
    """
    X, y = load_iris(return_X_y=True)
    X, y = X[::3].astype(np.float32), y[::3]
    draw = random.Random(seed)
    lines: dict[tuple[str, str], int] = {}
    seconds: dict[str, float] = {}
    found: Counter[str] = Counter()
    for number in range(n_fits):
        name = list(STRATEGIES)[number % len(STRATEGIES)]
        estimator = PrunedClassifier(
            strategy=name, sparsity=0.5, fine_tune_epochs=2, random_state=0
        ).set_params(
            estimator__max_epochs=1,
            estimator__callbacks="disable",
            estimator__module__hidden_layer_sizes=(6,),
        )
        if name not in seconds:
            start = perf_counter()
            estimator.fit(X, y)
            seconds[name] = perf_counter() - start
            for place in ("", "seeding.py"):
                with Interruption(place, 0, None) as counter:
                    estimator.fit(X, y)
                lines[name, place] = counter.count
            estimator = skprune.PrunedClassifier(**estimator.get_params(deep=False))
        how = draw.choice(["any line", "seeding", "signal", "signal"])
        if how == "signal":
            interruption: Any = Alarm(max(draw.uniform(0, seconds[name]), 1e-6))
        else:
            place = "seeding.py" if how == "seeding" else ""
            error = draw.choice([KeyboardInterrupt, MemoryError])
            interruption = Interruption(place, draw.randint(1, lines[name, place]), error)
        if number % 500 == 499:
            report(f"{number + 1} fits")
        for wrong in wrongs(estimator, X, y, interruption):
            found[wrong] += 1
            detail = getattr(interruption, "number", None) or interruption.seconds
            report(f"{number}: {name}, {how} {detail}: {wrong}")
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--fits", type=int, default=10_000, help="how many (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    n_fits = 44 if arguments.quick else arguments.fits
    start = perf_counter()
    found = run(n_fits, arguments.seed)
    print(
        f"{n_fits} interrupted fits in {perf_counter() - start:.0f} s: {sum(found.values())} wrong"
    )
    if found:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
