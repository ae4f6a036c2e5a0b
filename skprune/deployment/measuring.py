"""How long predictions take by several runtimes, measured in turns."""

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import Any

__all__ = ["measured_in_turns"]

# Of one function in one round: short calls are repeated until they take this long together.
_SECONDS = 2e-3


def measured_in_turns(
    functions: Mapping[str, Callable[[], Any]], *, repeats: int = 9
) -> dict[str, float]:
    """Measure how long functions take, so that a change of the machine's pace meets all alike.

    Parameters
    ----------
    functions : mapping of str to callable
        What to measure.
    repeats : int, default=9
        How many rounds to measure.

    Returns
    -------
    seconds : dict of str to float
        The median of the rounds, for one call.

    Examples
    --------
    >>> from skprune.deployment.measuring import measured_in_turns
    >>> list(measured_in_turns({"nothing": lambda: None}))
    ['nothing']
    """
    calls = {}
    for name, function in functions.items():
        function()
        start = perf_counter()
        function()
        calls[name] = max(1, int(_SECONDS / max(perf_counter() - start, 1e-7)))
    rounds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = perf_counter()
            for _ in range(calls[name]):
                function()
            rounds[name].append((perf_counter() - start) / calls[name])
    return {name: median(seconds) for name, seconds in rounds.items()}
