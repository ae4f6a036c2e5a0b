"""What is a weight worth? One importance a file."""

from skprune.strategies.importance.apoz import APoZ
from skprune.strategies.importance.base import Importance, Scores, ScoringContext
from skprune.strategies.importance.fisher import Fisher
from skprune.strategies.importance.grasp import GraSP
from skprune.strategies.importance.lamp import LAMP
from skprune.strategies.importance.layer_obs import LayerOBS
from skprune.strategies.importance.magnitude import Magnitude
from skprune.strategies.importance.movement import Movement
from skprune.strategies.importance.obd import OBD
from skprune.strategies.importance.obs import OBS
from skprune.strategies.importance.random import RandomImportance
from skprune.strategies.importance.snip import SNIP
from skprune.strategies.importance.synflow import SynFlow
from skprune.strategies.importance.taylor import Taylor
from skprune.strategies.importance.wanda import Wanda

__all__ = [
    "IMPORTANCES",
    "LAMP",
    "OBD",
    "OBS",
    "SNIP",
    "APoZ",
    "Fisher",
    "GraSP",
    "Importance",
    "LayerOBS",
    "Magnitude",
    "Movement",
    "RandomImportance",
    "Scores",
    "ScoringContext",
    "SynFlow",
    "Taylor",
    "Wanda",
]

IMPORTANCES: dict[str, type[Importance]] = {
    "random": RandomImportance,
    "magnitude": Magnitude,
    "lamp": LAMP,
    "taylor": Taylor,
    "movement": Movement,
    "snip": SNIP,
    "grasp": GraSP,
    "synflow": SynFlow,
    "fisher": Fisher,
    "obd": OBD,
    "obs": OBS,
    "layer_obs": LayerOBS,
    "wanda": Wanda,
    "apoz": APoZ,
}
