"""From a fitted estimator to what serves predictions: small, fast, without training code."""

from typing import TYPE_CHECKING

from skprune.lazy import lazy_names

if TYPE_CHECKING:
    from skprune.deployment.deployed import DeployedPredictor
    from skprune.deployment.deploying import deploy
    from skprune.deployment.saving.loading import load
    from skprune.deployment.saving.saving import save

__all__ = ["DeployedPredictor", "deploy", "load", "save"]

# A deployed predictor is loaded without torch, which it takes to make one.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "DeployedPredictor": "deployed",
        "deploy": "deploying",
        "load": "saving.loading",
        "save": "saving.saving",
    },
)
