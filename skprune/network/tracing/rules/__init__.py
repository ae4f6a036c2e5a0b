"""What each of torch's operations does to channels: a function for each, in a table.

A rule is given the channels and a call. It says which of them meet, which stay, and gives the
dimensions of each output. The families have a file each.
"""

from skprune.network.tracing.rules import (  # noqa: F401  each adds the operations it is about
    attention,
    convolutions,
    lookups,
    moves,
    norms,
    pointwise,
    pools,
    products,
    reductions,
    shapes,
)
from skprune.network.tracing.rules.base import Rule, rule, rule_for

__all__ = ["Rule", "rule", "rule_for"]
