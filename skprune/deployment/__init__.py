"""From a fitted estimator to what serves predictions: small, fast, without training code."""

from typing import TYPE_CHECKING

from skprune.lazy import lazy_names

if TYPE_CHECKING:
    from skprune.deployment.deployed import DeployedPredictor
    from skprune.deployment.deploying import deploy
    from skprune.deployment.quantizing import quantize

__all__ = ["DeployedPredictor", "deploy", "quantize"]

# A deployed predictor is loaded without torch, which it takes to make one.
__getattr__, __dir__ = lazy_names(
    __name__,
    {"DeployedPredictor": "deployed", "deploy": "deploying", "quantize": "quantizing"},
)
