"""Deploy a fitted estimator: choose what computes, and keep nothing that only training needs."""

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Any

import numpy as np
from torch import Tensor

from skprune._sklearn import InvalidParameterError
from skprune.casting import cast_inputs
from skprune.components import near_match
from skprune.deployment.agreement import TOLERANCE, disagreement
from skprune.deployment.deployed import DeployedPredictor
from skprune.deployment.measuring import measured_in_turns
from skprune.deployment.onnx_graph import module_to_onnx
from skprune.deployment.runtimes.base import Runtime
from skprune.deployment.runtimes.onnx import OnnxRuntime
from skprune.deployment.runtimes.sparse.runtime import SparseRuntime
from skprune.deployment.runtimes.torch import TorchRuntime
from skprune.deployment.source import Source, source_of
from skprune.exceptions import NotDeployableError

__all__ = ["RUNTIMES", "deploy"]


def _torch(source: Source, n_threads: int | None) -> Runtime:
    return TorchRuntime.of(source.module)


def _onnx(source: Source, n_threads: int | None) -> Runtime:
    _refuse_own_nonlinearity(source, "onnx")
    return OnnxRuntime(module_to_onnx(source.module, source.example), n_threads)


def _sparse(source: Source, n_threads: int | None) -> Runtime:
    _refuse_own_nonlinearity(source, "sparse")
    return SparseRuntime.of(source.module, source.example, n_threads)


# Makes the runtime of each name.
RUNTIMES: Mapping[str, Callable[[Source, int | None], Runtime]] = {
    "torch": _torch,
    "onnx": _onnx,
    "sparse": _sparse,
}


def deploy(
    estimator: Any,
    X_sample: Any = None,
    runtime: str = "auto",
    batch_sizes: Sequence[int] = (1, 1024),
    *,
    n_threads: int | None = None,
    dtype: str | None = None,
) -> DeployedPredictor:
    """Make a light predictor of a fitted estimator, or of a pipeline that ends in one.

    It predicts what the estimator does, needs neither skorch nor code of the training, and, unless
    it runs on torch, no torch either. The weights are copied: what happens to the estimator later
    does not change it.

    The last step of a pipeline before the estimator is folded into the network's first layer, where
    it is a ``StandardScaler``, ``MinMaxScaler`` (without ``clip``), ``MaxAbsScaler`` or
    ``RobustScaler``, that layer is linear, and the outputs stay the same. Other steps go along.

    Parameters
    ----------
    estimator : estimator, Pipeline, search or Predictor
        A fitted estimator of skprune's, a pipeline that ends in one, a search or a cross-validated
        estimator that found one, or its ``predictor_``.
    X_sample : array-like of shape (n_rows, n_features) or (n_rows, ...), default=None
        Rows to compare the runtimes on, as the estimator takes them; the few that it remembers of
        the fit if None.
    runtime : {"auto", "torch", "onnx", "sparse"}, default="auto"
        What computes.

        - ``"auto"``: the fastest of the others that agrees with the estimator and can be used here.
        - ``"torch"``: the network's own module. Works for any network.
        - ``"onnx"``: ONNX Runtime, of the extra ``onnx``. The fastest where units were removed.
        - ``"sparse"``: products with the weights that are left alone, by numba, of the extra
          ``fast``, or by SciPy. The fastest where most weights are masked. For networks of linear
          layers and convolutions, with norms, pooling and activations, that take one array of
          real numbers.
    batch_sizes : sequence of int, default=(1, 1024)
        Numbers of rows that ``"auto"`` measures. The fastest is the one with the smallest product
        of the times.
    n_threads : int, default=None
        How many threads compute at the most; the runtime's own choice if None. For ``"torch"`` it
        is always ``torch.get_num_threads()``.
    dtype : {None, "float32"}, default=None
        The type of the numbers: that of the network, or single precision, which is faster than
        double, and counts as equal where the outputs are.

    Returns
    -------
    deployed : DeployedPredictor
        Its ``measurements_`` say how each runtime did.

    Raises
    ------
    ImportError
        If the runtime that is asked for is not installed.
    NotDeployableError
        If it cannot compute the network, or its outputs differ from those of the estimator by more
        than 1e-5 of the largest.
    TypeError
        If the estimator is of another kind.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skprune import PrunedClassifier
    >>> from skprune.deployment import deploy
    >>> X, y = load_iris(return_X_y=True)
    >>> pruned = PrunedClassifier(structure="unit", random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), pruned).fit(X, y)
    >>> deployed = deploy(pipeline, X, runtime="torch")
    >>> bool((deployed.predict(X) == pipeline.predict(X)).all())
    True
    >>> deployed.transformers  # the scaler is part of the first layer
    ()
    """
    _check_options(runtime, batch_sizes, n_threads, dtype)
    source, sample = _folded(source_of(estimator), X_sample)
    reference = source.network_outputs(sample)
    if dtype is not None:
        source = source.in_single_precision()
        sample = cast_inputs(sample, source.floating, lambda: source.has_embedding)
    found: dict[str, Runtime] = {}
    measurements: dict[str, dict[str, Any]] = {}
    for name in RUNTIMES if runtime == "auto" else [runtime]:
        try:
            made = RUNTIMES[name](source, n_threads)
            difference = _difference(made, sample, reference)
            if not difference <= TOLERANCE:
                raise NotDeployableError(
                    f"runtime={name!r} puts out something else than the estimator: different by "
                    f"{difference:.2g} of the largest output; at most {TOLERANCE:g} is rounding."
                )
        except (ImportError, NotDeployableError) as error:
            if runtime != "auto":
                raise
            measurements[name] = {"refused": str(error)}
            continue
        found[name] = made
        measurements[name] = {"difference": difference, "bytes": made.n_bytes, "seconds": {}}
    if runtime == "auto":
        for size in batch_sizes:
            rows = _tiled(sample, size)
            seconds = measured_in_turns({name: _bound(of, rows) for name, of in found.items()})
            for name, time in seconds.items():
                measurements[name]["seconds"][int(size)] = time
    best = min(found, key=lambda name: sum(map(log, measurements[name]["seconds"].values())))
    return DeployedPredictor(
        found[best],
        source.outputs,
        source.inputs,
        source.floating,
        has_embedding=source.has_embedding,
        transformers=source.transformers,
        name=source.name,
        measurements=measurements,
    )


