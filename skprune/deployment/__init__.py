"""From a fitted estimator to what serves predictions: small, fast, without training code."""

from typing import TYPE_CHECKING

from skprune.lazy import lazy_names

if TYPE_CHECKING:
    from skprune.deployment.deployed import DeployedPredictor
    from skprune.deployment.deploying import deploy
    from skprune.deployment.export import to_onnx, to_torch_export
    from skprune.deployment.quantizing import quantize
    from skprune.deployment.saving.loading import load
    from skprune.deployment.saving.saving import save

__all__ = ["DeployedPredictor", "deploy", "load", "quantize", "save", "to_onnx", "to_torch_export"]

# A deployed predictor is loaded without torch, which it takes to make one.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "DeployedPredictor": "deployed",
        "deploy": "deploying",
        "load": "saving.loading",
        "quantize": "quantizing",
        "save": "saving.saving",
        "to_onnx": "export",
        "to_torch_export": "export",
    },
)
