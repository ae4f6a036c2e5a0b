"""Export: the predictions of an estimator as a graph that other programs run."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.deployment.agreement import TOLERANCE, disagreement
from skprune.deployment.onnx_graph import OUTPUT, module_to_onnx
from skprune.deployment.requirements import require
from skprune.deployment.runtimes.onnx import OnnxRuntime
from skprune.deployment.source import Source, source_of
from skprune.deployment.torch_export import quiet_torch, reason_of
from skprune.exceptions import NotDeployableError
from skprune.files import write_whole
from skprune.network.forward import first_output, run_module
from skprune.pruning.outputs import Outputs, ValueOutputs

__all__ = ["to_onnx", "to_torch_export"]

_PROBABILITIES, _VALUES = "probabilities", "values"


def to_onnx(estimator: Any, path: str | PathLike, X_sample: Any = None) -> None:
    """Write what a fitted estimator predicts as an ONNX file, for any number of rows.

    Its one output is ``"probabilities"`` of a classifier, with a column for each class or label as
    ``predict_proba`` has them, or ``"values"`` of a regressor, in the shape of ``predict``. The
    input is called ``"X"``, or as the keys of a mapping, and has the type of the weights. A scaler
    before the estimator in a pipeline is folded into the first layer.

    The file's metadata hold, as JSON, what it takes to read the output: ``task`` (``"classes"``,
    ``"labels"`` or ``"values"``), ``classes``, ``threshold`` (the probability that the second of
    two classes has to be above), ``feature_names`` and ``skprune`` (the version).

    ONNX Runtime computes the file before this returns, and is compared with the estimator's own
    predictions.

    Parameters
    ----------
    estimator : estimator, Pipeline, search or Predictor
        A fitted estimator of skprune's, a pipeline that ends in one, a search that found one, or
        its ``predictor_``.
    path : str or os.PathLike
        The file; one that is there is replaced when the new one is whole.
    X_sample : array-like of shape (n_rows, n_features) or (n_rows, ...), default=None
        Rows to compare on, as the estimator takes them. If None, the few that the estimator
        remembers of its fit; for one that was loaded, rows that are made up.

    Raises
    ------
    ImportError
        If the extra ``onnx`` is not installed.
    NotDeployableError
        If the network or a step of the pipeline cannot be written, or ONNX Runtime computes
        something else: different by more than 1e-5 of the largest output.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import onnxruntime
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier
    >>> from skprune.deployment import to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> names = load_iris().target_names[y]
    >>> pruned = PrunedClassifier(structure="unit", random_state=0).fit(X, names)
    >>> with TemporaryDirectory() as folder:
    ...     to_onnx(pruned, Path(folder, "iris.onnx"))
    ...     session = onnxruntime.InferenceSession(Path(folder, "iris.onnx"))
    >>> session.get_modelmeta().custom_metadata_map["classes"]
    '["setosa", "versicolor", "virginica"]'
    >>> session.run(["probabilities"], {"X": X[:2]})[0].shape
    (2, 3)
    """
    source = _source(estimator)
    predicting = _predicting(source)
    try:
        model = module_to_onnx(predicting, source.example)
    except NotDeployableError as error:
        name = type(source.module).__name__
        raise NotDeployableError(str(error).replace(type(predicting).__name__, name)) from error
    proto = require("onnx", "onnx", "to_onnx").load_from_string(model)
    for node in proto.graph.node:
        node.output[:] = [predicting.name if o == OUTPUT else o for o in node.output]
    (output,) = proto.graph.output
    output.name = predicting.name
    for key, value in _metadata(source).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    data = proto.SerializeToString()
    runtime = OnnxRuntime(data)
    _compare(estimator, source, X_sample, runtime.outputs, "ONNX Runtime")
    write_whole(Path(path), data)


def to_torch_export(estimator: Any, path: str | PathLike, X_sample: Any = None) -> None:
    """Write what a fitted estimator predicts as a file of ``torch.export``.

    ``torch.export.load(path).module()`` computes it, for any number of rows, without the classes
    that the network was made of: probabilities of a classifier, values of a regressor, as
    :func:`to_onnx` describes them. The file has the same metadata, in ``"skprune.json"``, which
    ``torch.export.load`` gives by its ``extra_files``.

    Parameters
    ----------
    estimator : estimator, Pipeline, search or Predictor
        See :func:`to_onnx`.
    path : str or os.PathLike
        The file, with the suffix ``.pt2``; one that is there is replaced when the new one is whole.
    X_sample : array-like of shape (n_rows, n_features) or (n_rows, ...), default=None
        See :func:`to_onnx`.

    Raises
    ------
    NotDeployableError
        If the network or a step of the pipeline cannot be written, or what was written computes
        something else.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier
    >>> from skprune.deployment import to_torch_export
    >>> X, y = load_iris(return_X_y=True)
    >>> pruned = PrunedClassifier(structure="unit", random_state=0).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     to_torch_export(pruned, Path(folder, "iris.pt2"))
    ...     program = torch.export.load(Path(folder, "iris.pt2"))
    >>> program.module()(torch.from_numpy(X[:2])).shape
    torch.Size([2, 3])
    """
    source = _source(estimator)
    predicting = _predicting(source)
    free: Any = {0: torch.export.Dim.DYNAMIC}
    example = _two_rows(source.example)
    rows: tuple[Any, ...] = (example,)
    parts: dict[str, Any] = {}
    if isinstance(example, Mapping):
        rows, parts = (), dict(example)
    shapes = dict.fromkeys(parts or ("rows",), free)
    buffer = BytesIO()
    try:
        with quiet_torch():
            program = torch.export.export(predicting, rows, parts, dynamic_shapes=shapes)
            torch.export.save(
                program, buffer, extra_files={"skprune.json": json.dumps(_metadata(source))}
            )
            written = torch.export.load(BytesIO(buffer.getvalue())).module()
    except Exception as error:
        raise NotDeployableError(
            f"{type(source.module).__name__} cannot be exported: {reason_of(error)}"
        ) from error

    def outputs(X: Any) -> np.ndarray:
        with torch.no_grad():
            return run_module(written, _tensors(X)).numpy()

    _compare(estimator, source, X_sample, outputs, "torch.export")
    write_whole(Path(path), buffer.getvalue())


class _Predicting(nn.Module):
    """A network whose output is the prediction: probabilities, or values in their shape."""

    def __init__(self, module: nn.Module, outputs: Outputs) -> None:
        super().__init__()
        self.module = module
        self.outputs = outputs
        self.name = _VALUES if isinstance(outputs, ValueOutputs) else _PROBABILITIES

    def forward(self, rows: Tensor) -> Tensor:
        return self.predictions(self.module(rows))

    def predictions(self, outputs: Any) -> Tensor:
        activated = self.outputs.activated(first_output(outputs))
        shape = getattr(self.outputs, "shape", None)
        return activated if shape is None else activated.reshape(-1, *shape)


class _PredictingByName(_Predicting):
    """The same of a network that takes its inputs by name."""

    def __init__(self, module: nn.Module, outputs: Outputs, names: Sequence[str]) -> None:
        super().__init__(module, outputs)

        def forward(*rows: Tensor, **parts: Tensor) -> Tensor:
            inputs = {**dict(zip(names, rows, strict=False)), **parts}
            return self.predictions(self.module(**inputs))

        # torch.export names the inputs of what it writes by the signature.
        kind = Parameter.POSITIONAL_OR_KEYWORD
        signature = Signature([Parameter(name, kind) for name in names])
        forward.__signature__ = signature  # type: ignore[attr-defined]
        self.forward = forward  # type: ignore[method-assign]


def _predicting(source: Source) -> _Predicting:
    predicting = _Predicting(source.module, source.outputs)
    if isinstance(source.example, Mapping):
        predicting = _PredictingByName(source.module, source.outputs, list(source.example))
    return predicting.eval().requires_grad_(False)


def _source(estimator: Any) -> Source:
    """Take apart what is exported; scalers go into the network."""
    source = source_of(estimator)
    if source.example is None:
        raise NotDeployableError(
            f"{source.name} has no example of its inputs, which an export follows through the "
            "network. Make its Predictor with one: Predictor(..., example=rows)."
        )
    if callable(source.outputs.nonlinearity):
        raise NotDeployableError(
            f"{source.name} makes predictions by a nonlinearity of your own, which is not exported."
        )
    while source.transformers:
        folded = source.folded()
        if folded is None:
            step = type(source.transformers[-1]).__name__
            raise NotDeployableError(
                f"The step {step} of the pipeline cannot be made a part of the network's first "
                "layer. Export the last step by itself, and do the others where it runs."
            )
        source = folded
    return source


def _metadata(source: Source) -> dict[str, Any]:
    from skprune import __version__

    outputs: Any = source.outputs
    kinds = {"ClassOutputs": "classes", "BinaryOutputs": "classes", "LabelOutputs": "labels"}
    classes = getattr(outputs, "classes", None)
    found = {
        "task": kinds.get(type(outputs).__name__, "values"),
        "classes": None if classes is None else classes.tolist(),
        "threshold": getattr(outputs, "threshold", None),
        "feature_names": source.inputs.feature_names,
    }
    known = {name: value for name, value in found.items() if value is not None}
    return {**known, "skprune": __version__}


def _compare(
    estimator: Any, source: Source, X_sample: Any, outputs: Callable[[Any], np.ndarray], what: str
) -> None:
    """Raise an error if what was written predicts otherwise than the estimator."""
    if X_sample is None:
        last = _last(estimator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the rows have no names
            expected = _predictions(last, _arrays(source_of(last).example))
        X = _arrays(source.example)
    else:
        expected, X = _predictions(estimator, X_sample), source.network_inputs(X_sample)
    difference = disagreement(outputs(X), expected)
    if not difference <= TOLERANCE:
        raise NotDeployableError(
            f"{what} predicts otherwise than {source.name}: different by {difference:.2g} of the "
            f"largest prediction; at most {TOLERANCE:g} is rounding."
        )


def _last(estimator: Any) -> Any:
    """Give the estimator at the end of pipelines and searches."""
    if hasattr(estimator, "steps"):
        return _last(estimator.steps[-1][1])
    if hasattr(estimator, "best_estimator_") and not hasattr(estimator, "predictor_"):
        return _last(estimator.best_estimator_)
    return estimator


def _predictions(estimator: Any, X: Any) -> np.ndarray:
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)
    return estimator.predict(X)


def _arrays(example: Any) -> Any:
    if isinstance(example, Mapping):
        return {name: part.detach().cpu().numpy() for name, part in example.items()}
    return example.detach().cpu().numpy()


def _tensors(X: Any) -> Any:
    if isinstance(X, Mapping):
        return {name: torch.from_numpy(part) for name, part in X.items()}
    return torch.from_numpy(X)


def _two_rows(example: Any) -> Any:
    """Give at least two rows: an export takes a size of one for a constant."""
    if isinstance(example, Mapping):
        return {name: _two_rows(part) for name, part in example.items()}
    example = example.detach().cpu()
    return torch.cat((example, example)) if len(example) < 2 else example
