"""What all tests share."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

# Pictures are drawn without a screen.
os.environ.setdefault("MPLBACKEND", "Agg")

# No timing decides over a test, and a run finds what the one before it found.
settings.register_profile("skprune", deadline=None, derandomize=True, database=None)
settings.load_profile("skprune")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """The networks are so small that a second thread would only slow them down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out named strategies that make no sense for a structure; the laws test the error."""
    from skprune.strategies import STRATEGIES

    dynamic = {name for name, make in STRATEGIES.items() if make().regrowth is not None}
    gone = [item for item in items if _is_senseless(item, dynamic)]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if not _is_senseless(item, dynamic)]


def _is_senseless(item: pytest.Item, dynamic: set[str]) -> bool:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return params.get("strategy") in dynamic and params.get("structure") in ("unit", "2:4")
