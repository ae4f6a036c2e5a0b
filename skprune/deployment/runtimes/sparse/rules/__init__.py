"""What each operation of torch's becomes in a program: a rule for each, by its name."""

from skprune.deployment.runtimes.sparse.rules import moving, pointwise, pooling, products, reducing
from skprune.deployment.runtimes.sparse.rules.registry import RULES, Batch, Call, Refused

__all__ = [
    "RULES",
    "Batch",
    "Call",
    "Refused",
    "moving",
    "pointwise",
    "pooling",
    "products",
    "reducing",
]
