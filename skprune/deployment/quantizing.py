"""Whole numbers of eight bits in place of weights, taken only if they predict as well."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from numbers import Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from skprune._sklearn import InvalidParameterError
from skprune.deployment.deployed import DeployedPredictor
from skprune.deployment.requirements import require
from skprune.deployment.runtimes.onnx import OnnxRuntime
from skprune.exceptions import NotDeployableError

__all__ = ["quantize"]

# What an operation with whole numbers is called in a model.
_INTEGER_OPERATIONS = {"MatMulInteger", "ConvInteger", "DynamicQuantizeLSTM"}


class Int8Runtime(OnnxRuntime):
    """Computes an ONNX model whose weights are whole numbers of eight bits."""

    name: ClassVar[str] = "onnx, int8"


def quantize(
    deployed: DeployedPredictor,
    X: Any,
    y: Any,
    *,
    max_loss: float = 0.01,
    scoring: Any = None,
) -> DeployedPredictor:
    """Store a predictor's weights as whole numbers of eight bits, if it predicts as well.

    It is ONNX Runtime's dynamic quantization: weights are rounded once, inputs of each layer when
    they come. Linear and recurrent layers become a quarter as large; convolutions stay as they are,
    since they become slower.

    Parameters
    ----------
    deployed : DeployedPredictor
        A predictor that runs on ONNX Runtime, in single precision; it is left as it is.
    X : array-like of shape (n_samples, n_features) or (n_samples, ...), or mapping of arrays
        Rows to score it on that it was not trained on.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets.
    max_loss : float, default=0.01
        By how much the score may be lower than before.
    scoring : str or callable, default=None
        How to score, as in scikit-learn; accuracy or R2 if None.

    Returns
    -------
    quantized : DeployedPredictor
        Its ``measurements_`` have an entry ``"onnx, int8"``: ``"score"``, ``"score_before"`` and
        ``"bytes"``.

    Raises
    ------
    ImportError
        If the extra ``onnx`` is not installed.
    NotDeployableError
        If the score becomes lower than that, or nothing can be quantized.
    TypeError
        If the predictor does not run on ONNX Runtime.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skprune import PrunedClassifier
    >>> from skprune.deployment import deploy, quantize
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X.astype("float32") / 16
    >>> pruned = PrunedClassifier(structure="unit", sparsity=0.5, random_state=0)
    >>> pruned = pruned.fit(X[:1000], y[:1000])
    >>> deployed = deploy(pruned, runtime="onnx")
    >>> smaller = quantize(deployed, X[1000:], y[1000:], max_loss=0.02)
    >>> smaller.runtime.n_bytes < deployed.runtime.n_bytes
    True
    """
    from sklearn.metrics import check_scoring

    runtime = deployed.runtime
    if not isinstance(runtime, OnnxRuntime) or isinstance(runtime, Int8Runtime):
        raise TypeError(
            f"Only a predictor that runs on ONNX Runtime can be quantized; this one runs on "
            f"{deployed.runtime_!r}: deploy(estimator, runtime='onnx')."
        )
    if not isinstance(max_loss, Real) or not max_loss >= 0:
        raise InvalidParameterError(f"max_loss must be a number of at least 0; got {max_loss!r}.")
    quantized = copy(deployed)
    quantized.runtime = Int8Runtime(_quantized(runtime.model), runtime.n_threads)
    scorer = check_scoring(deployed, scoring)
    before, after = scorer(deployed, X, y), scorer(quantized, X, y)
    if not before - after <= max_loss:
        raise NotDeployableError(
            f"With weights of eight bits the score falls from {before:.6g} to {after:.6g}, by more "
            f"than max_loss={max_loss:g}."
        )
    measured = {"score": after, "score_before": before, "bytes": quantized.runtime.n_bytes}
    quantized.measurements_ = {**deployed.measurements_, Int8Runtime.name: measured}
    return quantized


def _quantized(model: bytes) -> bytes:
    onnx = require("onnx", "onnx", "Quantization")
    quantization = require("onnxruntime.quantization", "onnx", "Quantization")
    with TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "quantized.onnx"
        quantization.quantize_dynamic(
            onnx.load_from_string(model),
            path,
            op_types_to_quantize=["MatMul", "Gemm", "LSTM", "Attention"],
            per_channel=True,
        )
        quantized = onnx.load(path)
    if not any(node.op_type in _INTEGER_OPERATIONS for node in quantized.graph.node):
        raise NotDeployableError(
            "Nothing of this network can be quantized: it has no linear or recurrent layer in "
            "single precision. deploy(..., dtype='float32') makes one of one in double precision."
        )
    return quantized.SerializeToString()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to oneself that a model might be prepared for quantization, which changes nothing."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
