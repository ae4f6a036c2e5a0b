"""How does training push weights to zero? One regularizer a file."""

from skprune.strategies.regularization.admm import ADMM
from skprune.strategies.regularization.base import Projection, Regularizer
from skprune.strategies.regularization.group_lasso import GroupLasso
from skprune.strategies.regularization.information_bottleneck import InformationBottleneck
from skprune.strategies.regularization.l0 import L0
from skprune.strategies.regularization.l1 import L1
from skprune.strategies.regularization.variational_dropout import VariationalDropout

__all__ = [
    "ADMM",
    "L0",
    "L1",
    "REGULARIZERS",
    "GroupLasso",
    "InformationBottleneck",
    "Projection",
    "Regularizer",
    "VariationalDropout",
]

REGULARIZERS: dict[str, type[Regularizer]] = {
    "l1": L1,
    "group_lasso": GroupLasso,
    "l0": L0,
    "variational_dropout": VariationalDropout,
    "information_bottleneck": InformationBottleneck,
    "admm": ADMM,
}
