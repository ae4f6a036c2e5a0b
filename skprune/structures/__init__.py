"""What is removed together? One structure a file."""

from skprune.structures.base import Elements, Structure
from skprune.structures.block import Block
from skprune.structures.feature import Feature, FeatureElements, FeatureRecord
from skprune.structures.head import Head
from skprune.structures.labelled import LabelledElements
from skprune.structures.nm import NM
from skprune.structures.unit import Unit
from skprune.structures.weight import Weight, prunable_weights

__all__ = [
    "NM",
    "STRUCTURES",
    "Block",
    "Elements",
    "Feature",
    "FeatureElements",
    "FeatureRecord",
    "Head",
    "LabelledElements",
    "Structure",
    "Unit",
    "Weight",
    "prunable_weights",
]

STRUCTURES: dict[str, type[Structure]] = {
    "weight": Weight,
    "unit": Unit,
    "head": Head,
    "feature": Feature,
    "block": Block,
    "2:4": NM,
}
