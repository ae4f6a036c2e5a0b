"""Random networks for sequences lose units of all kinds, and compute what they should.

The oracle is that of the zoo: the original network with all that is gone at zero. More networks are
drawn with ``SKPRUNE_RANDOM_NETWORKS=500``.
"""

import os
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.network.random_sequences import random_sequence_network
from tests.zoo.outcome import outcome_of
from tests.zoo.row import Row, floats

N_EXAMPLES = int(os.environ.get("SKPRUNE_RANDOM_NETWORKS", "6"))


@given(seed=st.integers(0, 10**6), n_blocks=st.integers(1, 12 if N_EXAMPLES > 50 else 4))
@settings(max_examples=N_EXAMPLES, deadline=None, database=None, derandomize=N_EXAMPLES < 50)
def test_random_networks_lose_units_of_all_kinds(seed: int, n_blocks: int) -> None:
    build = partial(random_sequence_network, seed, n_blocks)
    outcome = outcome_of(Row("random", build, floats(5, 4), {"neuron": 1}))
    assert outcome.what in {"all", "some", "miscounted"}, outcome