def _check_options(runtime: Any, batch_sizes: Any, n_threads: Any, dtype: Any) -> None:
    names = ["auto", *RUNTIMES]
    if runtime not in names:
        raise InvalidParameterError(
            f"Unknown runtime {runtime!r}.{near_match(runtime, names)} "
            f"Known: {', '.join(map(repr, names))}."
        )
    sizes = list(batch_sizes) if isinstance(batch_sizes, (Sequence, np.ndarray)) else []
    if not sizes or not all(isinstance(size, (int, np.integer)) and size > 0 for size in sizes):
        raise InvalidParameterError(
            f"batch_sizes must be a sequence of numbers of rows, at least one; got {batch_sizes!r}."
        )
    if n_threads is not None and not (isinstance(n_threads, (int, np.integer)) and n_threads > 0):
        raise InvalidParameterError(f"n_threads must be at least 1, or None; got {n_threads!r}.")
    if dtype not in (None, "float32"):
        raise InvalidParameterError(f"dtype must be None or 'float32'; got {dtype!r}.")


def _refuse_own_nonlinearity(source: Source, name: str) -> None:
    if callable(source.outputs.nonlinearity):
        raise NotDeployableError(
            f"runtime={name!r} cannot compute a nonlinearity of your own, which takes tensors; "
            "runtime='torch' can."
        )


def _folded(source: Source, X_sample: Any) -> tuple[Source, Any]:
    """Fold what scalers do into the network, if that changes nothing; bring the sample to it."""

    def sample_of(source: Source) -> Any:
        return _arrays(source.example) if X_sample is None else source.network_inputs(X_sample)

    if source.example is None:
        if X_sample is None:
            raise ValueError("The predictor has no example of its inputs: pass X_sample.")
        source = source.with_example(source.network_inputs(X_sample))
    sample = sample_of(source)
    while (smaller := source.folded()) is not None:
        inner = sample_of(smaller)
        difference = disagreement(smaller.network_outputs(inner), source.network_outputs(sample))
        if not difference <= TOLERANCE:  # the columns are too large for their type
            break
        source, sample = smaller, inner
    return source, sample


def _arrays(example: Any) -> Any:
    if isinstance(example, Tensor):
        return example.detach().cpu().numpy()
    return {key: rows.detach().cpu().numpy() for key, rows in example.items()}


def _difference(runtime: Runtime, sample: Any, reference: np.ndarray) -> float:
    """Compare outputs for all rows, and for one and two of them, which may go another way."""
    return max(
        disagreement(runtime.all_outputs(_tiled(sample, n_rows)), reference[:n_rows])
        for n_rows in {1, min(2, len(reference)), len(reference)}
    )


def _tiled(X: Any, n_rows: int) -> Any:
    """Give so many rows, those of X again and again."""
    if isinstance(X, Mapping):
        return {key: _tiled(rows, n_rows) for key, rows in X.items()}
    return np.ascontiguousarray(X[np.arange(n_rows) % len(X)])


def _bound(runtime: Runtime, rows: Any) -> Callable[[], Any]:
    return lambda: runtime.all_outputs(rows)
