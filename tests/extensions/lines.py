"""The one line that each extension needs: a plugin of pytest, loaded before the laws are.

The laws then run over the tables with these lines in them (``test_extensions.py``).
"""

from skprune.strategies import IMPORTANCES, STRATEGIES, Strategy
from skprune.structures import STRUCTURES
from tests.extensions.importance import RelativeMagnitude
from tests.extensions.layer import Gains
from tests.extensions.structure import Row
from tests.networks import LAW_NETWORKS, NETWORKS, Example

IMPORTANCES["own_importance"] = RelativeMagnitude
STRUCTURES["own_structure"] = Row

# Where the laws go through strategies and networks, what is new has to be in one of them.
STRATEGIES["own_importance"] = lambda: Strategy("own_importance", "global")
NETWORKS["own_layer"] = Example(Gains, (6,), {"enter": 8, "middle": 5, "again": 7})
LAW_NETWORKS.append("own_layer")
