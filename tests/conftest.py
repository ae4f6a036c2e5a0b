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
